"""Training: devices, optimizers, schedules, checkpoints and the trainer.

Schedules for the optimizers of Keras are here by name, and imported when they are first used:

>>> from ascendcv.runner import StepDecay
>>> round(float(StepDecay(1e-4, step_size=10, gamma=0.5)(10)), 9)
5e-05
"""

from ascendcv.utils.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    dict.fromkeys(
        (
            *("Cosine", "CosineAnnealingRestart", "CosineRestart", "DelayedCosineRestart", "DelayedDecay"),
            *("MultiStepRestart", "OneCycle", "StepDecay"),
        ),
        f"{__name__}.keras_schedules",
    ),
)
