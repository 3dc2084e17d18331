"""Pictures of what the network makes of training samples."""

import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ascendcv.dataloader.image import write_image
from ascendcv.runner.hooks.hook import Hook


class Samples(Hook):
    """Every `interval` updates writes `folder/<step>.png` and puts the picture into `trainer.pictures`.

    `picture(model, batch)` gives [H,W,3] uint8; the model is the moving average where there is one.
    """

    def __init__(
        self,
        interval: int,
        folder: str | os.PathLike,
        picture: Callable[[keras.Model, dict[str, tf.Tensor]], np.ndarray],
    ):
        self.interval = interval
        self.folder = Path(folder)
        self.picture = picture

    def after_batch(self, trainer) -> None:
        if trainer.due(self.interval):
            picture = self.picture(trainer.ema_model or trainer.model, trainer.batch)
            trainer.pictures["sample"] = picture
            write_image(self.folder / f"{trainer.step:08}.png", picture)
