"""Reads .npz files: a zip archive of one .npy file an array. Arrays of Python objects are never unpickled."""

import io
import math
from pathlib import Path

import numpy as np

from ascendcv.utils.errors import InputError
from ascendvsr.weights.archive import open_archive, read_member

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read(path: Path) -> dict[str, np.ndarray]:
    """Names -> arrays.

    Raises `InputError` for arrays of Python objects and for sizes that contradict each other; other
    exceptions for a damaged file.
    """
    with open_archive(path) as archive:
        return {
            name.removesuffix(".npy"): _array(read_member(archive, name), name, path) for name in archive.namelist()
        }


def _array(data: bytes, name: str, path: Path) -> np.ndarray:
    """The array in a .npy file. The size that its header claims is checked first: numpy would allocate it."""
    file = io.BytesIO(data)
    shape, fortran_order, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    if dtype.hasobject:
        raise InputError(
            f"{path} holds {name} as Python objects, which are never loaded; save numeric arrays alone"
        )
    if math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise InputError(f"{path} is truncated or damaged: {name} has not the size that its shape {shape} needs")
    flat = np.frombuffer(data, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")
