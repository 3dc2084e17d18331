"""Optical flow in files of the Middlebury benchmark's format, .flo.

The float32 202021.25, width and height as int32, then (x, y) of each pixel as float32, row by row; little-endian.
"""

import os
import struct
from pathlib import Path

import numpy as np

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path

_MAGIC = 202021.25
_HEADER = struct.Struct("<fii")
_PIXEL_BYTES = 8


def read_flo(path: str | os.PathLike) -> np.ndarray:
    """[H, W, 2] float32 in pixels, channel 0 to the right.

    Raises `InputError` naming the file for one that is missing, damaged, cut short or of another kind.
    """
    height, width = flo_size(path)
    pixels = np.fromfile(path, "<f4", 2 * height * width, offset=_HEADER.size)
    return pixels.astype(np.float32, copy=False).reshape(height, width, 2)


def flo_size(path: str | os.PathLike) -> tuple[int, int]:
    """(height, width) that a .flo file says it has, and has the length for. Raises as `read_flo`."""
    try:
        with open(path, "rb") as file:
            header, length = file.read(_HEADER.size), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputError(f"cannot read the flow {path}: {error.strerror}") from error
    if len(header) < _HEADER.size:
        raise InputError(f"{path} is cut short: it has {length} bytes; copy or extract it again")
    magic, width, height = _HEADER.unpack(header)
    if magic != _MAGIC:
        raise InputError(f"{path} is no .flo file: it begins with {magic:g}, not with {_MAGIC}")
    expected = _HEADER.size + width * height * _PIXEL_BYTES
    if width < 1 or height < 1 or length != expected:
        raise InputError(
            f"{path} is cut short or damaged: it says it has {width}x{height} pixels, which {length:,} bytes do "
            "not hold; copy or extract it again"
            if length < expected
            else f"{path} is damaged: it says it has {width}x{height} pixels, and it has {length:,} bytes"
        )
    return height, width


def write_flo(path: str | os.PathLike, flow: np.ndarray) -> None:
    """Writes [H, W, 2] as a .flo file, which appears complete or not at all.

    Raises `InputError` for another ending.
    """
    if Path(path).suffix.lower() != ".flo":
        raise InputError(f"optical flow is written as .flo, not to {path}")
    height, width, _ = flow.shape
    with atomic_path(path) as temporary:
        temporary.write_bytes(_HEADER.pack(_MAGIC, width, height) + flow.astype("<f4").tobytes())
