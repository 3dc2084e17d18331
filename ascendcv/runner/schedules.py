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


def delayed_cosine_restart(
    base_lr: float, periods: Sequence[int], restart_weights: Sequence[float], min_lr: float
) -> Schedule:
    """PVDNet's CosineAnnealingLR_Restart ("CA"): period k falls from w_k * base_lr to min_lr.

    Each restart comes one step after the end of its period, so only the first period gets down to min_lr. Raises
    `ValueError` past the last period.
    """
    ends = list(itertools.accumulate(periods))

    def schedule(step: int) -> float:
        period = bisect.bisect_left(ends, step)
        if period == len(ends):
            raise ValueError(f"step {step} is past the schedule's last period, which ends at {ends[-1]}")
        start = ends[period - 1] + 1 if period else 0
        height = restart_weights[period] * base_lr - min_lr
        return min_lr + height * 0.5 * (1 + math.cos(math.pi * (step - start) / periods[period]))

    return schedule


def step_decay(base_lr: float, step_size: int, gamma: float) -> Schedule:
    """torch's StepLR: times gamma after every `step_size` steps."""
    return lambda step: base_lr * gamma ** (step // step_size)


def delayed_decay(base_lr: float, milestones: Sequence[int], gamma: float) -> Schedule:
    """PVDNet's LR_decay ("LD"): times gamma from the step after each milestone on."""
    return multistep_restart(base_lr, [milestone + 1 for milestone in milestones], gamma)


def one_cycle(start: float, top: float, end: float, steps: int, pct_start: float) -> Schedule:
    """torch's OneCycleLR with cosines: from `start` to `top`, then to `end` at the last of `steps` steps.

    The top is at step pct_start * steps - 1, which need not be a whole number. With a `top` below both ends it is
    the cycle of the momentum. Raises `ValueError` past the last step.
    """
    turn, last = pct_start * steps - 1, steps - 1

    def schedule(step: int) -> float:
        if step > last:
            raise ValueError(f"step {step} is past the end of the cycle, which has {steps} steps")
        if step < turn:
            return _cosine_between(start, top, step / turn)
        return _cosine_between(top, end, (step - turn) / (last - turn))

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
    step_size: int
    unit: str
    max_lr: float
    pct_start: float
    final_div_factor: float
    base_momentum: float
    max_momentum: float


# Types whose periods each have a restart weight; the others have one period (`Cosine` reads its first only).
RESTARTING = ("CosineRestart", "CosineAnnealingRestart", "MultiStepRestart", "CA")
ONE_PERIOD = ("MultiStep", "StepLR", "LD", "OneCycle")


def make_schedule(settings: ScheduleSettings, steps_per_epoch: int = 1) -> Schedule:
    """The schedule of a configuration's `solver.lr_schedule`. Raises `InputError` for impossible settings.

    With the unit 'epochs', total_steps, milestones, step_size and warmup_steps count epochs of `steps_per_epoch`
    updates.
    """
    _check(settings)
    unit = _unit(settings, steps_per_epoch)
    base_lr, min_lr, gamma = settings.base_lr, settings.min_lr, settings.gamma
    periods = [unit * period for period in settings.total_steps]
    milestones = [unit * milestone for milestone in settings.milestones]
    weights = list(settings.restart_weights)
    match settings.type:
        case "CosineRestart":
            return cosine_restart(base_lr, periods, weights, min_lr)
        case "Cosine":
            return cosine(base_lr, periods[0], min_lr)
        case "CosineAnnealingRestart":
            warmup = unit * settings.warmup_steps
            return cosine_annealing_restart(base_lr, periods, weights, min_lr, warmup)
        case "MultiStepRestart":
            restarts = [0, *itertools.accumulate(periods[:-1])]
            return multistep_restart(base_lr, milestones, gamma, restarts, weights)
        case "CA":
            return delayed_cosine_restart(base_lr, periods, weights, min_lr)
        case "MultiStep":
            return multistep_restart(base_lr, milestones, gamma)
        case "StepLR":
            return step_decay(base_lr, unit * settings.step_size, gamma)
        case "LD":
            return delayed_decay(base_lr, milestones, gamma)
        case _:
            end = base_lr / settings.final_div_factor
            return one_cycle(base_lr, settings.max_lr, end, periods[0], settings.pct_start)


def make_momentum_schedule(settings: ScheduleSettings, steps_per_epoch: int = 1) -> Schedule | None:
    """The momentum (Adam's beta_1) that goes with `make_schedule`: of OneCycle, else None.

    It is lowest where the learning rate is highest (torch's `cycle_momentum`).
    """
    if settings.type != "OneCycle":
        return None
    lowest, highest = settings.base_momentum, settings.max_momentum
    return one_cycle(highest, lowest, highest, total_steps(settings, steps_per_epoch), settings.pct_start)


def total_steps(settings: ScheduleSettings, steps_per_epoch: int = 1) -> int:
    """The number of updates that the schedule's periods hold; `Cosine` has only its first."""
    periods = settings.total_steps[:1] if settings.type == "Cosine" else settings.total_steps
    return _unit(settings, steps_per_epoch) * sum(periods)


def _unit(settings: ScheduleSettings, steps_per_epoch: int) -> int:
    return steps_per_epoch if settings.unit == "epochs" else 1


def _check(settings: ScheduleSettings) -> None:
    """Raises `InputError` for settings that no schedule could have."""
    kind = settings.type
    periods, weights = list(settings.total_steps), list(settings.restart_weights)
    if kind not in (*RESTARTING, *ONE_PERIOD, "Cosine"):
        raise InputError(f"`type` {kind!r} is not known")
    if settings.unit not in ("steps", "epochs"):
        raise InputError(f"`unit` should be steps or epochs, not {settings.unit!r}")
    if not periods or any(period <= 0 for period in periods):
        raise InputError(f"`total_steps` should list {settings.unit} above 0, not {periods}")
    if kind in RESTARTING and len(periods) != len(weights):
        raise InputError(f"`total_steps` {periods} and `restart_weights` {weights} should be equally long")
    if kind in ONE_PERIOD and len(periods) != 1:
        raise InputError(f"`type` {kind} has one period: `total_steps` should be one number, not {periods}")
    if settings.base_lr <= 0:
        raise InputError(f"`base_lr` should be above 0, not {settings.base_lr}")
    if settings.warmup_steps and kind != "CosineAnnealingRestart":
        raise InputError(f"`warmup_steps` needs the type CosineAnnealingRestart, not {kind}")
    if kind == "StepLR" and settings.step_size <= 0:
        raise InputError(f"`step_size` should be above 0 for StepLR, not {settings.step_size}")
    if kind == "OneCycle":
        _check_cycle(settings)


def _check_cycle(settings: ScheduleSettings) -> None:
    if settings.max_lr < settings.base_lr:
        raise InputError(
            f"`max_lr` {settings.max_lr} is below `base_lr` {settings.base_lr}: the cycle starts at base_lr and "
            "rises to max_lr"
        )
    if not 0 < settings.pct_start < 1:
        raise InputError(f"`pct_start` should be between 0 and 1, not {settings.pct_start}")
    if settings.final_div_factor <= 0:
        raise InputError(f"`final_div_factor` should be above 0, not {settings.final_div_factor}")
    if not 0 <= settings.base_momentum <= settings.max_momentum < 1:
        raise InputError(
            f"`base_momentum` {settings.base_momentum} and `max_momentum` {settings.max_momentum} should be "
            "numbers from 0 to below 1, the first not above the second"
        )


def _half_cosine(step: int, period: int, base_lr: float, min_lr: float) -> float:
    floor = min_lr / base_lr
    return base_lr * ((1 - floor) * 0.5 * (1 + math.cos(math.pi * step / period)) + floor)


def _cosine_between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)
