"""`--part K/N`."""

import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.scaling.parts import read_part


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_all_parts_together_are_the_whole_and_none_has_much_more_than_another(count: int):
    items = list(range(17))
    parts = [read_part(f"{number}/{count}").of(items) for number in range(1, count + 1)]
    assert sorted(item for part in parts for item in part) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_more_parts_than_items_leave_the_last_ones_nothing():
    assert [read_part(f"{number}/3").of(["a"]) for number in (1, 2, 3)] == [["a"], [], []]


def test_without_the_option_there_are_no_parts():
    assert read_part(None) is None


def test_a_part_is_called_by_number_and_count():
    assert (str(read_part("2/8")), read_part("2/8").label) == ("2/8", "part-2-of-8")


@pytest.mark.parametrize(
    "text", ["", "3", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1.5/4", "٣/٤", "1/" + "9" * 30]
)
def test_what_is_no_part_is_said(text: str):
    with pytest.raises(InputError, match="--part should be K/N, such as 3/8"):
        read_part(text)
