"""Frames in LMDB and TFRecord files are listed and read as those in folders are."""

import contextlib
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ascendcv.dataloader.clips import folders_of_frames
from ascendcv.dataloader.frame_cache import FrameCache
from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.image import image_header, list_images, read_image
from ascendcv.dataloader.lmdb_file import Lmdb
from ascendcv.dataloader.stored import entries, folder_or_packed, in_packed, is_folder, open_frame
from ascendcv.utils.errors import InputError
from tests.support import PROJECT

VECTORS = PROJECT / "tests/golden/vectors/common"


def unpack_vector(case: str, folder: Path) -> tuple[Path, list[str], np.ndarray]:
    """An LMDB that BasicSR wrote, its keys, and its pictures [K, H, W, 3] in RGB."""
    import json

    arrays, facts = np.load(VECTORS / f"{case}.npz"), json.loads((VECTORS / f"{case}.json").read_text())
    folder.mkdir()
    (folder / "data.mdb").write_bytes(arrays["data_mdb"].tobytes())
    (folder / "meta_info.txt").write_text(facts["meta_info.txt"])
    return folder, facts["keys"], arrays["decoded_bgr"][..., ::-1]


@pytest.mark.parametrize(
    ("case", "folders"), [("lmdb_reds", ["000", "001"]), ("lmdb_vimeo", ["00001/0003", "00002/0004"])]
)
def test_the_pictures_of_published_lmdbs(tmp_path: Path, case: str, folders: list[str]):
    lmdb, keys, pictures = unpack_vector(case, tmp_path / "train.lmdb")
    clips = folders_of_frames(lmdb, "train")
    assert list(clips) == folders
    frames = [path for clip in clips.values() for path in list_images(clip)[0]]
    assert [path.relative_to(lmdb).with_suffix("").as_posix() for path in frames] == keys
    for path, picture in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(read_image(path), picture)
        assert image_header(path)[:3] == picture.shape


def test_a_clip_in_an_lmdb_is_a_source_of_frames_and_can_be_cached(tmp_path: Path):
    lmdb, keys, pictures = unpack_vector("lmdb_reds", tmp_path / "x.lmdb")
    source = open_source(lmdb / "001")
    assert [frame.name for frame in source] == [key[4:] for key in keys[3:]]
    cached = FrameCache(tmp_path / "cache").read(lmdb / "000/00000000.png")
    np.testing.assert_array_equal(cached, pictures[0])


def test_what_is_in_it_and_what_is_not(tmp_path: Path):
    lmdb, _, _ = unpack_vector("lmdb_reds", tmp_path / "x.lmdb")
    assert is_folder(lmdb)
    assert is_folder(lmdb / "000")
    assert not is_folder(lmdb / "002")
    assert in_packed(lmdb / "000/00000000.png") == lmdb
    assert in_packed(tmp_path / "nowhere/000") is None
    assert folder_or_packed(tmp_path / "x") == lmdb
    with pytest.raises(FileNotFoundError, match="has no key 000/00000009"):
        open_frame(lmdb / "000/00000009.png")
    with pytest.raises(InputError, match=r"x\.lmdb/000/00000009\.png does not exist"):
        image_header(lmdb / "000/00000009.png")
    with pytest.raises(InputError, match=r"there is no folder .*x\.lmdb/002"):
        list_images(lmdb / "002")


def test_an_lmdb_that_changes_is_read_again(tmp_path: Path):
    lmdb, _, _ = unpack_vector("lmdb_reds", tmp_path / "x.lmdb")
    assert len(entries(lmdb)[0]) == 2
    (lmdb / "data.mdb").write_bytes(np.load(VECTORS / "lmdb_vimeo.npz")["data_mdb"].tobytes())
    os.utime(lmdb / "data.mdb", ns=(1, 1))
    assert {path.name for path in entries(lmdb)[0]} == {"00001", "00002"}


def test_large_trees_of_the_library_itself_are_read_whole(tmp_path: Path):
    import lmdb

    rng = np.random.default_rng(0)
    values = {
        f"{clip:03d}/{frame:08d}": rng.bytes(int(rng.integers(0, 9000)))
        for clip in range(40)
        for frame in range(50)
    }
    names = [*values, os.fsdecode(b"na\xefve/\xff"), "ünï/00"]
    values |= dict.fromkeys(names[-2:], b"bytes")
    with lmdb.open(str(tmp_path), map_size=1 << 28) as environment:
        for part in (names[0::3], names[1::3], names[2::3]):  # pages are split, freed and used again
            with environment.begin(write=True) as transaction:
                for name in part:
                    transaction.put(os.fsencode(name), b"before")
                for name in part:
                    transaction.put(os.fsencode(name), values[name])
    read = Lmdb(tmp_path)
    assert sorted(read.places) == sorted(values)
    assert all(read.read(name) == value for name, value in values.items())


@pytest.mark.parametrize("key", ["../up", "/abs", "a//b", "./a", "a/../b", "nul\0byte"])
def test_a_key_that_is_no_place_in_a_folder_is_refused(tmp_path: Path, key: str):
    import lmdb

    with lmdb.open(str(tmp_path), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
        transaction.put(key.encode(), b"value")
    with pytest.raises(InputError, match="has a key that is no place in a folder"):
        entries(tmp_path)


def test_several_values_of_a_key_are_refused(tmp_path: Path):
    import lmdb

    with lmdb.open(str(tmp_path), map_size=1 << 20, max_dbs=2) as environment:
        inner = environment.open_db(b"inner")
        with environment.begin(write=True) as transaction:
            transaction.put(b"key", b"value", db=inner)
    with pytest.raises(InputError, match="has entries of an unknown kind"):
        Lmdb(tmp_path)


def test_a_damaged_value_is_named(tmp_path: Path):
    lmdb, _, _ = unpack_vector("lmdb_reds", tmp_path / "x.lmdb")
    path = lmdb / "data.mdb"
    data = bytearray(path.read_bytes())
    for found in re.finditer(b"IDAT", bytes(data)):
        data[found.end() + 6 : found.end() + 60] = bytes(54)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"x\.lmdb/00[01]/0000000\d\.png is no readable image"):
        for clip in folders_of_frames(lmdb, "").values():
            for frame in list_images(clip)[0]:
                read_image(frame)


def test_a_file_that_becomes_shorter_while_it_is_read_is_an_error_and_no_crash(tmp_path: Path):
    lmdb, keys, _ = unpack_vector("lmdb_reds", tmp_path / "x.lmdb")
    read = Lmdb(lmdb)
    os.truncate(lmdb / "data.mdb", 4096)
    with pytest.raises(InputError, match=r"cannot be read at 001/00000002 \(it is cut short\)"):
        read.read(keys[-1])


# --- TFRecord -----------------------------------------------------------------------------------------------


@pytest.fixture
def tfrecord(tmp_path: Path) -> Path:
    from ascendvsr.preparation.packing import Entry, write_tfrecord

    def png(level: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (6, 4), (level, 0, 0)).save(buffer, "PNG")
        return buffer.getvalue()

    frames = [
        Entry(f"{clip}/{frame:03d}", png(10 * clip + frame), (4, 6, 3)) for clip in range(3) for frame in range(4)
    ]
    path = tmp_path / "train.tfrecord"
    assert write_tfrecord(path, frames) == 12
    return path


def test_a_tfrecord_file_is_a_folder_of_clips_too(tfrecord: Path):
    clips = folders_of_frames(folder_or_packed(tfrecord.with_suffix("")), "")
    assert list(clips) == ["0", "1", "2"]
    for number, clip in enumerate(clips.values()):
        levels = [int(read_image(path)[0, 0, 0]) for path in list_images(clip)[0]]
        assert levels == [10 * number + frame for frame in range(4)]


@pytest.mark.parametrize("size", [1, 11, 12, 100, -1, -5])
def test_a_tfrecord_file_that_is_cut_short_is_named(tfrecord: Path, size: int):
    tfrecord.write_bytes(tfrecord.read_bytes()[:size])
    with pytest.raises(InputError, match=r"train\.tfrecord is no whole TFRecord file of frames"):
        entries(tfrecord)


def test_any_byte_of_its_structure_may_be_damaged(tfrecord: Path):
    """Either it is noticed, or what is read is what the file holds: there is no other end."""
    whole = tfrecord.read_bytes()
    for at in range(400):
        tfrecord.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        os.utime(tfrecord, ns=(at, at))
        with contextlib.suppress(InputError):
            for clip in folders_of_frames(tfrecord, "").values():
                for path in list_images(clip)[0]:
                    assert read_image(path).shape == (4, 6, 3)


def test_headers_are_read_without_the_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import lmdb

    from ascendcv.dataloader import lmdb_file
    from ascendcv.dataloader.image import check_clip, encode_image

    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    with (
        lmdb.open(str(tmp_path / "x.lmdb"), map_size=1 << 24) as environment,
        environment.begin(write=True) as transaction,
    ):
        for frame in range(4):
            transaction.put(f"a/{frame}".encode(), encode_image(noise, ".png"))
    frames = list_images(tmp_path / "x.lmdb/a")[0]
    read, total = lmdb_file.read_at, [0]

    def counting(file, offset: int, size: int) -> bytes:
        total[0] += size
        return read(file, offset, size)

    monkeypatch.setattr(lmdb_file, "read_at", counting)
    assert check_clip(frames)[:3] == (300, 400, 3)
    assert total[0] < 4 * 20_000 < 4 * 360_000
    np.testing.assert_array_equal(read_image(frames[3]), noise)
