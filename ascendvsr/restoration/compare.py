"""Frames beside what became of them: pictures, and a second sink for them."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ascendcv.dataloader.animation import ANIMATION_SUFFIXES
from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.footage import Footage
from ascendcv.dataloader.frame_sink import VIDEO_SUFFIXES, Sink, open_sink
from ascendcv.dataloader.image import WRITTEN_SUFFIXES
from ascendcv.utils.errors import InputError

# Of the largest value. It is the white of paper in PQ, where white itself would be 10,000 cd/m2.
_LINE = 0.58
_FILE_SUFFIXES = {*VIDEO_SUFFIXES, *ANIMATION_SUFFIXES, *WRITTEN_SUFFIXES, ".gif", ".y4m"}


def side_by_side(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """A frame, a gray line and the restored frame, from left to right.

    Args:
        before: [H, W, C], uint8 or uint16, C 1 to 4. It is enlarged as `enlarged` does.
        after: [H', W', C] of the same dtype.
    Returns:
        [H', 2 W' + line, C] of that dtype. The line has an even number of pixels, at least 2, and with it the
        whole, because chroma of half the width needs an even one.
    """
    height, width, channels = after.shape
    peak = np.iinfo(after.dtype).max
    line = np.full((height, 2 * max(1, round(width / 800)), channels), round(_LINE * peak), after.dtype)
    if channels in (2, 4):
        line[..., -1] = peak
    return np.concatenate([enlarged(before, height, width), line, after], axis=1)


def enlarged(before: np.ndarray, height: int, width: int) -> np.ndarray:
    """A frame [H, W, C] at the size of its restored frame (MATLAB bicubic), the frame itself if it has that size.

    The scale is the whole number that reaches the size. Networks that cut frames to a multiple of some size cut
    at the right and at the bottom; so is the enlarged frame.
    """
    if before.shape[:2] == (height, width):
        return before
    scale = whole_scale(before.shape, (height, width))
    return (before if scale == 1 else imresize(before, scale))[:height, :width]


def whole_scale(before: Sequence[int], after: Sequence[int]) -> int:
    """By what a frame of the size [H, W, ...] was multiplied, before it was cut to the size [H', W', ...]."""
    return math.ceil(max(after[0] / before[0], after[1] / before[1]))


def comparison_path(path: str | os.PathLike) -> Path:
    """NAME_compare.ext beside the file NAME.ext; NAME_compare for the folder NAME.

    Raises `InputError` for the standard output ('-').
    """
    if os.fspath(path) == "-":
        raise InputError("a comparison is written beside the result; name a file or a folder for it, not '-'")
    is_file = not Path(path).is_dir() and not os.fspath(path).endswith(os.sep)
    path = Path(path) if Path(path).name not in ("", "..") else Path(os.path.abspath(path))
    if is_file and path.suffix.lower() in _FILE_SUFFIXES:
        return path.with_name(f"{path.stem}_compare{path.suffix}")
    return path.with_name(f"{path.name}_compare")


def comparison_sink(path: str | os.PathLike, *, like: Footage | None = None, **settings: Any) -> Sink:
    """Where `side_by_side` frames go: the sink of `comparison_path(path)`, with the times, sound, colors of `like`.

    Args:
        path: the result's, not the comparison's.
        like, settings: as `open_sink` takes them for the result.
    Raises:
        InputError: the standard output; what `open_sink` refuses.
    """
    return open_sink(comparison_path(path), like=like, **settings)
