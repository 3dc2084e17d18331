"""A video made in segments is the video made at once, whatever happened in between."""

import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.segments import frames_done, open_segmented, plan_segments, segment_folder
from ascendcv.utils.errors import InputError
from tests.ascendcv.dataloader.made_videos import make_video, moving_picture
from tests.ascendcv.dataloader.test_streams import packets
from tests.support import PROJECT

JOB = {"source": "in.mp4", "scale": 2}


@pytest.fixture
def given(tmp_path) -> Path:
    """25 frames with uneven times, and sound."""
    ticks = [round(1500 * index + 700 * (index % 3)) for index in range(25)]
    make_video(
        tmp_path / "in.mp4",
        moving_picture(25),
        codec="libx264rgb",
        pixel_format="rgb24",
        times=ticks,
        time_base=Fraction(1, 30000),
        sound="aac",
    )
    return tmp_path / "in.mp4"


def restore(
    source: Path, target: Path, *, stop: int | None = None, resume: bool = False, job=JOB, **settings
) -> None:
    first = frames_done(target, job) if resume else 0
    part = open_source(source, start=first)
    options = {"length": 10, "queue_size": 0, **(settings or {"crf": 0})}
    with open_segmented(target, job, like=part.footage, resume=resume, **options) as write:
        for index, frame in enumerate(part):
            if index == stop:
                raise KeyboardInterrupt
            write(frame.name, frame.pixels, frame)


def check_whole(source: Path, target: Path) -> None:
    for frame, expected in zip(open_source(target), open_source(source), strict=True):
        np.testing.assert_array_equal(frame.pixels, expected.pixels)
        assert frame.time == expected.time
    assert [data for _, data in packets(target, "audio")] == [data for _, data in packets(source, "audio")]
    assert not segment_folder(target).exists()


@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_joined_segments_are_the_whole_with_its_times_and_sound(tmp_path, given, ending):
    restore(given, tmp_path / f"out.{ending}")
    check_whole(given, tmp_path / f"out.{ending}")


@pytest.mark.parametrize("kind", ["mkv hevc", "mp4 hevc", "webm vp9", "mkv ffv1", "mov prores", "mp4 av1"])
def test_other_codecs_are_joined_too(tmp_path, kind):
    ending, codec = kind.split()
    make_video(tmp_path / "in.mp4", moving_picture(25, 64, 64))
    source, target = open_source(tmp_path / "in.mp4"), tmp_path / f"out.{ending}"
    pixel_format = "yuv422p10le" if codec == "prores" else "yuv420p"
    options = {"codec": codec, "pixel_format": pixel_format}
    with open_segmented(target, JOB, like=source.footage, length=10, **options) as write:
        for frame in source:
            write(frame.name, frame.pixels, frame)
    frames = list(open_source(target))
    assert [frame.time for frame in frames] == [Fraction(index, 25) for index in range(25)]
    for frame, expected in zip(frames, moving_picture(25, 64, 64), strict=True):
        unit = np.iinfo(frame.pixels.dtype).max
        assert np.abs(frame.pixels / unit - expected / 255).mean() < 0.03


@pytest.mark.parametrize("stop", [5, 10, 17, 24])
def test_an_interrupted_job_goes_on_behind_its_last_segment(tmp_path, given, stop):
    target = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        restore(given, target, stop=stop)
    assert not target.exists()
    assert frames_done(target, JOB) == stop // 10 * 10
    restore(given, target, resume=True)
    check_whole(given, target)


def kill_behind_two_segments(source: Path, target: Path, **settings: object) -> None:
    script = f"""
        import os, signal, time
        from pathlib import Path
        from ascendcv.dataloader.frame_source import open_source
        from ascendcv.dataloader.segments import frames_done, open_segmented
        part = open_source({str(source)!r})
        job, target = {JOB!r}, {str(target)!r}
        with open_segmented(target, job, like=part.footage, length=10, **{settings!r}) as write:
            for index, frame in enumerate(part):
                write(frame.name, frame.pixels, frame)
                if index == 22:
                    while frames_done(Path(target), job) < 20:
                        time.sleep(0.01)
                    os.kill(os.getpid(), signal.SIGKILL)
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=PROJECT, timeout=300)
    assert result.returncode == -9
    assert frames_done(target, JOB) == 20


def test_a_killed_process_loses_no_complete_segment(tmp_path, given):
    target = tmp_path / "out.mp4"
    kill_behind_two_segments(given, target, crf=0)
    restore(given, target, resume=True)
    check_whole(given, target)


@pytest.mark.parametrize("kind", ["mkv ffv1", "mkv h264", "webm vp9"])
def test_a_killed_job_keeps_the_shape_of_pixels(tmp_path, kind):
    ending, codec = kind.split()
    source, target = tmp_path / "in.mp4", tmp_path / f"out.{ending}"
    make_video(source, moving_picture(25, 72, 90), aspect=Fraction(64, 45))
    settings = {"codec": codec, "pixel_format": "yuv420p"}
    kill_behind_two_segments(source, target, **settings)
    for segment in segment_folder(target).glob(f"0*.{ending}"):
        assert open_source(segment).footage.aspect == Fraction(64, 45)
    restore(source, target, resume=True, **settings)
    result = open_source(target)
    assert (result.footage.aspect, result.footage.width) == (Fraction(64, 45), 90)
    assert [frame.time for frame in result] == [Fraction(index, 25) for index in range(25)]


def test_segments_of_another_job_are_refused(tmp_path, given):
    target = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        restore(given, target, stop=12)
    with pytest.raises(InputError, match="made with other settings"):
        frames_done(target, JOB | {"scale": 4})
    restore(given, target)  # from the beginning
    check_whole(given, target)


def test_a_damaged_manifest_is_named(tmp_path, given):
    target = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        restore(given, target, stop=12)
    for content in ("{", "[]", '{"segments": [1]}'):
        (segment_folder(target) / "manifest.json").write_text(content)
        with pytest.raises(InputError, match=r"manifest\.json"):
            frames_done(target, JOB)


def test_a_plan_covers_every_frame_once_and_reads_around_it():
    plan = plan_segments(25, 10, overlap=3)
    assert [list(holds) for holds, _ in plan] == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert [(reads.start, reads.stop) for _, reads in plan] == [(0, 13), (7, 23), (17, 25)]
    assert plan_segments(0) == []
