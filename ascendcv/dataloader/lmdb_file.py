"""Reading LMDB files, in which BasicSR and KAIR keep frames: key 000/00000000, value the bytes of a PNG file.

An LMDB environment is a folder with one file, data.mdb: a B+ tree of pages. Reading it takes neither the
library nor a lock, as long as nobody writes to it. The library maps the file into memory and trusts it: a file that
is damaged or becomes shorter ends the process. Here every page is read once, with all that it says checked against
the file's size, and a value is read by a call that can fail.

Source: the format of LMDB 0.9 (`mdb.c`: MDB_meta, MDB_page, MDB_node) on 64-bit little-endian machines.
"""

import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ascendcv.utils.errors import InputError

_MAGIC = 0xBEEFC0DE
_HEADER = struct.Struct("<QHHHH")  # of a page: number, -, flags, lower, upper
# Of the first two pages: magic, version, the size of pages; of the main tree its flags and root; the transaction.
_META = struct.Struct("<II16xI44x4xH34xQ8xQ")
_NODE = struct.Struct("<HHHH")  # of an entry: 32 bits of value or child, flags, length of the key
_BRANCH, _LEAF = 1, 2  # flags of a page
_BIG = 1  # flag of a node: its value has pages of its own
_NO_PAGE = 2**64 - 1
_PAGE_SIZES = {1 << bits for bits in range(8, 17)}


class Lmdb:
    """An environment: `places`, from every key, in their order, to the (offset, size) of its value in the file.

    Keys are text as names of files are: bytes that are no UTF-8 are kept (`os.fsdecode`). Threads may share it.
    """

    def __init__(self, folder: str | os.PathLike):
        """Reads the tree. Raises `InputError` naming the file: missing, no LMDB, damaged or cut short."""
        self.path = Path(folder) / "data.mdb"
        try:
            self._file = open(self.path, "rb", buffering=0)  # noqa: SIM115 (open as long as the object is)
            self._size = os.fstat(self._file.fileno()).st_size
            self.places: dict[str, tuple[int, int]] = {}
            for key, place in self._entries():
                if key in self.places:  # or a few bytes would stand for many entries
                    raise ValueError("it has a key twice")
                self.places[key] = place
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror or error}") from error
        except (ValueError, struct.error) as error:
            raise InputError(f"{self.path} is no whole LMDB file ({error}); copy or make it again") from error

    def read(self, key: str, start: int = 0, count: int | None = None) -> bytes:
        """The value of a key, or `count` bytes of it from `start` on.

        Raises KeyError without such a key, `InputError` if the file cannot be read any more.
        """
        offset, size = self.places[key]
        size = max(size - start, 0) if count is None else min(count, max(size - start, 0))
        try:
            return self._read(offset + start, size)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path} cannot be read at {key} ({error}); copy or make it again") from error

    def close(self) -> None:
        """Ends reading."""
        self._file.close()

    def _read(self, offset: int, size: int) -> bytes:
        if offset + size > self._size:
            raise ValueError("it is cut short")
        return read_at(self._file, offset, size)

    def _entries(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Key and place of every value; no page is visited twice."""
        self._page_size, root = self._tree()
        waiting, visited = [] if root == _NO_PAGE else [root], set()
        while waiting:
            number = waiting.pop()
            if number in visited:
                raise ValueError("its tree has a loop")
            visited.add(number)
            page = self._page(number)
            flags = _HEADER.unpack_from(page)[2]
            if flags & _BRANCH and not flags & _LEAF:
                waiting += [low | high << 16 | top << 32 for low, high, top, *_ in reversed(self._nodes(page))]
            elif flags & _LEAF:
                for low, high, node_flags, key, start in self._nodes(page):
                    yield os.fsdecode(key), self._place(number, page, low | high << 16, node_flags, start)
            else:
                raise ValueError("it has pages of an unknown kind")

    def _tree(self) -> tuple[int, int]:
        """The size of a page, and the root of the main tree by the newer of the two descriptions in front."""
        newest = (-1, 0, 0, 0)
        offset = 0
        for _ in range(2):
            description = self._read(offset, _HEADER.size + _META.size)
            magic, version, page_size, flags, root, transaction = _META.unpack_from(description, _HEADER.size)
            if magic != _MAGIC or version != 1:
                raise ValueError("it does not begin as one")
            if page_size not in _PAGE_SIZES:
                raise ValueError(f"it has pages of {page_size} bytes")
            newest = max(newest, (transaction, page_size, root, flags))
            offset = page_size
        if newest[3]:
            raise ValueError("its keys are sorted in an own way, or have several values")
        return newest[1:3]

    def _page(self, number: int) -> bytes:
        if number >= self._size // self._page_size + 1:
            raise ValueError(f"it names a page {number}, which it does not have; it is cut short or damaged")
        return self._read(number * self._page_size, self._page_size)

    def _nodes(self, page: bytes) -> list[tuple[int, int, int, bytes, int]]:
        """Of each node its three numbers, its key, and where in the page its value begins."""
        lower = _HEADER.unpack_from(page)[3]
        if not _HEADER.size <= lower <= len(page):
            raise ValueError("a page says it is longer than pages are")
        nodes = []
        for place in struct.unpack_from(f"<{(lower - _HEADER.size) // 2}H", page, _HEADER.size):
            *numbers, key_size = _NODE.unpack_from(page, place)
            start = place + _NODE.size + key_size
            if place < lower or start > len(page):
                raise ValueError("a page has an entry outside of it")
            nodes.append((*numbers, page[place + _NODE.size : start], start))
        return nodes

    def _place(self, number: int, page: bytes, size: int, flags: int, start: int) -> tuple[int, int]:
        """Where in the file a value lies."""
        if flags & ~_BIG:
            raise ValueError("it has entries of an unknown kind")
        if not flags & _BIG:
            if start + size > len(page):
                raise ValueError("a page has an entry outside of it")
            return number * self._page_size + start, size
        (first,) = struct.unpack_from("<Q", page, start)
        offset = first * self._page_size + _HEADER.size
        if offset + size > self._size:
            raise ValueError("it is cut short")
        return offset, size


_lock = threading.Lock()


def read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    """`size` bytes of an unbuffered file, which threads may share. Raises OSError, and ValueError at its end."""
    data = b""
    while len(data) < size:
        if hasattr(os, "pread"):
            part = os.pread(file.fileno(), size - len(data), offset + len(data))
        else:  # Windows
            with _lock:
                file.seek(offset + len(data))
                part = file.read(size - len(data))
        if not part:
            raise ValueError("it is cut short")
        data = data + part if data else part
    return data


def read_lmdb(folder: str | os.PathLike) -> Iterator[tuple[str, bytes]]:
    """All (key, value) of an environment, in the order of the keys. Raises `InputError` as `Lmdb` does."""
    environment = Lmdb(folder)
    try:
        for key in environment.places:
            yield key, environment.read(key)
    finally:
        environment.close()
