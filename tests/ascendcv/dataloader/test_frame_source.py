"""Sources give every frame once, in order, unchanged, and refuse what they cannot give."""

import operator
import subprocess
import threading
from fractions import Fraction

import imageio_ffmpeg
import numpy as np
import pytest

from ascendcv.dataloader.frame_source import open_source, prefetch
from ascendcv.dataloader.image import write_image
from ascendcv.utils.errors import InputError


def noise(shape: tuple[int, ...], dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def make_video(path, *options: str, size="64x48", rate="24000/1001", frames=9, sound=()) -> None:
    """A test picture encoded by ffmpeg with the given options."""
    source = ["-f", "lavfi", "-i", f"testsrc=size={size}:rate={rate}", *sound]
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        *source,
        "-frames:v",
        str(frames),
        *options,
        str(path),
    ]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_folder_gives_its_frames_with_their_names_in_natural_order(tmp_path, dtype, channels):
    frames = noise((3, 6, 7, channels), dtype)
    for number, frame in zip((2, 10, 1), frames, strict=True):
        write_image(tmp_path / f"f{number}.png", frame)
    source = open_source(tmp_path)
    assert operator.length_hint(source) == 3
    names, pixels = zip(*source, strict=True)
    assert names == ("f1", "f2", "f10")
    np.testing.assert_array_equal(np.stack(pixels), frames[[2, 0, 1]])


def test_frames_of_mixed_formats_share_the_one_that_holds_all(tmp_path):
    gray, colour = noise((6, 7, 1)), noise((6, 7, 3), np.uint16)
    write_image(tmp_path / "1.png", gray)
    write_image(tmp_path / "2.png", colour)
    (_, first), (_, second) = open_source(tmp_path)
    np.testing.assert_array_equal(first, np.repeat(gray, 3, axis=2).astype(np.uint16) * 257)
    np.testing.assert_array_equal(second, colour)


def test_other_files_are_counted_and_left_out(tmp_path):
    write_image(tmp_path / "1.png", noise((6, 7, 3)))
    for name in ("notes.txt", "Thumbs.db"):
        (tmp_path / name).write_text("no frame")
    source = open_source(tmp_path)
    assert source.notes == [f"{tmp_path}: ignored 2 other files"]
    assert len(list(source)) == 1


def test_an_image_is_a_clip_of_one_frame(tmp_path):
    write_image(tmp_path / "photo.png", frame := noise((6, 7, 3)))
    ((name, pixels),) = open_source(tmp_path / "photo.png")
    assert name == "photo"
    np.testing.assert_array_equal(pixels, frame)


def test_two_frames_of_one_name_are_refused(tmp_path):
    write_image(tmp_path / "1.png", noise((6, 7, 3)))
    write_image(tmp_path / "1.jpg", noise((6, 7, 3)))
    with pytest.raises(InputError, match="2 frames called 1"):
        open_source(tmp_path)


def test_frames_of_two_sizes_are_refused_when_the_folder_is_opened(tmp_path):
    write_image(tmp_path / "1.png", noise((6, 7, 3)))
    write_image(tmp_path / "2.png", noise((6, 8, 3)))
    with pytest.raises(InputError, match=r"2\.png has 8x6"):
        open_source(tmp_path)


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder or video .*nowhere"):
        open_source(tmp_path / "nowhere")


def test_an_array_is_a_source():
    frames = noise((3, 6, 7, 3))
    np.testing.assert_array_equal(np.stack([pixels for _, pixels in open_source(frames)]), frames)


@pytest.mark.parametrize("frames", [np.zeros((2, 6, 7)), np.zeros((2, 6, 7, 5)), np.zeros((0, 6, 7, 3))])
def test_arrays_of_other_shapes_and_types_are_refused(frames):
    with pytest.raises(InputError, match="shape"):
        open_source(frames.astype(np.uint8))
    with pytest.raises(InputError, match="uint8 or uint16"):
        open_source(np.zeros((2, 6, 7, 3), np.float32))


def test_a_video_gives_every_frame_and_its_exact_rate(tmp_path):
    make_video(tmp_path / "v.mkv", "-c:v", "ffv1", "-pix_fmt", "bgr0")
    make_video(tmp_path / "%d.png")
    source = open_source(tmp_path / "v.mkv")
    assert source.fps == Fraction(24000, 1001)
    assert operator.length_hint(source) == 9
    expected = [pixels for _, pixels in open_source(tmp_path)]
    np.testing.assert_array_equal([pixels for _, pixels in source], expected)
    assert [name for name, _ in source][:2] == ["00000000", "00000001"]


def test_a_video_of_10_bits_gives_16_bit_frames(tmp_path):
    make_video(tmp_path / "v.mkv", "-c:v", "ffv1", "-pix_fmt", "gbrp10le")
    make_video(tmp_path / "%d.png")
    frames = np.stack([pixels for _, pixels in open_source(tmp_path / "v.mkv")])
    expected = np.stack([pixels for _, pixels in open_source(tmp_path)])
    assert frames.dtype == np.uint16
    np.testing.assert_allclose(frames / 65535, expected / 255, atol=4 / 1023)  # ffmpeg makes 8 bits 10 by a shift


@pytest.mark.parametrize(("height", "matrix"), [(720, "bt709"), (576, "bt601")])
def test_a_video_without_a_matrix_has_that_of_its_size(tmp_path, height, matrix):
    size = f"96x{height}"
    encode = ["-vf", f"scale=out_color_matrix={matrix}:out_range=tv", "-c:v", "ffv1", "-pix_fmt", "yuv444p"]
    make_video(tmp_path / "v.avi", *encode, size=size, frames=1)
    make_video(tmp_path / "%d.png", size=size, frames=1)
    ((_, pixels),) = open_source(tmp_path / "v.avi")
    ((_, expected),) = open_source(tmp_path / "1.png")
    np.testing.assert_allclose(pixels.astype(int), expected, atol=3)


def test_a_variable_frame_rate_loses_and_doubles_no_frame(tmp_path):
    times = "setpts='(N+10*gt(N,4))/25/TB'"  # ten frames' time of nothing after the fifth
    make_video(tmp_path / "v.mp4", "-vf", times, "-fps_mode", "vfr", "-c:v", "libx264", rate="25")
    source = open_source(tmp_path / "v.mp4")
    assert len(list(source)) == 9
    assert any("varies" in note for note in source.notes)


def test_sound_is_mentioned(tmp_path):
    make_video(tmp_path / "v.mp4", "-c:a", "aac", sound=("-f", "lavfi", "-i", "sine=d=0.2"))
    assert open_source(tmp_path / "v.mp4").notes == [f"{tmp_path / 'v.mp4'}: the sound is not carried over"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-c:v", "libx264", "-vf", "setparams=color_trc=smpte2084", "-pix_fmt", "yuv420p10le"], "HDR"),
        (
            ["-c:v", "libx264", "-flags", "+ilme+ildct", "-x264opts", "tff=1", "-vf", "setfield=tff"],
            "interlaced",
        ),
        (["-c:v", "ffv1", "-pix_fmt", "yuva420p"], "transparency"),
        (["-c:v", "libx264", "-vf", "setsar=16/15"], "not square"),
    ],
)
def test_videos_that_cannot_be_restored_as_they_are_say_why(tmp_path, options, reason):
    make_video(tmp_path / "v.mkv", *options)
    with pytest.raises(InputError, match=f"v.mkv .*{reason}"):
        open_source(tmp_path / "v.mkv")


def test_a_file_that_is_no_video_is_named(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"not a video" * 100)
    with pytest.raises(InputError, match=r"v\.mp4 is no readable video"):
        open_source(tmp_path / "v.mp4")


def test_a_video_that_is_cut_short_says_so_after_its_good_frames(tmp_path):
    make_video(tmp_path / "whole.mp4", "-movflags", "+faststart", "-c:v", "libx264", "-g", "1", frames=20)
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    frames = []
    with pytest.raises(InputError, match=r"cut\.mp4 is damaged after \d+ frames"):
        frames.extend(open_source(tmp_path / "cut.mp4"))
    assert 5 < len(frames) < 20


def test_reading_ahead_keeps_the_order_and_ends_its_thread():
    before = threading.active_count()
    assert list(prefetch(range(100))) == list(range(100))
    frames = prefetch(iter(range(100)))
    assert next(frames) == 0
    frames.close()
    assert threading.active_count() == before


def test_reading_ahead_is_bounded():
    taken = []
    frames = prefetch((taken.append(number) or number for number in range(100)), depth=3)
    next(frames)
    frames.close()
    assert len(taken) <= 4


def test_an_error_while_reading_ahead_comes_after_the_frames_before_it():
    def broken():
        yield from (1, 2)
        raise InputError("frame 3 is damaged")

    frames = prefetch(broken())
    assert [next(frames), next(frames)] == [1, 2]
    with pytest.raises(InputError, match="frame 3"):
        next(frames)
