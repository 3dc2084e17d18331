"""Loss scales: what their names mean and how a dynamic one moves."""

import pytest

from ascendcv.runner.precision import LossScale, make_loss_scale
from ascendcv.utils.errors import InputError


@pytest.mark.parametrize(
    ("text", "value", "dynamic"),
    [
        ("off", 1.0, False),
        ("d", 2.0**32, True),
        ("d*", 2.0**32, True),
        ("fX10", 1024.0, False),
        ("fx0", 1.0, False),
    ],
)
def test_names(text: str, value: int, dynamic: bool):
    scale = make_loss_scale(text)
    assert (scale.value, scale.dynamic) == (value, dynamic)


@pytest.mark.parametrize("text", ["on", "", "fX", "fX33", "128"])
def test_other_names_are_refused(text: str):
    with pytest.raises(InputError, match="`loss_scale`"):
        make_loss_scale(text)


def test_a_dynamic_scale_halves_at_an_overflow_and_doubles_after_a_while_without():
    scale = LossScale(1024.0, dynamic=True, growth_interval=3)
    for finite, expected in [
        (True, 1024),
        (False, 512),
        (True, 512),
        (True, 512),
        (True, 1024),
        (True, 1024),
    ]:
        scale.update(finite)
        assert scale.value == expected


def test_a_dynamic_scale_stays_between_1_and_2_to_the_32():
    scale = LossScale(2.0, dynamic=True, growth_interval=1)
    for _ in range(3):
        scale.update(False)
    assert scale.value == 1.0
    assert not scale.can_shrink
    for _ in range(40):
        scale.update(True)
    assert scale.value == 2.0**32


def test_a_fixed_scale_does_not_move():
    scale = make_loss_scale("fX4")
    scale.update(False)
    assert scale.value == 16.0
    assert not scale.can_shrink
