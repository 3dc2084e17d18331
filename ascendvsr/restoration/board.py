"""What `eval.tensorboard` shows of evaluation and inference: scores of each frame, and pictures of some.

Pictures are the input, the output, the ground truth where there is one, and where the network has a flow network
inside, that one's flow from the input to the frame before it, in colors.
"""

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.footage import Frame
from ascendcv.dataloader.frame_sink import Write
from ascendcv.dataloader.image import read_image, to_rgb
from ascendcv.dataloader.pixels import quantize, to_unit_rgb
from ascendcv.utils.errors import InputError
from ascendcv.utils.flow_color import flow_to_color
from ascendvsr.models import CARDS
from ascendvsr.models.card import imported
from ascendvsr.restoration.runner import Runner

PICTURES = 8  # of a clip


def require_tensorboard() -> None:
    """Raises `InputError` where what is written could not be looked at."""
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("eval.tensorboard needs TensorBoard: pip install 'ascendvsr[train]'")


class Board:
    """The files of TensorBoard in `folder`; what the network itself gives to `ascendcv.utils.summary` is there too.

    A context. Steps are the numbers of frames in their clip; the network's own stand under those of all frames.
    """

    def __init__(self, folder: str | os.PathLike, runner: Runner):
        self.folder = folder
        self._flow = flow_network(getattr(runner, "model", None))
        self._count = 0

    def __enter__(self) -> "Board":
        from ascendcv.utils import summary

        self._run = summary.start(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        from ascendcv.utils import summary

        summary.end(self._run)

    @contextlib.contextmanager
    def watching(self, clip: Clip, write: Write | None) -> Iterator[Write]:
        """Gives what takes the restored frames of a clip that is measured, and hands them on."""
        shown, numbers = some_of(len(clip.lq)), {path.stem: index for index, path in enumerate(clip.lq)}

        def watched(name: str, pixels: np.ndarray) -> None:
            if write is not None:
                write(name, pixels)
            index = numbers[name]
            if index in shown:
                self.show(clip.name, index, to_rgb(read_image(clip.lq[index])), pixels, clip.gt[index])
                if index or len(clip.lq) > 1:
                    before = clip.lq[index - 1 if index else 1]
                    self.show_flow(clip.name, index, *(read_image(path) for path in (clip.lq[index], before)))
            self._next(index + 1 in shown)

        self._next(0 in shown, count=0)
        yield watched

    def watch(self, clip: str, length: int) -> Any:
        """What takes each frame of a clip and what became of it, as `restore_frames` calls it."""
        shown, index = some_of(length), 0
        before: np.ndarray | None = None

        def watched(frame: Frame, pixels: np.ndarray) -> None:
            nonlocal before, index
            if index in shown:
                self.show(clip, index, to_rgb(frame.pixels), to_rgb(pixels))
                if before is not None:
                    self.show_flow(clip, index, frame.pixels, before)
            before, index = frame.pixels, index + 1
            self._next(index in shown)

        self._next(0 in shown, count=0)
        return watched

    def show(self, clip: str, index: int, given: np.ndarray, output: np.ndarray, truth: Path | None = None) -> None:
        """Pictures [H, W, 3] of one frame."""
        pictures = {"input": given, "output": output}
        if truth is not None:
            pictures["truth"] = to_rgb(read_image(truth))
        self._images(clip, index, pictures)

    def show_flow(self, clip: str, index: int, frame: np.ndarray, before: np.ndarray) -> None:
        """The flow from a frame to the one before it, where the network has a flow network inside."""
        if self._flow is not None:
            pair = tuple(to_unit_rgb(pixels)[np.newaxis] for pixels in (frame, before))
            self._images(clip, index, {"flow": flow_to_color(np.asarray(self._flow(pair))[0])})

    def score(self, clip: str, rows: list[Mapping[str, Any]]) -> None:
        """The numbers of each frame of a clip, in their order."""
        import tensorflow as tf

        with self._run.writer.as_default():
            for step, row in enumerate(rows):
                for name, value in row.items():
                    if name != "frame" and np.isfinite(value):
                        tf.summary.scalar(f"{clip}/{name}", value, step=step)

    def _images(self, clip: str, index: int, pictures: Mapping[str, np.ndarray]) -> None:
        import tensorflow as tf

        with self._run.writer.as_default():
            for name, picture in pictures.items():
                shown = picture if picture.dtype == np.uint8 else quantize(to_unit_rgb(picture), np.uint8)
                tf.summary.image(f"{clip}/{name}", shown[np.newaxis], step=index)

    def _next(self, due: bool, count: int = 1) -> None:
        self._count += count
        self._run.go_to(self._count, due)


def some_of(length: int) -> set[int]:
    """Which frames of a clip are shown: `PICTURES`, evenly, the first and the last among them."""
    return set(np.linspace(0, length - 1, PICTURES).round().astype(int).tolist()) if length else {0}


def flow_network(model: Any) -> Any:
    """The flow network inside of a Keras model; None where it has none."""
    if model is None:
        return None
    import keras

    kinds = tuple({imported(card.network) for card in CARDS if card.kind == "flow"})
    inside = (layer for layer in model._flatten_layers() if isinstance(layer, kinds))
    found = next(inside, None)
    return found if isinstance(found, keras.Layer) else None
