"""The learning-rate range test, on losses whose course is known."""

import numpy as np
import pytest

from ascendcv.runner.lr_finder import RangeTest, rising_rate, suggestion
from ascendcv.utils.errors import InputError
from tests.ascendcv.runner.tiny_training import make_trainer


def test_rates_rise_from_start_to_end():
    exponential, linear = (rising_rate(1e-4, 1.0, 5, kind) for kind in ("exponential", "linear"))
    np.testing.assert_allclose([exponential(step) for step in range(5)], [1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    np.testing.assert_allclose([linear(step) for step in (0, 2, 4)], [1e-4, 0.50005, 1.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1e-3, 1e-4, 10), "`start_lr` 0.001 is not between 0 and `end_lr` 0.0001"),
        ((0.0, 1.0, 10), "`start_lr` 0.0 is not between"),
        ((1e-4, 1.0, 1), "`steps` should be at least 2"),
    ],
)
def test_rates_that_do_not_rise_are_refused(arguments: tuple, message: str):
    with pytest.raises(InputError, match=message):
        rising_rate(*arguments, "linear")


def test_losses_are_smoothed_from_the_second_on():
    test = RangeTest(smoothing=0.25)
    for loss in (4.0, 8.0, 0.0):
        test.add(1.0, loss)
    assert test.losses == [4.0, 5.0, 3.75]


@pytest.mark.parametrize("last", [41.0, np.nan, np.inf])
def test_training_ends_where_the_smoothed_loss_diverges(last: float):
    test = RangeTest(smoothing=0.5, diverge_at=5.0)
    for loss in (4.0, 4.0, 8.0):
        test.add(1.0, loss)
        assert not test.diverged
    test.add(1.0, last)
    assert test.diverged
    patient = RangeTest(diverge_at=0)
    patient.add(1.0, 1.0)
    patient.add(1.0, last)
    assert not patient.diverged


def test_a_trainer_is_stopped_and_a_rate_suggested():
    """The squared error of a network that adds nothing to its bias falls, then explodes."""
    test = RangeTest(smoothing=1.0)
    trainer = make_trainer(total_steps=400, hooks=[test])
    trainer.schedule = rising_rate(1e-5, 1e3, 400, "exponential")
    assert trainer.fit() == 0
    assert trainer.step == len(test.losses) < 400
    assert test.losses[-1] > 5 * min(test.losses)
    assert test.rates == [trainer.schedule(step) for step in range(trainer.step)]
    assert 1e-5 < suggestion(test.rates, test.losses) < test.rates[-1]


def test_the_suggestion_is_where_the_loss_falls_most_steeply():
    rates = list(range(40))
    losses = [10.0] * 20 + [9.0, 5.0, 4.5] + [4.0] * 12 + [400.0] * 5
    assert suggestion(rates, losses) == 20
    assert suggestion(rates[:16], losses[:16]) is None
