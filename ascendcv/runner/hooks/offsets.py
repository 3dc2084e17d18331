"""How far deformable convolutions reach: the first thing to look at when training goes wrong."""

import logging
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from ascendcv.runner.hooks.hook import Hook

logger = logging.getLogger(__name__)


class OffsetMagnitude(Hook):
    """Every `interval` updates puts the mean |offset| of each deformable convolution into `trainer.scalars`.

    In pixels. `magnitudes(model, clip)` gives layer name -> mean |offset|, of the batch's first sample.
    """

    def __init__(self, interval: int, magnitudes: Callable[[keras.Model, tf.Tensor], Mapping[str, float]]):
        self.interval = interval
        self.magnitudes = magnitudes

    def after_batch(self, trainer) -> None:
        if trainer.due(self.interval):
            found = self.magnitudes(trainer.model, trainer.batch["lq"][:1])
            if not found:  # a network without deformable convolutions
                return
            trainer.scalars |= {f"offset/{name}": value for name, value in found.items()}
            told = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
            logger.info("Mean |offset| in pixels at step %d: %s", trainer.step, told)
