"""y4m streams: files, and pipes between programs."""

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from ascendcv.dataloader.footage import Color, Frame
from ascendcv.dataloader.frame_sink import open_sink
from ascendcv.dataloader.frame_source import open_source
from ascendcv.utils.errors import InputError
from tests.ascendcv.dataloader.made_videos import make_video, moving_picture
from tests.support import PROJECT


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "gray", "gray10le"]
)
@pytest.mark.parametrize("height", [48, 720])
def test_a_video_goes_through_a_stream_as_it_is(tmp_path, pixel_format, height):
    frames = moving_picture(3, height, 64)
    make_video(tmp_path / "in.mkv", frames, codec="ffv1", pixel_format=pixel_format)
    source = open_source(tmp_path / "in.mkv")
    with open_sink(tmp_path / "out.y4m", like=replace(source.footage, aspect=Fraction(4, 3))) as write:
        for frame in source:
            write(frame.name, frame.pixels, frame)
    again = open_source(tmp_path / "out.y4m")
    assert (again.fps, again.footage.aspect) == (25, Fraction(4, 3))
    assert again.footage.pixel_format == pixel_format
    for frame, expected in zip(again, source, strict=True):
        difference = np.abs(frame.pixels.astype(int) - expected.pixels)
        assert difference.mean() * 255 / np.iinfo(frame.pixels.dtype).max < 2


def test_full_range_is_told(tmp_path):
    like = replace(open_source(moving_picture(2)).footage, color=Color(6, True))
    with open_sink(tmp_path / "v.y4m", like=like) as write:
        write("0", np.full((32, 32, 3), 250, np.uint8))
    assert b"XCOLORRANGE=FULL" in (tmp_path / "v.y4m").read_bytes()[:100]
    ((_, pixels),) = open_source(tmp_path / "v.y4m")
    np.testing.assert_allclose(pixels.astype(int), 250, atol=1)


def test_times_that_a_stream_cannot_tell_are_noted(tmp_path):
    sink = open_sink(tmp_path / "v.y4m", fps=25)
    with sink as write:
        for time in (0, 1, 2):
            pixels = np.zeros((32, 32, 3), np.uint8)
            write(str(time), pixels, Frame(str(time), pixels, Fraction(time)))
    assert any("2 frames are shown at other times" in note for note in sink.notes)


def test_transparency_is_refused(tmp_path):
    with (
        pytest.raises(InputError, match=r"v\.y4m cannot hold transparency"),
        open_sink(tmp_path / "v.y4m") as write,
    ):
        write("0", np.zeros((32, 32, 4), np.uint8))
    assert not list(tmp_path.iterdir())


def run(script: str, **pipes) -> subprocess.CompletedProcess:
    prelude = """
        import numpy as np
        from ascendcv.dataloader.frame_sink import open_sink
        from ascendcv.dataloader.frame_source import open_source
    """
    code = textwrap.dedent(prelude) + textwrap.dedent(script)
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, timeout=300, env=environment, **pipes)


def test_standard_input_and_output_are_streams():
    write = """
        with open_sink("-", fps=30) as write:
            for value in range(0, 250, 25):
                write("", np.full((32, 48, 3), value, np.uint8))
    """
    stream = run(write)
    assert stream.returncode == 0, stream.stderr
    assert stream.stdout.startswith(b"YUV4MPEG2 W48 H32 F30:1 Ip A1:1 C420mpeg2")
    read = """
        source = open_source("-")
        print(source.fps, *(pixels.mean() for _, pixels in source))
    """
    result = run(read, input=stream.stdout)
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose([float(word) for word in result.stdout.split()], [30, *range(0, 250, 25)], atol=1)


def test_what_is_no_stream_is_refused():
    result = run("open_source('-')", input=b"something else")
    assert b"InputError: the standard input is no y4m stream" in result.stderr
