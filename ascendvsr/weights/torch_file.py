"""Reads what `torch.save` wrote, without PyTorch.

Two containers are read: the zip archive of PyTorch 1.6 and later (`<folder>/data.pkl` beside one member
`<folder>/data/<key>` a storage) and the legacy stream before it (five pickles, then each storage as its
number of elements and its bytes). Facts: torch/serialization.py.
"""

import io
import math
import mmap
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Literal, cast

import numpy as np

from ascendcv.utils.errors import InputError
from ascendvsr.weights.archive import open_archive, read_member
from ascendvsr.weights.pickle_reader import Storage, Tensor, is_count, read_pickle
from ascendvsr.weights.wrappers import Found, find_network

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAX_PICKLE_BYTES = 64 << 20  # the pickle of a thousand tensors and their optimizer has less than one MB
_OPERATIONS = 100_000  # that a pickle of any file may have, and half as many more as the file has bytes
_SMALL = 16 << 20  # bytes that the tensors of any file may take; of larger files, so many times their size:
_MAX_EXPANSION = 4  # because overlapping views can make much of a small file


def read_zip(path: Path, weights: str = "auto") -> Found:
    """The state dict in a torch zip archive: its names -> arrays, bfloat16 as float32.

    `weights` chooses between raw and averaged ones (`ascendvsr.weights.wrappers`). Raises `InputError` for a pickle
    that asks for what runs programs, for sizes that contradict each other and for a file without weights or with
    several networks; other exceptions for a damaged one.
    """
    with open_archive(path) as archive:
        members = {member.filename: member.file_size for member in archive.infolist()}
        (pickle_name,) = (name for name in members if is_pickle_member(name))
        folder = pickle_name.removesuffix("data.pkl")
        if f"{folder}constants.pkl" in members:
            raise InputError(
                f"{path} is a TorchScript program; load it with torch.jit.load and save its state_dict()"
            )
        if members[pickle_name] > _MAX_PICKLE_BYTES:
            raise InputError(f"{path} is refused: it describes its tensors in {members[pickle_name]:,} bytes")
        tree, _ = read_pickle(io.BytesIO(read_member(archive, pickle_name)), str(path), _operations(path))
        big = f"{folder}byteorder" in members and read_member(archive, f"{folder}byteorder") == b"big"
        cache: dict[str, bytes] = {}

        def storage_bytes(storage: Storage) -> bytes:
            if storage.key not in cache:
                cache[storage.key] = read_member(archive, f"{folder}data/{storage.key}")
            return cache[storage.key]

        found = find_network(tree, _is_weight, str(path), weights)
        return found._replace(arrays=_arrays(found.arrays, storage_bytes, ">" if big else "<", path))


def is_pickle_member(name: str) -> bool:
    """Whether a zip member is the pickle of a torch archive, whatever its top folder is called."""
    return name.split("/")[-1] == "data.pkl" and name.count("/") <= 1


def read_legacy(path: Path, weights: str = "auto") -> Found:
    """The state dict in a legacy torch file; returns and raises as `read_zip`."""
    with open(path, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        file = cast(BinaryIO, mapped)
        limit = _operations(path)
        header = [read_pickle(file, str(path), limit)[0] for _ in ("magic number", "protocol", "system")]
        if header[:2] != [LEGACY_MAGIC, _LEGACY_PROTOCOL] or header[2].get("little_endian") is not True:
            raise InputError(f"{path} is no torch file of a little-endian machine and a known protocol")
        tree, storages = read_pickle(file, str(path), limit)
        keys, _ = read_pickle(file, str(path), limit)
        if not all(isinstance(key, str) for key in keys):
            raise InputError(f"{path} has storages without names: it is damaged")
        starts: dict[str, int] = {}
        for key in keys:
            if int.from_bytes(file.read(8), "little") != storages[key].numel:
                raise InputError(f"{path} contradicts itself about the size of a storage: it is damaged")
            starts[key] = file.tell()
            file.seek(storages[key].numel * _itemsize(storages[key]), os.SEEK_CUR)

        def storage_bytes(storage: Storage) -> bytes:
            start = starts[storage.key]
            return mapped[start : start + storage.numel * _itemsize(storage)]

        found = find_network(tree, _is_weight, str(path), weights)
        return found._replace(arrays=_arrays(found.arrays, storage_bytes, "<", path))


def _operations(path: Path) -> int:
    return _OPERATIONS + path.stat().st_size // 2


def _is_weight(value: object) -> bool:
    """Whether a value is a tensor; no network here has complex ones."""
    return isinstance(value, Tensor) and not value.storage.dtype.startswith("c")


def _arrays(
    tensors: Mapping[str, Tensor],
    storage_bytes: Callable[[Storage], bytes],
    byte_order: Literal["<", ">"],
    path: Path,
) -> dict[str, np.ndarray]:
    total, most = 0, max(_SMALL, _MAX_EXPANSION * path.stat().st_size)
    arrays = {}
    for name, tensor in tensors.items():
        _check(name, tensor, path)
        total += math.prod(tensor.shape) * _itemsize(tensor.storage)
        if total > most:
            raise InputError(
                f"{path} is refused: its tensors claim more than {most:,} bytes, and it has {path.stat().st_size:,}"
            )
        data = storage_bytes(tensor.storage)
        if len(data) != tensor.storage.numel * _itemsize(tensor.storage):
            raise InputError(
                f"{path} has {len(data):,} bytes for {name}, not what it declares: it is truncated or damaged"
            )
        arrays[name] = _array(tensor, data, byte_order)
    return arrays


def _itemsize(storage: Storage) -> int:
    return 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize


def _check(name: str, tensor: Tensor, path: Path) -> None:
    """Raises `InputError` unless every element of the tensor lies in its storage."""
    numbers = (tensor.offset, *tensor.shape, *tensor.stride)
    if len(tensor.shape) != len(tensor.stride) or not all(map(is_count, numbers)):
        raise InputError(f"{path} gives {name} a shape or stride that no tensor has")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride, strict=True))
    if 0 not in tensor.shape and last >= tensor.storage.numel:
        raise InputError(
            f"{path} gives {name} the shape {list(tensor.shape)}, which reaches beyond the "
            f"{tensor.storage.numel:,} elements of its storage: it is damaged"
        )


def _array(tensor: Tensor, data: bytes, byte_order: Literal["<", ">"]) -> np.ndarray:
    """The tensor's elements as a view of `data`; bfloat16 as float32."""
    is_bfloat16 = tensor.storage.dtype == "bfloat16"
    dtype = np.dtype("u2" if is_bfloat16 else tensor.storage.dtype).newbyteorder(byte_order)
    strides = [step * dtype.itemsize for step in tensor.stride]
    view = np.ndarray(tensor.shape, dtype, data, tensor.offset * dtype.itemsize, strides)
    return bfloat16_to_float32(view) if is_bfloat16 else view


def bfloat16_to_float32(halves: np.ndarray) -> np.ndarray:
    """float32 values from the bits of bfloat16 values in 16-bit integers: their upper halves."""
    return (halves.astype(np.uint32, order="C") << 16).view(np.float32)
