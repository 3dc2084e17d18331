"""Scores on held-out clips during training."""

import logging
import time
from collections.abc import Callable, Mapping

import keras

from ascendcv.runner.hooks.hook import Hook

logger = logging.getLogger(__name__)


class Validation(Hook):
    """Every `interval` updates or epochs scores the network (its moving average, where there is one).

    `evaluate(model, step)` gives {'psnr': ..., ...}; they go to the log and as 'val/psnr', ... to
    `trainer.scalars`.
    """

    def __init__(self, interval: int, evaluate: Callable[[keras.Model, int], Mapping[str, float]]):
        self.interval = interval
        self.evaluate = evaluate

    def after_batch(self, trainer) -> None:
        if trainer.due(self.interval):
            begin = time.perf_counter()
            found = self.evaluate(trainer.ema_model or trainer.model, trainer.step)
            scores = {name: float(score) for name, score in found.items()}
            trainer.scalars |= {f"val/{name}": score for name, score in scores.items()}
            told = ", ".join(f"{name}:{score:.4f}" for name, score in scores.items())
            logger.info("Validation at step %d: %s (%.1f s)", trainer.step, told, time.perf_counter() - begin)
