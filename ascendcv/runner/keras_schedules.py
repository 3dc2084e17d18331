"""The schedules of the learning rate as Keras has them, for its optimizers.

Each takes the arguments of the function in `ascendcv.runner.schedules` that it is named after, and gives the same
rates, rounded to float32: they are computed beforehand, step by step. After its last period a schedule keeps the
last rate.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.runner import schedules


class _Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """What `serializable` adds to."""

    def get_config(self) -> dict:
        return {}


class _Table(_Schedule):
    """The rates of `schedule` for the first `steps` steps; then over and over again, or the last one."""

    def __init__(self, schedule: schedules.Schedule, steps: int, repeated: bool = False):
        super().__init__()
        self.rates = np.array([schedule(step) for step in range(steps)], np.float32)
        self.repeated = repeated

    def __call__(self, step):
        step, count = ops.cast(step, "int32"), len(self.rates)
        step = ops.mod(step, count) if self.repeated else ops.minimum(step, count - 1)
        return ops.take(ops.convert_to_tensor(self.rates), step)


@serializable("ascendcv")
class CosineRestart(_Table):
    """`cosine_restart`: cosine periods of the TensorFlow EDVR release.

    >>> round(float(CosineRestart(1e-4, (10, 10), (1.0, 0.5), 1e-7)(10)), 9)
    5e-05
    """

    def __init__(self, base_lr: float, periods: Sequence[int], restart_weights: Sequence[float], min_lr: float):
        schedule = schedules.cosine_restart(base_lr, periods, restart_weights, min_lr)
        super().__init__(schedule, sum(periods))


@serializable("ascendcv")
class Cosine(_Table):
    """`cosine`: from base_lr to min_lr over `period` steps, and swinging on.

    >>> round(float(Cosine(1e-4, 10, 1e-7)(20)), 9)
    0.0001
    """

    def __init__(self, base_lr: float, period: int, min_lr: float):
        super().__init__(schedules.cosine(base_lr, period, min_lr), 2 * period, repeated=True)


@serializable("ascendcv")
class CosineAnnealingRestart(_Table):
    """`cosine_annealing_restart`: BasicSR's CosineAnnealingRestartLR.

    >>> round(float(CosineAnnealingRestart(1e-4, (10,), (1.0,), 1e-7)(10)), 9)
    1e-07
    """

    def __init__(
        self,
        base_lr: float,
        periods: Sequence[int],
        restart_weights: Sequence[float],
        min_lr: float,
        warmup_steps: int = 0,
    ):
        schedule = schedules.cosine_annealing_restart(base_lr, periods, restart_weights, min_lr, warmup_steps)
        super().__init__(schedule, sum(periods) + 1)


@serializable("ascendcv")
class MultiStepRestart(_Table):
    """`multistep_restart`: BasicSR's MultiStepRestartLR.

    >>> round(float(MultiStepRestart(1e-4, (5,), 0.5)(5)), 9)
    5e-05
    """

    def __init__(
        self,
        base_lr: float,
        milestones: Sequence[int],
        gamma: float,
        restarts: Sequence[int] = (0,),
        restart_weights: Sequence[float] = (1.0,),
    ):
        schedule = schedules.multistep_restart(base_lr, milestones, gamma, restarts, restart_weights)
        super().__init__(schedule, max((*milestones, *restarts)) + 1)


@serializable("ascendcv")
class DelayedCosineRestart(_Table):
    """`delayed_cosine_restart`: PVDNet's CosineAnnealingLR_Restart.

    >>> round(float(DelayedCosineRestart(1e-4, (10, 10), (1.0, 0.5), 1e-7)(11)), 9)
    5e-05
    """

    def __init__(self, base_lr: float, periods: Sequence[int], restart_weights: Sequence[float], min_lr: float):
        schedule = schedules.delayed_cosine_restart(base_lr, periods, restart_weights, min_lr)
        super().__init__(schedule, sum(periods) + 1)


@serializable("ascendcv")
class StepDecay(_Schedule):
    """`step_decay`: torch's StepLR, times gamma after every `step_size` steps.

    >>> round(float(StepDecay(1e-4, 10, 0.5)(20)), 9)
    2.5e-05
    """

    def __init__(self, base_lr: float, step_size: int, gamma: float):
        super().__init__()
        self.base_lr, self.step_size, self.gamma = base_lr, step_size, gamma

    def __call__(self, step):
        decays = ops.cast(ops.floor_divide(ops.cast(step, "int32"), self.step_size), "float32")
        return self.base_lr * ops.power(ops.convert_to_tensor(self.gamma, "float32"), decays)


@serializable("ascendcv")
class DelayedDecay(_Table):
    """`delayed_decay`: PVDNet's LR_decay, times gamma from the step after each milestone on.

    >>> round(float(DelayedDecay(1e-4, (5,), 0.5)(6)), 9)
    5e-05
    """

    def __init__(self, base_lr: float, milestones: Sequence[int], gamma: float):
        super().__init__(schedules.delayed_decay(base_lr, milestones, gamma), max(milestones) + 2)


@serializable("ascendcv")
class OneCycle(_Table):
    """`one_cycle`: torch's OneCycleLR with cosines.

    >>> round(float(OneCycle(1e-5, 1e-4, 1e-6, 100, 0.3)(29)), 9)
    0.0001
    """

    def __init__(self, start: float, top: float, end: float, steps: int, pct_start: float):
        super().__init__(schedules.one_cycle(start, top, end, steps, pct_start), steps)
