"""Reading LMDB files, in which BasicSR and KAIR keep frames: key 000/00000000, value the bytes of a PNG file.

An LMDB environment is a folder with one file, data.mdb: a B+ tree of pages. Reading it takes neither the
library nor a lock, as long as nobody writes to it.

Source: the format of LMDB 0.9 (`mdb.c`: MDB_meta, MDB_page, MDB_node) on 64-bit little-endian machines.
"""

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from ascendcv.utils.errors import InputError

_MAGIC = 0xBEEFC0DE
_HEADER = struct.Struct("<QHHHH")  # of a page: number, -, flags, lower, upper
# Of the first two pages: magic, version, the size of pages, the main tree's root, the number of the transaction.
_META = struct.Struct("<II16xI44x40xQ8xQ")
_NODE = struct.Struct("<HHHH")  # of an entry: 32 bits of value or child, flags, length of the key
_BRANCH, _LEAF = 1, 2  # flags of a page
_BIG, _SUB_TREE = 1, 2  # flags of a node
_NO_PAGE = 2**64 - 1


def read_lmdb(folder: str | os.PathLike) -> Iterator[tuple[str, bytes]]:
    """All (key, value) of an environment, in the order of the keys.

    Raises `InputError` naming the file: missing, no LMDB, damaged or cut short.
    """
    path = Path(folder) / "data.mdb"
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            page_size, root = _tree(data)
            if root != _NO_PAGE:
                yield from _entries(data, page_size, root, depth=0)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, IndexError, struct.error) as error:  # mmap refuses an empty file by a ValueError
        raise InputError(f"{path} is no whole LMDB file ({error}); copy or make it again") from error


def _tree(data: mmap.mmap) -> tuple[int, int]:
    """The size of a page, and the root of the main tree by the newer of the two descriptions in front."""
    newest = (-1, 0, 0)
    offset = 0
    for _ in range(2):
        magic, version, page_size, root, transaction = _META.unpack_from(data, offset + _HEADER.size)
        if magic != _MAGIC or version != 1:
            raise ValueError("it does not begin as one")
        newest = max(newest, (transaction, page_size, root))
        offset = page_size
    return newest[1:]


def _entries(data: mmap.mmap, page_size: int, page: int, depth: int) -> Iterator[tuple[str, bytes]]:
    if depth > 32:
        raise ValueError("its tree has a loop")
    start = page * page_size
    _, _, flags, lower, _ = _HEADER.unpack_from(data, start)
    count = (lower - _HEADER.size) // 2
    for place in struct.unpack_from(f"<{count}H", data, start + _HEADER.size):
        low, high, node_flags, key_size = _NODE.unpack_from(data, start + place)
        key_start = start + place + _NODE.size
        if flags & _BRANCH:
            yield from _entries(data, page_size, low | high << 16 | node_flags << 32, depth + 1)
        elif flags & _LEAF and not node_flags & _SUB_TREE:
            value_start, value_size = key_start + key_size, low | high << 16
            if node_flags & _BIG:  # on pages of its own
                value_start = struct.unpack_from("<Q", data, value_start)[0] * page_size + _HEADER.size
            value = data[value_start : value_start + value_size]
            if len(value) < value_size:
                raise ValueError("it is cut short")
            yield data[key_start : key_start + key_size].decode("ascii"), value
        else:
            raise ValueError("it has pages of an unknown kind")
