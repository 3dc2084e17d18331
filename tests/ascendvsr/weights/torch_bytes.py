"""Writes torch files without PyTorch, so that files can be made which PyTorch itself would never write."""

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {
    "float32": "FloatStorage",
    "int64": "LongStorage",
    "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage",
}


class Raw(bytes):
    """Pickle operations that leave one value on the stack."""


@dataclass
class TorchFile:
    """Collects storages while `value` turns Python values into pickle operations."""

    storages: dict[str, np.ndarray] = field(default_factory=dict)

    def value(self, value: object) -> bytes:
        """Pickle operations (protocol 2) of a value; arrays as `torch.Tensor` is pickled, `Raw` as it is."""
        match value:
            case Raw():
                return value
            case None:
                return b"N"
            case bool():
                return b"\x88" if value else b"\x89"
            case int() | float():
                return pickle.dumps(value, 2)[2:-1]
            case str():
                return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
            case tuple():
                return b"(" + b"".join(map(self.value, value)) + b"t"
            case list():
                return b"](" + b"".join(map(self.value, value)) + b"e"
            case np.ndarray():
                return self.tensor(value)
            case Mapping():
                items = b"".join(self.value(key) + self.value(item) for key, item in value.items())
                return name("collections", "OrderedDict") + b")R(" + items + b"u"
        raise TypeError(type(value))

    def tensor(self, array: np.ndarray, **claims: object) -> Raw:
        """A tensor over a storage of its own; `claims` replaces what it says of itself."""
        key = str(len(self.storages))
        self.storages[key] = array
        honest = {
            "key": key,
            "numel": array.size,
            "offset": 0,
            "shape": array.shape,
            "stride": tuple(step // array.itemsize for step in np.empty(array.shape, array.dtype).strides),
            "storage": STORAGES[array.dtype.name],
        }
        assert claims.keys() <= honest.keys()
        says = honest | claims
        storage_type = Raw(name("torch", says["storage"]))
        identity = self.value(("storage", storage_type, says["key"], "cpu", says["numel"]))
        arguments = (Raw(identity + b"Q"), says["offset"], says["shape"], says["stride"], False, {})
        return Raw(name("torch._utils", "_rebuild_tensor_v2") + self.value(arguments) + b"R")

    def zip(self, tree: object, folder: str = "archive", compression: int = zipfile.ZIP_STORED) -> bytes:
        """The file as PyTorch 1.6 and later write it."""
        return zip_bytes(pickled(self.value(tree)), self.storages, folder, compression)

    def legacy(self, tree: object) -> bytes:
        """The file as PyTorch before 1.6 wrote it."""
        return legacy_bytes(pickled(self.value(tree)), self.storages)


def name(module: str, qualified: str) -> bytes:
    """The operation that asks for a name in a module."""
    return b"c" + f"{module}\n{qualified}\n".encode()


def pickled(operations: bytes) -> bytes:
    return b"\x80\x02" + operations + b"."


def zip_bytes(
    data_pkl: bytes,
    storages: Mapping[str, np.ndarray],
    folder: str = "archive",
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(f"{folder}/data.pkl", data_pkl)
        archive.writestr(f"{folder}/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"{folder}/data/{key}", array.tobytes())
        archive.writestr(f"{folder}/version", "3\n")
    return file.getvalue()


def legacy_bytes(tree: bytes, storages: Mapping[str, np.ndarray]) -> bytes:
    """`tree` is the whole pickle of the checkpoint."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4, "long": 4}}
    header = b"".join(pickle.dumps(part, 2) for part in (LEGACY_MAGIC, 1001, system))
    keys = sorted(storages)
    data = b"".join(struct.pack("<q", storages[key].size) + storages[key].tobytes() for key in keys)
    return header + tree + pickle.dumps(keys, 2) + data
