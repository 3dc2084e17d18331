"""Decoded frames in a folder: equal to the files, as long as those are what they were."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.frame_cache import FrameCache
from ascendcv.dataloader.image import read_image, write_image
from ascendcv.utils.errors import InputError


@pytest.mark.parametrize("bits", [8, 16])
def test_a_frame_is_decoded_once(
    tmp_path: Path, photograph: np.ndarray, bits: int, monkeypatch: pytest.MonkeyPatch
):
    decoded = []

    def spy(path):
        decoded.append(path)
        return read_image(path)

    monkeypatch.setattr("ascendcv.dataloader.frame_cache.read_image", spy)
    frame = photograph[:20, :30] if bits == 8 else photograph[:20, :30].astype(np.uint16) * 257
    write_image(tmp_path / "frame.png", frame)
    cache = FrameCache(tmp_path / "cache")
    for _ in range(3):
        np.testing.assert_array_equal(cache.read(tmp_path / "frame.png"), frame)
    assert len(decoded) == 1
    assert not cache.read(tmp_path / "frame.png").flags.writeable


def test_files_of_one_name_in_two_folders_are_two_frames(tmp_path: Path, photograph: np.ndarray):
    cache = FrameCache(tmp_path / "cache")
    for folder, top in (("blur", 0), ("sharp", 100)):
        write_image(tmp_path / folder / "000001.png", photograph[top : top + 20, :30])
        os.utime(tmp_path / folder / "000001.png", (1, 1))
    assert (cache.read(tmp_path / "blur/000001.png") != cache.read(tmp_path / "sharp/000001.png")).any()


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_file_that_was_changed_is_decoded_again(tmp_path: Path, photograph: np.ndarray, change: str):
    path, cache = tmp_path / "frame.png", FrameCache(tmp_path / "cache")
    write_image(path, photograph[:20, :30])
    os.utime(path, (1, 1))
    cache.read(path)
    write_image(path, photograph[100:120, :30] if change == "size" else photograph[1:21, :30])
    os.utime(path, (1, 1) if change == "size" else (2, 2))
    np.testing.assert_array_equal(cache.read(path), read_image(path))


def test_threads_may_ask_for_one_frame_at_once(tmp_path: Path, photograph: np.ndarray):
    write_image(tmp_path / "frame.png", photograph)
    with ThreadPoolExecutor(8) as pool:
        frames = list(pool.map(FrameCache(tmp_path / "cache").read, [tmp_path / "frame.png"] * 16))
    assert all(np.array_equal(frame, photograph) for frame in frames)
    assert len([path for path in (tmp_path / "cache").rglob("*") if path.is_file()]) == 1


def test_a_damaged_file_leaves_nothing_behind(tmp_path: Path):
    (tmp_path / "frame.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"frame\.png is no readable image"):
        FrameCache(tmp_path / "cache").read(tmp_path / "frame.png")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
