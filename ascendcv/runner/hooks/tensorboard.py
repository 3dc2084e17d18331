"""TensorBoard: scalars and pictures, those included that a network gives to `ascendcv.utils.summary`."""

import importlib.util
import logging
import os

import tensorflow as tf

from ascendcv.runner.hooks.hook import Hook
from ascendcv.utils import summary

logger = logging.getLogger(__name__)


class TensorBoard(Hook):
    """Writes `trainer.scalars` and `trainer.pictures` where TensorBoard finds them.

    What the network itself gives to `ascendcv.utils.summary` is written every `interval` updates. Without
    TensorBoard installed it says so once and does nothing.
    """

    def __init__(self, folder: str | os.PathLike, interval: int = 20):
        self.folder = str(folder)
        self.interval = interval
        self._run: summary.Run | None = None

    def start(self, trainer) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            logger.warning("No TensorBoard files: install the extra `train` (pip install 'ascendvsr[train]')")
            return
        self._run = summary.start(self.folder)
        self._go_to_next(trainer)

    def after_batch(self, trainer) -> None:
        if self._run is None:
            return
        if trainer.scalars or trainer.pictures:
            with self._run.writer.as_default(step=trainer.step):
                for name, value in trainer.scalars.items():
                    tf.summary.scalar(name, value)
                for name, picture in trainer.pictures.items():
                    tf.summary.image(name, picture[None])
            self._run.writer.flush()
        self._go_to_next(trainer)

    def end(self, trainer) -> None:
        if self._run is not None:
            summary.end(self._run)

    def _go_to_next(self, trainer) -> None:
        """What the network gives during the next updates stands under the step that they lead to."""
        step = trainer.step + trainer.updates.count
        if self._run is not None:
            self._run.go_to(step, due=step // self.interval > trainer.step // self.interval)
