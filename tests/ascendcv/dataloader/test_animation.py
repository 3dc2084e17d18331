"""Animated pictures: every frame, as it is seen and for as long, in and out."""

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ascendcv.dataloader.footage import Frame, PictureTags
from ascendcv.dataloader.frame_sink import open_sink
from ascendcv.dataloader.frame_source import open_source
from ascendcv.utils.errors import InputError
from tests.ascendcv.dataloader.made_videos import make_video, moving_picture


def save(path: Path, frames: np.ndarray, file_format: str, **options) -> None:
    pictures = [Image.fromarray(frame) for frame in frames]
    exact = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    options = (
        {"save_all": True, "append_images": pictures[1:], "duration": [40, 80, 120], "loop": 0} | exact | options
    )
    pictures[0].save(path, file_format, **options)


def few_colors(count: int = 3) -> np.ndarray:
    return moving_picture(count) // 64 * 85


def copy(source: Path, target: Path) -> list[str]:
    given = open_source(source)
    sink = open_sink(target, like=given.footage)
    with sink as write:
        for frame in given:
            write(frame.name, frame.pixels, frame)
    return [*given.notes, *sink.notes]


@pytest.mark.parametrize(("name", "file_format"), [("a.webp", "WEBP"), ("a.png", "PNG"), ("a.gif", "GIF")])
def test_all_frames_come_with_their_times(tmp_path, name, file_format):
    save(tmp_path / name, frames := few_colors(), file_format)
    source = open_source(tmp_path / name)
    assert (source.footage.kind, len(source), source.footage.channels) == ("animation", 3, 3)
    got = list(source)
    np.testing.assert_array_equal([frame.pixels for frame in got], frames)
    assert [frame.time * 1000 for frame in got] == [0, 40, 120]
    assert [frame.duration * 1000 for frame in got] == [40, 80, 120]
    assert source.fps == Fraction(3000, 240)


@pytest.mark.parametrize(("name", "file_format"), [("a.webp", "WEBP"), ("a.png", "PNG"), ("a.gif", "GIF")])
def test_transparency_is_found_where_there_is_some(tmp_path, name, file_format):
    alpha = np.full((3, 48, 64, 1), 255, np.uint8)
    alpha[:, :10] = 0
    frames = np.concatenate([few_colors(), alpha], -1)
    save(tmp_path / name, frames, file_format, disposal=2) if file_format == "GIF" else save(
        tmp_path / name, frames, file_format
    )
    source = open_source(tmp_path / name)
    assert source.footage.channels == 4
    for frame, expected in zip(source, frames, strict=True):
        np.testing.assert_array_equal(frame.pixels[..., 3], expected[..., 3])
        np.testing.assert_array_equal(frame.pixels[10:], expected[10:])


@pytest.mark.parametrize("target", ["b.gif", "b.png", "b.webp", "b.apng"])
@pytest.mark.parametrize("alpha", [False, True])
def test_an_animation_becomes_an_animation(tmp_path, target, alpha):
    frames = few_colors()
    if alpha:
        opacity = np.full((3, 48, 64, 1), 255, np.uint8)
        opacity[:, :10] = 0
        frames = np.concatenate([frames, opacity], -1)
    save(tmp_path / "a.webp", frames, "WEBP", loop=3)
    assert copy(tmp_path / "a.webp", tmp_path / target) == []
    again = open_source(tmp_path / target)
    assert (len(again), again.footage.loops) == (3, 2 if target == "b.gif" else 3)
    for frame, expected in zip(again, frames, strict=True):
        visible = slice(10 if alpha else 0, None)
        np.testing.assert_array_equal(frame.pixels[visible], expected[visible])
        np.testing.assert_array_equal(frame.pixels[..., 3:], expected[..., 3:])
    assert [frame.time * 1000 for frame in again] == [0, 40, 120]
    assert [frame.duration * 1000 for frame in again] == [40, 80, 120]


def test_an_animation_may_become_a_video_or_a_folder(tmp_path):
    save(tmp_path / "a.gif", frames := few_colors(), "GIF")
    copy(tmp_path / "a.gif", tmp_path / "b.mp4")
    assert [float(frame.time) for frame in open_source(tmp_path / "b.mp4")] == [0, 0.04, 0.12]
    copy(tmp_path / "a.gif", tmp_path / "frames")
    np.testing.assert_array_equal([pixels for _, pixels in open_source(tmp_path / "frames")], frames)


def test_a_video_becomes_a_gif_with_at_most_256_colors_a_frame(tmp_path):
    make_video(tmp_path / "v.mp4", frames := moving_picture(5))
    copy(tmp_path / "v.mp4", tmp_path / "v.gif")
    again = open_source(tmp_path / "v.gif")
    for frame, expected in zip(again, frames, strict=True):
        assert np.abs(frame.pixels.astype(int) - expected).mean() < 8
    assert [float(frame.time) for frame in again] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_16_bits_of_an_animated_png_are_kept(tmp_path):
    frames = moving_picture(3).astype(np.uint16) * 257 + 3
    like = open_source(frames).footage
    footage = replace(like, kind="animation", rate=Fraction(10), loops=0)
    with open_sink(tmp_path / "a.png", like=footage) as write:
        for index, pixels in enumerate(frames):
            time = Fraction(index, 10)
            write(str(index), pixels, Frame(str(index), pixels, time, Fraction(1, 10), PictureTags(gamma=45455)))
    again = open_source(tmp_path / "a.png")
    assert again.footage.bits == 16
    np.testing.assert_array_equal([pixels for _, pixels in again], frames)


def test_programs_that_know_no_animation_see_the_first_frame(tmp_path):
    save(tmp_path / "a.gif", frames := few_colors(), "GIF")
    copy(tmp_path / "a.gif", tmp_path / "b.png")
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "b.png").convert("RGB")), frames[0])
    with av.open(str(tmp_path / "b.png"), format="apng") as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    np.testing.assert_array_equal(decoded, frames)


def test_a_part_of_an_animation(tmp_path):
    save(tmp_path / "a.webp", frames := few_colors(), "WEBP")
    for start in (1, 0.04):
        (frame,) = open_source(tmp_path / "a.webp", start=start, frames=1)
        np.testing.assert_array_equal(frame.pixels, frames[1])
        assert (frame.time, frame.duration) == (0, Fraction(80, 1000))
    with pytest.raises(InputError, match="has 3 frames"):
        open_source(tmp_path / "a.webp", start=3)


def test_a_tiff_of_several_pages_is_a_clip(tmp_path):
    pictures = [Image.fromarray(frame) for frame in few_colors()]
    pictures[0].save(tmp_path / "a.tif", save_all=True, append_images=pictures[1:])
    source = open_source(tmp_path / "a.tif")
    assert source.footage.kind == "pictures"
    np.testing.assert_array_equal([pixels for _, pixels in source], few_colors())


@pytest.mark.parametrize("file_format", ["WEBP", "PNG", "GIF"])
def test_damage_is_an_error_with_the_file_s_name(tmp_path, file_format):
    buffer = io.BytesIO()
    save(buffer, few_colors(), file_format)
    data = buffer.getvalue()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data[: rng.integers(20, len(data))] if rng.random() < 0.3 else data)
        for _ in range(rng.integers(1, 5)):
            damaged[rng.integers(0, len(damaged))] = rng.integers(0, 256)
        path = tmp_path / f"a.{file_format.lower()}"
        path.write_bytes(damaged)
        try:
            for frame in open_source(path):
                assert frame.pixels.ndim == 3
        except InputError as error:
            assert str(path) in str(error)  # noqa: PT017 (either outcome is right)
