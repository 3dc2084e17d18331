"""A frame and its restoration side by side, and where such frames are written."""

import contextlib
from pathlib import Path

import av
import numpy as np
import pytest

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.image import read_image
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.compare import comparison_path, comparison_sink, enlarged, side_by_side
from tests.ascendcv.dataloader.made_videos import make_video


def of_kind(photograph: np.ndarray, channels: int, dtype: type) -> np.ndarray:
    """A part of the photograph with an odd size."""
    pixels = np.concatenate([photograph, photograph[::-1, :, :1]], axis=-1)[100:161, 180:255, :channels]
    return pixels if dtype == np.uint8 else pixels.astype(np.uint16) * 257


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_frame_is_left_the_restored_one_right_a_gray_line_between_them(
    photograph: np.ndarray, channels: int, dtype: type
):
    before = of_kind(photograph, channels, dtype)
    after = before[::-1]
    both = side_by_side(before, after)
    assert both.dtype == dtype
    width = before.shape[1]
    np.testing.assert_array_equal(both[:, :width], before)
    np.testing.assert_array_equal(both[:, -width:], after)
    line = both[:, width:-width]
    assert line.shape[1] >= 2
    color = line[..., : 1 if channels <= 2 else 3] / np.iinfo(dtype).max
    assert np.ptp(color) == 0
    assert 0.5 < color[0, 0, 0] < 0.6  # in PQ no brighter than paper
    if channels in (2, 4):
        assert (line[..., -1] == np.iinfo(dtype).max).all()


@pytest.mark.parametrize("width", [1, 2, 75, 320, 1279, 1280, 3839])
def test_the_width_is_even(width: int):
    frame = np.zeros((3, width, 3), np.uint8)
    assert side_by_side(frame, frame).shape[1] % 2 == 0


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_smaller_frame_is_enlarged_as_the_papers_do(photograph: np.ndarray, scale: int, dtype: type):
    before = of_kind(photograph, 3, dtype)
    after = np.zeros((scale * 61, scale * 75, 3), dtype)
    np.testing.assert_array_equal(side_by_side(before, after)[:, : scale * 75], imresize(before, scale))


@pytest.mark.parametrize("scale", [1, 4])
def test_where_the_network_cut_the_frame_the_enlarged_one_is_cut_too(photograph: np.ndarray, scale: int):
    before = of_kind(photograph, 3, np.uint8)  # 61 x 75, of which networks take 60 x 72
    np.testing.assert_array_equal(
        enlarged(before, 60 * scale, 72 * scale), imresize(before, scale)[: 60 * scale, : 72 * scale]
    )


@pytest.mark.parametrize(
    ("result", "comparison"),
    [
        ("clip.mp4", "clip_compare.mp4"),
        ("out/clip.tar.MKV", "out/clip.tar_compare.MKV"),
        ("picture.png", "picture_compare.png"),
        ("loop.gif", "loop_compare.gif"),
        ("frames", "frames_compare"),
        ("frames.mp4/", "frames.mp4_compare"),
        ("version-1.2", "version-1.2_compare"),
        ("caf\udce9.mp4", "caf\udce9_compare.mp4"),
    ],
)
def test_the_comparison_stands_beside_the_result(result: str, comparison: str):
    assert comparison_path(result) == Path(comparison)


def test_a_folder_has_a_folder_whatever_its_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "frames.mp4"
    folder.mkdir()
    assert comparison_path(folder) == tmp_path / "frames.mp4_compare"
    monkeypatch.chdir(folder)
    assert comparison_path(".") == tmp_path / "frames.mp4_compare"


def test_a_stream_has_no_comparison():
    with pytest.raises(InputError, match="beside the result"):
        comparison_sink("-")


def test_a_video_keeps_times_and_sound(tmp_path: Path):
    source_path, result = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_video(source_path, sound="aac", rate=25)
    source = open_source(source_path)
    with comparison_sink(result, like=source.footage, crf=0) as write:
        for frame in source:
            write(frame.name, side_by_side(frame.pixels, frame.pixels), frame)
    comparison = tmp_path / "out_compare.mp4"
    with av.open(str(source_path)) as before, av.open(str(comparison)) as after:
        assert len(after.streams.audio) == 1
        times = [[frame.time for frame in video.decode(video=0)] for video in (before, after)]
    assert times[0] == pytest.approx(times[1])
    frames = zip(open_source(source_path), open_source(comparison), strict=True)
    for (_, frame), (_, both) in frames:
        assert both.shape == (48, 130, 3)
        # Chroma is subsampled once more, and the line's reaches two pixels on either side.
        for half, original in ((both[:, :62], frame[:, :62]), (both[:, 68:], frame[:, 2:])):
            assert np.abs(half.astype(int) - original.astype(int)).mean() < 5


def test_folders_and_pictures_too(tmp_path: Path, frame_folder):
    folder = frame_folder()
    for source_path, result in [(folder, tmp_path / "restored"), (folder / "00000000.png", tmp_path / "one.png")]:
        source = open_source(source_path)
        with contextlib.closing(iter(source)) as frames, comparison_sink(result, like=source.footage) as write:
            for frame in frames:
                write(frame.name, side_by_side(frame.pixels, 255 - frame.pixels), frame)
    written = [tmp_path / "restored_compare" / f"{index:08d}.png" for index in range(7)]
    for path in [*written, tmp_path / "one_compare.png"]:
        both = read_image(path)
        np.testing.assert_array_equal(both[:, :40], 255 - both[:, -40:])


def test_an_animation_too(tmp_path: Path, frame_folder):
    folder = frame_folder(count=3)
    source = open_source(folder)
    with comparison_sink(tmp_path / "loop.gif") as write:
        for frame in source:
            write(frame.name, side_by_side(frame.pixels, frame.pixels), frame)
    assert len(list(open_source(tmp_path / "loop_compare.gif"))) == 3
