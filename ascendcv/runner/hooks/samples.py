"""Pictures of what the network makes of training samples."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ascendcv.dataloader.image import write_image
from ascendcv.runner.hooks.hook import Hook


class Samples(Hook):
    """Every `interval` updates (0: never) writes `folder/<step>.png` and puts the picture into `trainer.pictures`.

    Args:
        pictures: (model, batch) -> pictures, [H,W,3] uint8, by name. 'sample' is the one that is `<step>.png`;
            another is `<step>-<name>.png`. The model is the moving average where there is one.
        keep: the newest files of each name that stay; 0: all.
        clear_interval: updates after which all earlier pictures are removed; 0: never.
    """

    def __init__(
        self,
        interval: int,
        folder: str | os.PathLike,
        pictures: Callable[[keras.Model, dict[str, tf.Tensor]], Mapping[str, np.ndarray]],
        keep: int = 0,
        clear_interval: int = 0,
    ):
        self.interval = interval
        self.folder = Path(folder)
        self.pictures = pictures
        self.keep = keep
        self.clear_interval = clear_interval

    def after_batch(self, trainer) -> None:
        if trainer.due(self.clear_interval):
            self._remove("*.png", 0)
        if not trainer.due(self.interval):
            return
        for name, picture in self.pictures(trainer.ema_model or trainer.model, trainer.batch).items():
            trainer.pictures[name] = picture
            ending = "" if name == "sample" else f"-{name}"
            write_image(self.folder / f"{trainer.step:08}{ending}.png", picture)
            if self.keep:
                self._remove(f"{_STEP}{ending}.png", self.keep)

    def _remove(self, pattern: str, keep: int) -> None:
        """Removes all pictures of that name but for the newest; other files in the folder are somebody else's."""
        files = sorted(path for path in self.folder.glob(pattern) if path.name[:8].isdigit())
        for path in files[: len(files) - keep]:
            path.unlink()


_STEP = "[0-9]" * 8
