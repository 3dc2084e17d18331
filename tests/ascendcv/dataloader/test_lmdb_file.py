"""LMDB files: what BasicSR wrote, trees of several pages, damage."""

import struct
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.lmdb_file import read_lmdb
from ascendcv.utils.errors import InputError
from tests.support import PROJECT

PAGE = 4096


@pytest.fixture
def reds_lmdb(tmp_path: Path) -> Path:
    """Six frames as BasicSR wrote them."""
    folder = tmp_path / "reds.lmdb"
    folder.mkdir()
    vector = np.load(PROJECT / "tests/golden/vectors/common/lmdb_reds.npz")
    (folder / "data.mdb").write_bytes(vector["data_mdb"].tobytes())
    return folder


def page(number: int, flags: int, entries: list[bytes]) -> bytes:
    """A page of nodes, filled from its end as LMDB does."""
    places, content, end = [], bytearray(PAGE), PAGE
    for entry in entries:
        end -= len(entry) + len(entry) % 2
        content[end : end + len(entry)] = entry
        places.append(end)
    content[:16] = struct.pack("<QHHHH", number, 0, flags, 16 + 2 * len(places), end)
    content[16 : 16 + 2 * len(places)] = struct.pack(f"<{len(places)}H", *places)
    return bytes(content)


def leaf_node(key: str, value: bytes) -> bytes:
    return struct.pack("<HHHH", len(value) & 0xFFFF, len(value) >> 16, 0, len(key)) + key.encode() + value


def big_node(key: str, size: int, number: int) -> bytes:
    header = struct.pack("<HHHH", size & 0xFFFF, size >> 16, 1, len(key))
    return header + key.encode() + struct.pack("<Q", number)


def branch_node(key: str, child: int) -> bytes:
    return struct.pack("<HHHH", child & 0xFFFF, child >> 16 & 0xFFFF, child >> 32, len(key)) + key.encode()


def meta(number: int, root: int, transaction: int) -> bytes:
    free = struct.pack("<IHHQQQQQ", PAGE, 0, 0, 0, 0, 0, 0, 2**64 - 1)
    main = struct.pack("<IHHQQQQQ", 0, 0, 2, 1, 2, 0, 4, root)
    fields = struct.pack("<IIQQ", 0xBEEFC0DE, 1, 0, 1 << 20) + free + main + struct.pack("<QQ", 7, transaction)
    return (struct.pack("<QHHHH", number, 0, 8, 0, 0) + fields).ljust(PAGE, b"\0")


def test_the_frames_of_a_data_set_in_the_order_of_their_keys(reds_lmdb: Path):
    entries = list(read_lmdb(reds_lmdb))
    assert [key for key, _ in entries] == [f"{clip:03d}/{frame:08d}" for clip in (0, 1) for frame in range(3)]
    assert all(value.startswith(b"\x89PNG") and value[-8:-4] == b"IEND" for _, value in entries)


def test_a_tree_of_branches_and_values_longer_than_a_page(tmp_path: Path):
    long_value = bytes(range(256)) * 20  # two pages
    pages = [
        meta(0, root=4, transaction=3),  # before the last change
        meta(1, root=2, transaction=4),
        page(2, 1, [branch_node("", 3), branch_node("b", 4)]),
        page(3, 2, [leaf_node("a/0", b"first"), leaf_node("a/1", b"")]),
        page(4, 2, [big_node("b/0", len(long_value), 5), leaf_node("b/1", b"last")]),
        (struct.pack("<QHHI", 5, 0, 4, 2) + long_value).ljust(2 * PAGE, b"\0"),
    ]
    (tmp_path / "data.mdb").write_bytes(b"".join(pages))
    assert list(read_lmdb(tmp_path)) == [("a/0", b"first"), ("a/1", b""), ("b/0", long_value), ("b/1", b"last")]


def test_an_environment_may_be_empty(tmp_path: Path):
    (tmp_path / "data.mdb").write_bytes(meta(0, 2**64 - 1, 0) + meta(1, 2**64 - 1, 0))
    assert list(read_lmdb(tmp_path)) == []


@pytest.mark.parametrize("size", [0, 100, PAGE, 3 * PAGE, 20000])
def test_a_file_that_is_cut_short_is_named(reds_lmdb: Path, size: int):
    path = reds_lmdb / "data.mdb"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"reds\.lmdb/data\.mdb is no whole LMDB file"):
        list(read_lmdb(reds_lmdb))


def test_what_is_no_lmdb_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot read .*data\.mdb: No such file"):
        list(read_lmdb(tmp_path))
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1000)
    with pytest.raises(InputError, match=r"is no whole LMDB file \(it does not begin as one\)"):
        list(read_lmdb(tmp_path))
    loop = meta(0, 2, 0) + meta(1, 2, 1) + page(2, 1, [branch_node("", 2)])
    (tmp_path / "data.mdb").write_bytes(loop)
    with pytest.raises(InputError, match=r"its tree has a loop"):
        list(read_lmdb(tmp_path))


def with_node_at(page_bytes: bytes, place: int) -> bytes:
    """The page with its first entry said to be at `place`."""
    return page_bytes[:16] + struct.pack("<H", place) + page_bytes[18:]


LEAF = page(3, 2, [leaf_node("a/0", b"value")])


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        ([page(2, 1, [branch_node("", 2**48 - 1)])], r"it names a page 281474976710655, which it does not have"),
        ([page(2, 1, [branch_node("", 9)])], r"it names a page 9, which it does not have"),
        ([page(2, 1, [branch_node("", 3)] * 300), LEAF], r"its tree has a loop"),
        ([page(2, 1, [branch_node("", 3), branch_node("b", 2)]), LEAF], r"its tree has a loop"),
        ([page(2, 2, [leaf_node("a/0", b"1"), leaf_node("a/0", b"2")])], r"it has a key twice"),
        ([page(2, 2, [big_node("a/0", 100, 2**60)])], r"it is cut short"),
        ([page(2, 2, [big_node("a/0", 2**32 - 1, 2)])], r"it is cut short"),
        ([page(2, 2, [leaf_node("a/0", b"x" * 50)[:-50]])], r"a page has an entry outside of it"),
        ([with_node_at(page(2, 2, [leaf_node("a/0", b"x")]), 4095)], r"no whole LMDB file"),
        ([with_node_at(page(2, 2, [leaf_node("a/0", b"x")]), 2)], r"a page has an entry outside of it"),
        ([page(2, 2, [struct.pack("<HHHH", 1, 0, 0, 9999) + b"a"])], r"a page has an entry outside of it"),
        ([page(2, 2, [struct.pack("<HHHH", 1, 0, 2, 1) + b"ab"])], r"it has entries of an unknown kind"),
        ([page(2, 0x20, [leaf_node("a", b"x")])], r"it has pages of an unknown kind"),
        ([page(2, 2, [])[:12] + struct.pack("<HH", 65535, 0) + bytes(PAGE - 16)], r"a page says it is longer"),
    ],
)
def test_nothing_that_a_damaged_file_says_is_believed(tmp_path: Path, pages: list[bytes], message: str):
    (tmp_path / "data.mdb").write_bytes(meta(0, 2, 0) + meta(1, 2, 1) + b"".join(pages))
    with pytest.raises(InputError, match=message):
        list(read_lmdb(tmp_path))


def test_a_small_file_cannot_ask_for_much_time_or_memory(tmp_path: Path):
    """Fifteen pages, each of which leads 200 times to the next: every page is visited once."""
    pages = [
        page(number, 1, [branch_node(str(entry), number + 1) for entry in range(200)]) for number in range(2, 14)
    ]
    (tmp_path / "data.mdb").write_bytes(meta(0, 2, 0) + meta(1, 2, 1) + b"".join(pages) + LEAF)
    with pytest.raises(InputError, match="is no whole LMDB file"):
        list(read_lmdb(tmp_path))


@pytest.mark.parametrize("size", [0, 3, 100, 1 << 20, 2**32 - 1])
def test_pages_of_an_impossible_size_are_refused(reds_lmdb: Path, size: int):
    path = reds_lmdb / "data.mdb"
    data = path.read_bytes()
    path.write_bytes(data[:40] + struct.pack("<I", size) + data[44:])
    with pytest.raises(InputError, match=rf"it has pages of {size} bytes"):
        list(read_lmdb(reds_lmdb))
