"""Lists of clips and of frames, as BasicSR and KAIR write them."""

from pathlib import Path

import pytest

from ascendcv.dataloader.meta_info import Listed, read_frame_list, read_meta_info
from ascendcv.utils.errors import InputError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "meta_info.txt"


def test_both_kinds_with_a_byte_order_mark_and_any_ends_of_lines(path: Path):
    path.write_bytes(b"\xef\xbb\xbf000 100 (720,1280,3)\r\nGOPR0372 100 (720, 1280, 3) 000047\r00001/0266\n\n")
    assert read_meta_info(path) == [Listed("000", 100), Listed("GOPR0372", 100, 47), Listed("00001/0266")]
    assert [line.shape for line in read_meta_info(path)] == [(720, 1280, 3), (720, 1280, 3), None]


def test_the_frames_of_an_lmdb_s_list_are_gathered_into_clips(path: Path):
    path.write_text(
        "000/00000000.png (720,1280,3) 1\n000/00000001.png (720,1280,3) 1\n001/00000000.png (720,1280,3) 1\n"
    )
    assert read_meta_info(path) == [Listed("000", 2), Listed("001", 1)]
    assert read_frame_list(path)["000/00000001"] == (720, 1280, 3)


def test_a_clip_that_is_listed_twice_is_one_clip(path: Path):
    path.write_text("000 100 (720,1280,3)\n001 100 (720,1280,3)\n000 100 (720,1280,3)\n")
    assert [line.name for line in read_meta_info(path)] == ["000", "001"]
    path.write_text("000 100 (720,1280,3)\n000 50 (720,1280,3)\n")
    with pytest.raises(InputError, match="line 2: clip 000 is listed before with other numbers"):
        read_meta_info(path)


def test_names_may_be_any_bytes_and_have_spaces(path: Path):
    path.write_bytes("été 1 2 (4,4,3)\n".encode() + b"\xff\xfe 3 (4,4,3)\n")
    assert [line.name for line in read_meta_info(path)] == ["été 1", "\udcff\udcfe"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a many (1,1,3)\n", "line 1: it should be NAME"),
        (b"a 1 (1,1,3) 2 3\n", "line 1: it should be NAME"),
        (b"a " + b"9" * 40 + b" (1,1,3)\n", "is too large a number"),
        (b"a" * 5000, "it is 5000 characters long"),
        ("000 100 (1,1,3)\n".encode("utf-16"), "is no readable list of clips"),
        (b"", "lists no clips"),
    ],
)
def test_what_is_no_list_is_named(path: Path, content: bytes, message: str):
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_meta_info(path)


def test_a_long_line_of_anything_takes_no_time(path: Path):
    for content in (b"a" + b" " * 4000 + b"b", b"1 " * 2000, b"(1,1," * 800, b"1" * 4000):
        path.write_bytes((content + b"\n") * 200)
        with pytest.raises(InputError):
            read_meta_info(path) and read_frame_list(path)
