"""Between the integers that files hold and the numbers that networks compute with."""

from collections.abc import Sequence

import numpy as np

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import to_rgb

Levels = np.dtype | type[np.unsignedinteger] | None  # what frames are rounded to; None: nothing


def to_unit_rgb(pixels: np.ndarray) -> np.ndarray:
    """[H, W, 1 to 4] uint8 or uint16 -> [H, W, 3] float32 in [0, 1], without alpha."""
    return to_unit(to_rgb(pixels))


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 -> float32 in [0, 1]; what is float already stays as it is."""
    return pixels if is_float(pixels) else pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def is_float(frame: np.ndarray) -> bool:
    """Whether it holds no pixels of a file, but what a network computes with."""
    return frame.dtype.kind != "u"


def stacked(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Frames [H, W, C] -> [T, H, W, C]: as they are where all have one dtype, else float32 in [0, 1]."""
    return np.stack(frames if len({frame.dtype for frame in frames}) == 1 else [to_unit(frame) for frame in frames])


def to_255(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 -> float32 in 0..255."""
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max // 255)


def quantize(frame: np.ndarray, dtype: np.dtype | type[np.unsignedinteger]) -> np.ndarray:
    """Float32 in [0, 1] -> uint8 or uint16: clipped, scaled, rounded half to even."""
    levels = np.clip(frame, 0, 1) * np.float32(np.iinfo(dtype).max)
    return np.rint(levels, out=levels).astype(dtype)


def check_finite(finite: np.ndarray) -> None:
    """Raises FloatingPointError with the number of the first of `finite`, [N], that is False."""
    if not finite.all():
        raise FloatingPointError(int(np.argmin(finite)))


def to_pixels(frame: np.ndarray, original: np.ndarray, scale: int) -> np.ndarray:
    """A restored frame [H', W', 3] with the dtype and kind of channels of its original [H, W, C].

    It is float32, or has the original's dtype already where that is in color. Gray is luma of BT.601; alpha is that
    of the original, resized apart (MATLAB bicubic).
    """
    channels = original.shape[-1]
    if channels <= 2:
        frame = frame @ np.array([[0.299], [0.587], [0.114]], np.float32)
    pixels = quantize(frame, original.dtype) if is_float(frame) else frame
    if channels in (1, 3):
        return pixels
    alpha = imresize(original[..., -1:], scale)[: pixels.shape[0], : pixels.shape[1]]
    return np.concatenate([pixels, alpha], axis=-1)
