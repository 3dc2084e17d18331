"""Files in .safetensors: eight bytes of header length, a JSON header, then the tensors one after another.

Format: https://github.com/huggingface/safetensors#format. The library of that name writes them; they are read here,
because a damaged file should be named in one line, and bfloat16 is no type of NumPy.
"""

import json
import math
from pathlib import Path

import numpy as np

from ascendcv.utils.errors import InputError
from ascendvsr.weights.torch_file import bfloat16_to_float32

_MAX_HEADER_BYTES = 100_000_000  # the format's own limit

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


def read(path: Path) -> dict[str, np.ndarray]:
    """Names -> arrays, bfloat16 as float32.

    Raises `InputError` for sizes that contradict each other and for types that it does not know; other
    exceptions for a damaged header.
    """
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(_MAX_HEADER_BYTES, path.stat().st_size - 8):
            raise InputError(
                f"{path} is no safetensors file, or truncated: its header should have {length:,} bytes"
            )
        header = json.loads(file.read(length), object_pairs_hook=_unique)
        data = file.read()
    header.pop("__metadata__", None)
    arrays, expected = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        shape, (begin, end) = entry["shape"], entry["data_offsets"]
        if entry["dtype"] not in _DTYPES:
            raise InputError(
                f"{path} holds {name} as {str(entry['dtype'])[:20]}; only {', '.join(_DTYPES)} are read"
            )
        if any(type(number) is not int or number < 0 for number in (*shape, begin, end)):
            raise InputError(f"{path} gives {name} a shape or place that no tensor has: it is damaged")
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        if begin != expected or end > len(data) or end - begin != math.prod(shape) * dtype.itemsize:
            raise InputError(
                f"{path} is truncated or damaged: the place of {name} does not fit its shape or neighbors"
            )
        expected = end
        array = np.frombuffer(data, dtype, math.prod(shape), begin).reshape(shape)
        arrays[name] = bfloat16_to_float32(array) if entry["dtype"] == "BF16" else array
    if expected != len(data):
        raise InputError(f"{path} is damaged: {len(data) - expected:,} bytes belong to no tensor")
    return arrays


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes names -> arrays."""
    from safetensors.numpy import save

    path.write_bytes(save({name: np.array(array, order="C") for name, array in arrays.items()}, {"format": "pt"}))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a header with a name twice")
    return dict(pairs)
