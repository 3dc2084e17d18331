"""A video gives every stored frame once, at its own time, in its own colors, however odd the file is."""

import io
import itertools
import operator
import shutil
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ascendcv.dataloader.video_reader import VideoSource
from ascendcv.utils.errors import InputError
from tests.ascendcv.dataloader.made_videos import make_video, moving_picture, remux
from tests.support import PROJECT


def times_of(path: Path, **options) -> list[float]:
    return [float(frame.time) for frame in VideoSource(path, **options)]


@pytest.mark.parametrize("pixel_format", ["bgr0", "gbrp", "rgb24"])
def test_lossless_rgb_comes_as_it_is(tmp_path, pixel_format):
    codec = {"bgr0": "ffv1", "gbrp": "libx265", "rgb24": "libx264rgb"}[pixel_format]
    make_video(tmp_path / "v.mkv", frames := moving_picture(5), codec=codec, pixel_format=pixel_format)
    source = VideoSource(tmp_path / "v.mkv")
    np.testing.assert_array_equal([pixels for _, pixels in source], frames)
    assert [name for name, _ in source][:2] == ["00000000", "00000001"]


def test_the_rate_is_exact(tmp_path):
    make_video(tmp_path / "v.mp4", rate=Fraction(24000, 1001))
    source = VideoSource(tmp_path / "v.mp4")
    assert source.fps == Fraction(24000, 1001)
    assert operator.length_hint(source) == 9


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_stream_without_a_container_has_the_rate_of_its_own_headers(tmp_path, codec):
    ending = {"libx264": "h264", "libx265": "hevc"}[codec]
    make_video(tmp_path / f"v.{ending}", codec=codec, rate=Fraction(60000, 1001))
    source = VideoSource(tmp_path / f"v.{ending}")
    assert source.fps == Fraction(60000, 1001)
    assert [frame.time for frame in source] == [Fraction(index * 1001, 60000) for index in range(9)]


def test_times_of_60_s_at_an_odd_clock_are_kept(tmp_path):
    ticks = [round(index * 90000 / 60.05) for index in range(3603)]
    still = moving_picture(1, 16, 16).repeat(3603, axis=0)
    make_video(tmp_path / "v.mp4", still, times=ticks, time_base=Fraction(1, 90000), options={"bf": "0"})
    assert [frame.time for frame in VideoSource(tmp_path / "v.mp4")] == [Fraction(tick, 90000) for tick in ticks]


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "webm", "flv", "ts"])
def test_a_variable_rate_keeps_every_frame_and_its_time(tmp_path, ending):
    milliseconds = [*range(0, 600, 20), *range(1000, 9001, 1000)]
    codec, options = ("libvpx-vp9", {"cpu-used": "8"}) if ending == "webm" else ("libx264", {"bf": "0"})
    make_video(
        tmp_path / f"v.{ending}",
        moving_picture(len(milliseconds)),
        codec=codec,
        options=options,
        times=milliseconds,
        time_base=Fraction(1, 1000),
    )
    times = times_of(tmp_path / f"v.{ending}")
    np.testing.assert_allclose(times, np.array(milliseconds) / 1000, atol=1e-9)


def test_files_joined_by_copying_keep_the_times_of_both(tmp_path):
    make_video(tmp_path / "a.ts", rate=24)
    make_video(tmp_path / "b.ts", rate=60)
    (tmp_path / "ab.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    times = times_of(tmp_path / "ab.ts")
    assert len(times) == 18
    assert all(after > before for before, after in itertools.pairwise(times))


def test_an_avi_with_b_frames_has_its_frames_in_order(tmp_path):
    make_video(tmp_path / "v.mp4", frames := moving_picture(20), options={"bf": "3"})
    remux(tmp_path / "v.mp4", tmp_path / "v.avi", bitstream="h264_mp4toannexb")
    source = VideoSource(tmp_path / "v.avi")
    assert source.fps == 25
    got = list(source)
    np.testing.assert_allclose([float(frame.time) for frame in got], np.arange(20) / 25, atol=1e-6)
    assert np.abs(np.stack([frame.pixels for frame in got]).astype(int) - frames).mean() < 4


def test_every_125th_frame_missing_leaves_gaps_and_no_drift(tmp_path):
    ticks = [tick for tick in range(500) if tick % 125 != 124]
    still = moving_picture(1, 16, 16).repeat(len(ticks), axis=0)
    make_video(tmp_path / "v.mp4", still, times=ticks, time_base=Fraction(1, 25))
    assert [frame.time * 25 for frame in VideoSource(tmp_path / "v.mp4")] == ticks


@pytest.mark.parametrize("start", [20, 0.8, Fraction(4, 5)])
def test_a_part_begins_and_ends_where_it_is_asked_to(tmp_path, start):
    make_video(tmp_path / "v.mp4", moving_picture(50), options={"g": "12", "bf": "3"})
    whole = list(VideoSource(tmp_path / "v.mp4"))
    source = VideoSource(tmp_path / "v.mp4", start=start, frames=5)
    part = list(source)
    assert operator.length_hint(source) == 5
    assert [frame.name for frame in part] == [f"{index:08d}" for index in range(20, 25)]
    assert [frame.time for frame in part] == [Fraction(index, 25) for index in range(5)]
    for frame, expected in zip(part, whole[20:], strict=False):
        np.testing.assert_array_equal(frame.pixels, expected.pixels)
    assert (source.footage.offset, source.footage.end) == (Fraction(4, 5), Fraction(1, 5))


def test_a_part_behind_the_end_is_refused(tmp_path):
    make_video(tmp_path / "v.mp4")
    for start in (9, 3.0):
        with pytest.raises(InputError, match=r"v\.mp4 ends with"):
            VideoSource(tmp_path / "v.mp4", start=start)


@pytest.mark.parametrize(
    "title", ["Family Video: Summer 2019", "TV Video: top first league", "Audio: Video: 1920x1080"]
)
def test_titles_and_paths_change_nothing(tmp_path, title):
    folder = tmp_path / "Video: bt2020 top first"
    folder.mkdir()
    make_video(folder / "Stream #0:0: Video: yuva.mkv", metadata={"title": title, "comment": "Video: smpte2084"})
    source = VideoSource(folder / "Stream #0:0: Video: yuva.mkv")
    assert source.footage.channels == 3
    assert source.notes == []
    assert len(list(source)) == 9


def test_hdr10_with_such_a_title_is_hdr10(tmp_path):
    make_video(
        tmp_path / "v.mkv",
        pixel_format="yuv420p10le",
        tags=(9, 1, 16, 9),
        metadata={"title": "Family Video: Summer 2019"},
    )
    source = VideoSource(tmp_path / "v.mkv")
    assert (source.footage.color.transfer, source.footage.color.primaries, source.footage.bits) == (16, 9, 16)
    assert any("PQ and BT.2020" in note for note in source.notes)
    with pytest.raises(InputError, match=r"PQ and BT\.2020, which are to be refused"):
        VideoSource(tmp_path / "v.mkv", hdr="refuse")


def cover_first(path: Path, film: Path, marked: bool) -> None:
    """A file with a large picture as its first stream."""
    picture = io.BytesIO()
    make_video_in = av.open(picture, "w", format="mjpeg")
    stream = make_video_in.add_stream("mjpeg", rate=1)
    stream.width = stream.height = 256
    stream.pix_fmt = "yuvj420p"
    frame = av.VideoFrame.from_ndarray(np.zeros((256, 256, 3), np.uint8), "rgb24").reformat(format="yuvj420p")
    make_video_in.mux(stream.encode(frame))
    make_video_in.mux(stream.encode(None))
    make_video_in.close()
    picture.seek(0)
    with av.open(picture, format="mjpeg") as cover, av.open(str(film)) as video, av.open(str(path), "w") as output:
        streams = [output.add_stream_from_template(given.streams.video[0], opaque=True) for given in (cover, video)]
        if marked:
            streams[0].disposition = av.stream.Disposition.attached_pic
        for given, stream in zip((cover, video), streams, strict=True):
            for packet in given.demux(video=0):
                if packet.size:
                    if packet.dts is None:
                        packet.pts = packet.dts = 0
                    packet.stream = stream
                    output.mux(packet)


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
@pytest.mark.parametrize("marked", [True, False])
def test_a_cover_is_not_taken_for_the_video(tmp_path, ending, marked):
    make_video(tmp_path / "film.mp4")
    cover_first(tmp_path / f"v.{ending}", tmp_path / "film.mp4", marked)
    source = VideoSource(tmp_path / f"v.{ending}")
    assert (source.footage.height, source.footage.width) == (48, 64)
    assert len(list(source)) == 9


def two_videos(path: Path) -> None:
    output = av.open(str(path), "w")
    streams = []
    for side in (64, 128):
        stream = output.add_stream("mpeg4", rate=25)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        streams.append((stream, side))
    for index in range(5):
        for stream, side in streams:
            frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), 40 * index, np.uint8), "rgb24")
            frame.pts = index
            output.mux(stream.encode(frame))
    for stream, _ in streams:
        output.mux(stream.encode(None))
    output.close()


def test_the_largest_video_is_taken_unless_another_is_asked_for(tmp_path):
    two_videos(tmp_path / "v.mkv")
    assert VideoSource(tmp_path / "v.mkv").footage.height == 128
    assert VideoSource(tmp_path / "v.mkv", stream=0).footage.height == 64
    with pytest.raises(InputError, match=r"no video stream 7; it has 0 \(64x64 mpeg4\), 1 \(128x128 mpeg4\)"):
        VideoSource(tmp_path / "v.mkv", stream=7)


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "v.mp4"), "w") as output:
        stream = output.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(InputError, match=r"v\.mp4 has no video, only audio streams"):
        VideoSource(tmp_path / "v.mp4")


def test_a_file_that_is_no_video_is_named(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"not a video" * 100)
    with pytest.raises(InputError, match=r"v\.mp4 is no readable video"):
        VideoSource(tmp_path / "v.mp4")


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_rotation_is_applied(tmp_path, degrees):
    frames = moving_picture(3)
    make_video(tmp_path / "v.mp4", frames, codec="libx264rgb", pixel_format="rgb24")
    remux(
        tmp_path / "v.mp4",
        tmp_path / "turned.mp4",
        prepare=lambda _, video: video.set_display_rotation(degrees),
    )
    with av.open(str(tmp_path / "turned.mp4")) as container:
        assert next(container.decode(video=0)).rotation % 360 == degrees
    for frame, expected in zip(VideoSource(tmp_path / "turned.mp4"), frames, strict=True):
        np.testing.assert_array_equal(frame.pixels, np.rot90(expected, degrees // 90))


def test_the_shape_of_pixels_is_told(tmp_path):
    make_video(tmp_path / "v.mp4", aspect=Fraction(16, 15))
    assert VideoSource(tmp_path / "v.mp4").footage.aspect == Fraction(16, 15)


def test_transparency_of_webm_is_found(tmp_path):
    frames = np.dstack([moving_picture(1)[0], np.full((48, 64), 90, np.uint8)])[np.newaxis].repeat(3, 0)
    make_video(
        tmp_path / "v.webm", frames, codec="libvpx-vp9", pixel_format="yuva420p", options={"auto-alt-ref": "0"}
    )
    for frame in VideoSource(tmp_path / "v.webm"):
        assert frame.pixels.shape == (48, 64, 4)
        np.testing.assert_allclose(frame.pixels[..., 3].astype(int), 90, atol=2)


def interlaced(path: Path) -> None:
    make_video(path, moving_picture(8), options={"flags": "+ildct+ilme", "x264-params": "tff=1"})


def test_interlaced_frames_are_refused_or_made_whole(tmp_path):
    interlaced(tmp_path / "v.mp4")
    with pytest.raises(InputError, match=r"v\.mp4 is interlaced; deinterlace it"):
        VideoSource(tmp_path / "v.mp4")
    frames = list(VideoSource(tmp_path / "v.mp4", deinterlace=True))
    assert [frame.time for frame in frames] == [Fraction(index, 25) for index in range(8)]
    assert np.abs(frames[4].pixels.astype(int) - moving_picture(8)[4]).mean() < 8


@pytest.fixture
def whole(tmp_path) -> bytes:
    frames = np.random.default_rng(0).integers(0, 255, (24, 96, 128, 3), np.uint8)
    make_video(
        tmp_path / "whole.mp4", frames, options={"g": "6", "bf": "0", "crf": "20"}, muxer={"movflags": "faststart"}
    )
    return (tmp_path / "whole.mp4").read_bytes()


def test_a_file_cut_off_gives_all_frames_before_the_cut(tmp_path, whole):
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    expected = [frame.pixels for frame in VideoSource(tmp_path / "whole.mp4")]
    source = VideoSource(tmp_path / "cut.mp4")
    frames = [frame.pixels for frame in source]
    assert 15 <= len(frames) < 24
    np.testing.assert_array_equal(frames[:15], expected[:15])
    assert any("cut short" in note for note in source.notes)
    with pytest.raises(InputError, match=r"cut\.mp4 is (cut short|damaged)"):
        list(VideoSource(tmp_path / "cut.mp4", on_error="stop"))


@pytest.mark.parametrize("ending", ["mkv", "ts"])
def test_a_file_cut_off_in_other_containers_too(tmp_path, whole, ending):
    remux(tmp_path / "whole.mp4", tmp_path / f"v.{ending}")
    data = (tmp_path / f"v.{ending}").read_bytes()
    (tmp_path / f"v.{ending}").write_bytes(data[: len(data) * 3 // 4])
    assert 15 <= len(list(VideoSource(tmp_path / f"v.{ending}"))) < 24


def test_a_damaged_frame_is_no_end(tmp_path, whole):
    damaged = bytearray(whole)
    for offset in range(40):
        damaged[len(whole) // 2 + offset] ^= 0x5A
    (tmp_path / "v.mp4").write_bytes(damaged)
    source = VideoSource(tmp_path / "v.mp4")
    frames = list(source)
    assert len(frames) + source.failed == 24
    assert len(frames) >= 22


def without_reference(path: Path, whole: Path) -> None:
    """A packet in the middle is no H.264 at all."""

    with av.open(str(whole)) as given, av.open(str(path), "w") as output:
        video = given.streams.video[0]
        copy = output.add_stream_from_template(video)
        for index, packet in enumerate(given.demux(video)):
            if packet.dts is None:
                continue
            if index == 13:
                broken = av.Packet(b"\0\0\0\x05\xff\xff\xff\xff\xff")
                broken.pts, broken.dts, broken.duration = packet.pts, packet.dts, packet.duration
                broken.time_base = packet.time_base
                packet = broken
            packet.stream = copy
            output.mux(packet)


@pytest.mark.parametrize(("on_error", "count"), [("skip", 23), ("repeat", 24)])
def test_what_does_not_decode_is_left_out_or_repeated(tmp_path, whole, on_error, count):
    without_reference(tmp_path / "v.mp4", tmp_path / "whole.mp4")
    source = VideoSource(tmp_path / "v.mp4", on_error=on_error)
    frames = list(source)
    assert (len(frames), source.failed) == (count, 1)
    if on_error == "repeat":
        np.testing.assert_array_equal(frames[13].pixels, frames[12].pixels)
    assert any("1 packets could not be decoded" in note for note in source.notes)


def test_what_does_not_decode_may_be_the_end(tmp_path, whole):
    without_reference(tmp_path / "v.mp4", tmp_path / "whole.mp4")
    with pytest.raises(InputError, match=r"v\.mp4 is damaged after 13 frames"):
        list(VideoSource(tmp_path / "v.mp4", on_error="stop"))


def test_a_change_of_size_is_fitted_and_told(tmp_path):
    make_video(tmp_path / "a.ts", moving_picture(4, 48, 64))
    make_video(tmp_path / "b.ts", np.full((4, 64, 32, 3), 200, np.uint8))
    (tmp_path / "ab.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    source = VideoSource(tmp_path / "ab.ts")
    frames = [frame.pixels for frame in source]
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert any("changes its size" in note for note in source.notes)
    last = frames[-1].astype(int)
    np.testing.assert_allclose(last[10:-10, 24:40], 200, atol=3)
    assert last[:, :18].max() <= 3


@pytest.mark.parametrize(("matrix", "name"), [(8, "YCgCo"), (10, "constant luminance")])
def test_colors_that_cannot_be_converted_are_named(tmp_path, matrix, name):
    make_video(tmp_path / "v.mkv", tags=(matrix, 1, 1, 1))
    with pytest.raises(InputError, match=f"v.mkv has colors in .*{name}"):
        VideoSource(tmp_path / "v.mkv")


def test_a_name_that_is_not_utf_8(tmp_path):
    make_video(tmp_path / "v.mp4")
    odd = tmp_path / b"v\xe9.mp4".decode("utf-8", "surrogateescape")
    shutil.move(tmp_path / "v.mp4", odd)
    assert len(list(VideoSource(odd))) == 9


def test_frames_do_not_wait_for_the_garbage_collection(tmp_path):
    """400 frames would be 140 MB as they are decoded."""
    make_video(tmp_path / "v.mp4", moving_picture(1, 360, 640).repeat(400, axis=0))
    script = """
        import gc, sys
        from pathlib import Path
        from ascendcv.dataloader.video_reader import VideoSource
        gc.disable()
        def memory():
            return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
        for index, frame in enumerate(VideoSource(sys.argv[1])):
            if index == 50:
                before = memory()
        print(memory() - before)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "v.mp4")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=PROJECT)
    assert int(result.stdout) < 15, result.stderr


def test_a_damaged_duration_is_no_matter(tmp_path):
    make_video(tmp_path / "v.mkv")
    data = (tmp_path / "v.mkv").read_bytes()
    assert b"00:00:00.36" in data
    (tmp_path / "v.mkv").write_bytes(data.replace(b"00:00:00.36", b"00:00:00.M6"))
    assert len(list(VideoSource(tmp_path / "v.mkv"))) == 9


def test_tags_that_are_not_utf_8(tmp_path):
    make_video(tmp_path / "v.mkv", metadata={"title": "caf@"})
    data = (tmp_path / "v.mkv").read_bytes()
    (tmp_path / "v.mkv").write_bytes(data.replace(b"caf@", b"caf\xe9"))
    assert len(list(VideoSource(tmp_path / "v.mkv"))) == 9
