"""The learning-rate range test (Smith, 2017): train with a rising learning rate and watch the loss.

The arithmetic is that of torch-lr-finder.
"""

import math
from collections.abc import Sequence

import numpy as np

from ascendcv.runner.hooks.hook import Hook
from ascendcv.runner.schedules import Schedule
from ascendcv.utils.errors import InputError

# The ends of a curve, which are left out where it is read and drawn: at first the loss has not settled, in the end
# it explodes.
SKIPPED_AT_START, SKIPPED_AT_END = 10, 5


def rising_rate(start_lr: float, end_lr: float, steps: int, kind: str) -> Schedule:
    """A learning rate that rises in `steps` updates from start_lr to end_lr: 'exponential' or 'linear'.

    Raises `InputError` for rates that do not rise and for fewer than two steps.
    """
    if not 0 < start_lr < end_lr:
        raise InputError(
            f"the learning rates to try should rise: `start_lr` {start_lr} is not between 0 and `end_lr` {end_lr}"
        )
    if steps < 2:
        raise InputError(f"`steps` should be at least 2, not {steps}")
    if kind == "linear":
        return lambda step: start_lr + step / (steps - 1) * (end_lr - start_lr)
    return lambda step: start_lr * (end_lr / start_lr) ** (step / (steps - 1))


class RangeTest(Hook):
    """Records the loss of each update and ends training when it diverges.

    Args:
        smoothing: weight of the newest loss in the smoothed one; 1: not smoothed.
        diverge_at: training ends when the smoothed loss is above this multiple of the lowest so far, or not finite;
            0: at the last step only.

    Attributes:
        rates, losses: learning rate and smoothed loss of each update. A loss is that before its update.
    """

    def __init__(self, smoothing: float = 0.05, diverge_at: float = 5.0):
        self.smoothing = smoothing
        self.diverge_at = diverge_at
        self.rates: list[float] = []
        self.losses: list[float] = []

    def after_batch(self, trainer) -> None:
        for report in trainer.reports:
            if self.diverged:
                break
            self.add(report["lr"], report["loss"])
        if self.diverged:
            trainer.total_steps = trainer.step

    def add(self, rate: float, loss: float) -> None:
        """Takes down the loss of an update."""
        if self.losses:
            loss = self.smoothing * loss + (1 - self.smoothing) * self.losses[-1]
        self.rates.append(rate)
        self.losses.append(loss)

    @property
    def diverged(self) -> bool:
        """Whether the last loss says that there is no point in going on."""
        if not self.losses or not self.diverge_at:
            return False
        return not math.isfinite(self.losses[-1]) or self.losses[-1] > self.diverge_at * min(self.losses)


def suggestion(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The learning rate at which the smoothed loss falls most steeply; None for a curve too short to tell."""
    end = len(losses) - SKIPPED_AT_END
    middle = np.array(losses[SKIPPED_AT_START : max(end, 0)], np.float64)
    if len(middle) < 2:
        return None
    return rates[SKIPPED_AT_START + int(np.gradient(middle).argmin())]
