"""Reading TFRecord files of frames, as `ascendvsr prepare --to tfrecord` writes them.

There is a `tf.train.Example` per frame, with `key` (000/00000000) and `image`, the bytes of a PNG file. TensorFlow
can read such a file from its beginning on; here the places of all frames are found first, so that each can be read
by itself. All that the file says is checked against its size.

Source: TFRecord's format (length, checksum of the length, data, checksum) and the encoding of protocol buffers.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from ascendcv.dataloader.lmdb_file import read_at
from ascendcv.utils.errors import InputError

_HEADER = struct.Struct("<QI")  # of a record: length, masked checksum of these 8 bytes
_FOOTER = 4
_LEAP = 64  # bytes that are read to find a field


class TfRecords:
    """A TFRecord file: `places`, from every key to the (offset, size) of its image. Threads may share it."""

    def __init__(self, path: str | os.PathLike):
        """Finds all frames. Raises `InputError` naming the file: missing, of another kind, damaged or cut short."""
        self.path = Path(path)
        try:
            self._file = open(self.path, "rb", buffering=0)  # noqa: SIM115 (open as long as the object is)
            self._size = os.fstat(self._file.fileno()).st_size
            self.places: dict[str, tuple[int, int]] = {}
            for begin, end in self._records():
                key, place = self._frame(begin, end)
                if key in self.places:
                    raise ValueError(f"it has the key {key} twice")
                self.places[key] = place
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror or error}") from error
        except (ValueError, struct.error) as error:
            raise InputError(
                f"{self.path} is no whole TFRecord file of frames ({error}); copy or make it again"
            ) from error

    def read(self, key: str, start: int = 0, count: int | None = None) -> bytes:
        """The image of a key, or `count` bytes of it from `start` on.

        Raises KeyError without such a key, `InputError` if the file cannot be read any more.
        """
        offset, size = self.places[key]
        size = max(size - start, 0) if count is None else min(count, max(size - start, 0))
        try:
            return read_at(self._file, offset + start, size)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path} cannot be read at {key} ({error}); copy or make it again") from error

    def _records(self) -> Iterator[tuple[int, int]]:
        """Where the data of every record begins and ends."""
        offset = 0
        while offset < self._size:
            header = read_at(self._file, offset, _HEADER.size)
            length, checksum = _HEADER.unpack(header)
            begin = offset + _HEADER.size
            if checksum != _masked_crc32c(header[:8]):
                raise ValueError("the checksum of a length is wrong")
            if begin + length + _FOOTER > self._size:
                raise ValueError("it is cut short")
            yield begin, begin + length
            offset = begin + length + _FOOTER

    def _frame(self, begin: int, end: int) -> tuple[str, tuple[int, int]]:
        """The key of an example and the place of its image."""
        features: dict[bytes, tuple[int, int]] = {}
        for _, outer, outer_end in self._fields(begin, end, 1):  # Example.features
            for _, inner, inner_end in self._fields(outer, outer_end, 1):  # Features.feature, a map
                parts = {number: (first, last) for number, first, last in self._fields(inner, inner_end)}
                name = self._bytes(parts.get(1))
                if name in (b"key", b"image") and 2 in parts:
                    lists = [(first, last) for _, first, last in self._fields(*parts[2], 1)]  # Feature.bytes_list
                    values = [(first, last) for found in lists for _, first, last in self._fields(*found, 1)]
                    if len(values) != 1:
                        raise ValueError(f"an example has {len(values)} values of {name.decode()}")
                    features[name] = values[0]
        if len(features) != 2:
            raise ValueError("an example has no key or no image")
        first, last = features[b"image"]
        return os.fsdecode(self._bytes(features[b"key"])), (first, last - first)

    def _bytes(self, place: tuple[int, int] | None) -> bytes:
        if place is None or place[1] - place[0] > 4096:
            raise ValueError("an example has no name, or one that is too long")
        return read_at(self._file, place[0], place[1] - place[0])

    def _fields(self, begin: int, end: int, wanted: int | None = None) -> Iterator[tuple[int, int, int]]:
        """The length-delimited fields of a message: number, and where the content begins and ends."""
        while begin < end:
            data = read_at(self._file, begin, min(_LEAP, end - begin))
            tag, at = _varint(data, 0)
            length, at = _varint(data, at)
            if tag & 7 != 2:
                raise ValueError("an example has a field of an unknown kind")
            first = begin + at
            if first + length > end:
                raise ValueError("a field of an example is longer than the example")
            if wanted in (None, tag >> 3):
                yield tag >> 3, first, first + length
            begin = first + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(10):
        if at >= len(data):
            raise ValueError("an example is cut short")
        value |= (data[at] & 127) << (7 * index)
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise ValueError("a number in an example is too long")


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC32C = _crc_table()


def _masked_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
