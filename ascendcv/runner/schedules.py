"""Learning rates as functions of the number of updates done, in float64.

A schedule is called with `step`, counted from 0: the first update uses `schedule(0)`. It is a function of the
step alone, so a resumed run needs no state of it. PyTorch's iteration i is step i - 1.
"""

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from ascendcv.utils.errors import InputError

Schedule = Callable[[int], float]


def cosine_restart(
    base_lr: float, periods: Sequence[int], restart_weights: Sequence[float], min_lr: float
) -> Schedule:
    """Cosine periods of the TensorFlow EDVR release: period k falls from w_k * base_lr to w_k * min_lr.

    Each period begins at the very step where the one before it ends. Raises `ValueError` past the last
    period.
    """
    ends = list(itertools.accumulate(periods))

    def schedule(step: int) -> float:
        period = bisect.bisect_right(ends, step)
        if period == len(ends):
            raise ValueError(f"step {step} is past the schedule's last period, which ends at {ends[-1]}")
        start = ends[period - 1] if period else 0
        return restart_weights[period] * _half_cosine(step - start, periods[period], base_lr, min_lr)

    return schedule


def cosine(base_lr: float, period: int, min_lr: float) -> Schedule:
    """A cosine from base_lr to min_lr over `period` steps, and swinging on after it (as the release's)."""
    return lambda step: _half_cosine(step, period, base_lr, min_lr)


def cosine_annealing_restart(
    base_lr: float,
    periods: Sequence[int],
    restart_weights: Sequence[float],
    min_lr: float,
    warmup_steps: int = 0,
) -> Schedule:
    """Cosine periods of BasicSR's CosineAnnealingRestartLR: period k falls from w_k * base_lr to min_lr.

    A step equal to the end of a period still belongs to it (and gives min_lr), so the restart comes one step
    down its cosine. While step + 1 < warmup_steps the rate is base_lr / warmup_steps * (step + 1) instead.
    Raises `ValueError` past the last period.
    """
    ends = list(itertools.accumulate(periods))

    def schedule(step: int) -> float:
        if step + 1 < warmup_steps:
            return base_lr / warmup_steps * (step + 1)
        period = bisect.bisect_left(ends, step)
        if period == len(ends):
            raise ValueError(f"step {step} is past the schedule's last period, which ends at {ends[-1]}")
        start = ends[period - 1] if period else 0
        height = restart_weights[period] * 0.5 * (base_lr - min_lr)
        return min_lr + height * (1 + math.cos(math.pi * ((step - start) / periods[period])))

    return schedule


def multistep_restart(
    base_lr: float,
    milestones: Sequence[int],
    gamma: float,
    restarts: Sequence[int] = (0,),
    restart_weights: Sequence[float] = (1.0,),
) -> Schedule:
    """BasicSR's MultiStepRestartLR: times gamma at each milestone, base_lr * weight at each restart.

    A milestone that is listed twice counts twice; one at the step of a restart does not count.
    """
    weights = dict(zip(restarts, restart_weights, strict=True))
    counts = Counter(milestones)

    def schedule(step: int) -> float:
        restart = max((start for start in weights if start <= step), default=None)
        rate = base_lr if restart is None else base_lr * weights[restart]
        begin = -1 if restart is None else restart
        for milestone in sorted(m for m in counts if begin < m <= step):
            rate *= gamma ** counts[milestone]
        return rate

    return schedule


class ScheduleSettings(Protocol):
    """The configuration node `solver.lr_schedule`."""

    type: str
    base_lr: float
    total_steps: Sequence[int]
    restart_weights: Sequence[float]
    min_lr: float
    warmup_steps: int
    milestones: Sequence[int]
    gamma: float


def make_schedule(settings: ScheduleSettings) -> Schedule:
    """The schedule of a configuration's `solver.lr_schedule`. Raises `InputError` for impossible settings."""
    periods, weights = list(settings.total_steps), list(settings.restart_weights)
    if not periods or any(period <= 0 for period in periods):
        raise InputError(f"solver.lr_schedule.total_steps should list steps above 0, not {periods}")
    if len(periods) != len(weights):
        raise InputError(
            f"solver.lr_schedule.total_steps {periods} and restart_weights {weights} should be equally long"
        )
    if settings.base_lr <= 0:
        raise InputError(f"solver.lr_schedule.base_lr should be above 0, not {settings.base_lr}")
    if settings.warmup_steps and settings.type != "CosineAnnealingRestart":
        raise InputError(
            f"solver.lr_schedule.warmup_steps needs the type CosineAnnealingRestart, not {settings.type}"
        )
    if settings.type == "CosineRestart":
        return cosine_restart(settings.base_lr, periods, weights, settings.min_lr)
    if settings.type == "Cosine":
        return cosine(settings.base_lr, periods[0], settings.min_lr)
    if settings.type == "CosineAnnealingRestart":
        return cosine_annealing_restart(settings.base_lr, periods, weights, settings.min_lr, settings.warmup_steps)
    if settings.type == "MultiStepRestart":
        restarts = [0, *itertools.accumulate(periods[:-1])]
        return multistep_restart(settings.base_lr, settings.milestones, settings.gamma, restarts, weights)
    raise InputError(f"solver.lr_schedule.type {settings.type!r} is not known")


def total_steps(settings: ScheduleSettings) -> int:
    """The number of updates that the schedule's periods hold; `Cosine` has only its first."""
    return settings.total_steps[0] if settings.type == "Cosine" else sum(settings.total_steps)


def _half_cosine(step: int, period: int, base_lr: float, min_lr: float) -> float:
    floor = min_lr / base_lr
    return base_lr * ((1 - floor) * 0.5 * (1 + math.cos(math.pi * step / period)) + floor)
