"""TensorBoard: scalars and pictures."""

import importlib.util
import logging
import os

import tensorflow as tf

from ascendcv.runner.hooks.hook import Hook

logger = logging.getLogger(__name__)


class TensorBoard(Hook):
    """Writes `trainer.scalars` and `trainer.pictures` where TensorBoard finds them.

    Without TensorBoard installed it says so once and does nothing.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = str(folder)
        self._writer = None

    def start(self, trainer) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            logger.warning("No TensorBoard files: install the extra `train` (pip install 'ascendvsr[train]')")
        else:
            self._writer = tf.summary.create_file_writer(self.folder)

    def after_batch(self, trainer) -> None:
        if self._writer is None or not (trainer.scalars or trainer.pictures):
            return
        with self._writer.as_default(step=trainer.step):
            for name, value in trainer.scalars.items():
                tf.summary.scalar(name, value)
            for name, picture in trainer.pictures.items():
                tf.summary.image(name, picture[None])
        self._writer.flush()

    def end(self, trainer) -> None:
        if self._writer is not None:
            self._writer.close()
