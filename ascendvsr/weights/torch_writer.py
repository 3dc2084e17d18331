"""Writes what `torch.load(weights_only=True)` reads, without PyTorch.

The zip archive of PyTorch 1.6 and later: `<folder>/data.pkl`, which describes the tensors, beside one member
`<folder>/data/<key>` per storage. Facts: torch/serialization.py.
"""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ascendvsr.weights.pickle_reader import STORAGE_DTYPES

Tree = Mapping[str, Any]  # of arrays, or of such trees

_FOLDER = "archive"
_ALIGNMENT = 64  # of storages in the file, which PyTorch may map into memory
_HEADER = 30  # bytes of a member's header, before its name
_STORAGES = {
    np.dtype(dtype): name for name, dtype in STORAGE_DTYPES.items() if dtype != "bfloat16" and name[0] != "Q"
}


def write(path: Path, tree: Tree) -> None:
    """Writes nested dicts of arrays; each array gets a storage of its own, little-endian.

    Raises KeyError for an array of a type that PyTorch has no storage for.
    """
    storages: list[np.ndarray] = []
    operations = pickle.PROTO + b"\x02" + _dictionary(tree, storages) + pickle.STOP
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        _add(archive, "data.pkl", operations)
        _add(archive, "byteorder", b"little")
        for key, array in enumerate(storages):
            _add(archive, f"data/{key}", array.astype(array.dtype.newbyteorder("<")).tobytes())
        _add(archive, "version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Adds a member whose content begins at a multiple of `_ALIGNMENT`."""
    member = zipfile.ZipInfo(f"{_FOLDER}/{name}")
    begins = cast(IO[bytes], archive.fp).tell() + _HEADER + len(member.filename) + 4
    padding = -begins % _ALIGNMENT
    member.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    archive.writestr(member, data)


def _dictionary(tree: Tree, storages: list[np.ndarray]) -> bytes:
    """Pickle operations that leave an OrderedDict on the stack; its arrays are added to `storages`."""
    items = b""
    for name, value in tree.items():
        items += _value(name)
        items += _dictionary(value, storages) if isinstance(value, Mapping) else _tensor(value, storages)
    return _empty_dictionary() + pickle.MARK + items + pickle.SETITEMS


def _empty_dictionary() -> bytes:
    return _global("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE


def _tensor(array: np.ndarray, storages: list[np.ndarray]) -> bytes:
    key = str(len(storages))
    storages.append(np.ascontiguousarray(array))
    kind = _global("torch", _STORAGES[array.dtype.newbyteorder("=")])
    storage = _tuple(_value("storage"), kind, _value(key), _value("cpu"), _value(array.size)) + pickle.BINPERSID
    strides = np.cumprod([1, *array.shape[:0:-1]], dtype=np.int64)[::-1] if array.ndim else ()
    arguments = _tuple(
        storage,
        _value(0),
        _tuple(*map(_value, array.shape)),
        _tuple(*(_value(int(stride)) for stride in strides)),
        pickle.NEWFALSE,
        _empty_dictionary(),
    )
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + pickle.REDUCE


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _tuple(*items: bytes) -> bytes:
    return pickle.MARK + b"".join(items) + pickle.TUPLE


def _value(value: str | int) -> bytes:
    """A string or a number as its pickle has it, without the protocol before it and the end behind it."""
    if isinstance(value, str):
        data = value.encode()
        return pickle.BINUNICODE + len(data).to_bytes(4, "little") + data
    return pickle.dumps(int(value), 2)[2:-1]
