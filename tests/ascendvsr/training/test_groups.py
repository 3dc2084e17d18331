"""Parameter groups, chosen by official names."""

import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.training.groups import make_groups

NAMES = [
    "conv_first.weight",
    "pcd_align.dcn_pack.l3.weight",
    "pcd_align.dcn_pack.l3.conv_offset.bias",
    "fusion.weight",
]


def test_without_groups_all_learn_alike_from_the_beginning():
    groups = make_groups(NAMES, [])
    assert groups.lr_factors == [1.0] * 4
    assert groups.active(0) == (0, 1, 2, 3)


def test_the_first_pattern_that_is_found_in_a_name_counts():
    param_groups = [{"pattern": "conv_offset", "lr_mult": 0.1}, {"pattern": r"^pcd_align\.", "lr_mult": 0.5}]
    assert make_groups(NAMES, param_groups).lr_factors == [1.0, 0.5, 0.1, 1.0]


def test_until_an_iteration_only_some_learn():
    """EDVR's second stage: 'fusion' alone in iterations 1 to 49,999, which are steps 0 to 49,998."""
    groups = make_groups(NAMES, [], ("fusion", 50000))
    assert groups.active(0) == (3,)
    assert groups.active(49_998) == (3,)
    assert groups.active(49_999) == (0, 1, 2, 3)


def test_a_group_rests_until_its_iteration():
    groups = make_groups(NAMES, [{"pattern": "dcn", "freeze_until": 10}], ("dcn|conv_first", 20))
    assert groups.active(8) == (0,)
    assert groups.active(9) == (0, 1, 2)
    assert groups.active(19) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("param_groups", "train_only", "message"),
    [
        ([{"pattern": "predeblur"}], ("", 0), "'predeblur' in solver matches no weight"),
        ([], ("tsa", 5), "'tsa' in solver matches no weight"),
        ([{"pattern": "("}], ("", 0), "no regular expression"),
        ([{"lr_mult": 2.0}], ("", 0), "param_groups lists"),
        ([{"pattern": "dcn", "lr": 2.0}], ("", 0), "param_groups lists"),
        ([{"pattern": 3}], ("", 0), "param_groups lists"),
        (["dcn"], ("", 0), "param_groups lists"),
        ([{"pattern": "dcn", "lr_mult": "fast"}], ("", 0), "lr_mult in solver.param_groups should be a number"),
        ([{"pattern": "dcn", "freeze_until": -1}], ("", 0), "freeze_until in solver.param_groups"),
        ([{"pattern": ".", "freeze_until": 9}], ("", 0), "freeze all weights until step 9"),
    ],
)
def test_impossible_groups_are_named(param_groups: list, train_only: tuple[str, int], message: str):
    with pytest.raises(InputError) as error:
        make_groups(NAMES, param_groups, train_only)
    assert message in str(error.value)
