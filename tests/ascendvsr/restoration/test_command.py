"""The command `restore` on real files: batches, parts, resuming, reports, and what it refuses."""

import os
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.image import read_image, write_image
from ascendcv.metrics.psnr import psnr
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.command import read_cuts, read_start
from tests.ascendcv.dataloader.made_videos import make_video
from tests.support import PROJECT, command_line


@pytest.fixture
def restore(tiny_edvr_checkpoint, tmp_path):
    """Runs the command in a folder of the test's own; gives what it printed."""

    def run(*arguments: object, status: int = 0) -> str:
        command = command_line("restore", *arguments, "--checkpoint", tiny_edvr_checkpoint)
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_without_an_output_the_result_is_beside_its_input(restore, tmp_path, photograph):
    frames = np.stack([photograph[8 * t : 8 * t + 24, :32] for t in range(5)])
    make_video(tmp_path / "clip.mp4", frames)
    write_image(tmp_path / "photo.png", photograph[:20, :24])
    said = restore("clip.mp4", "photo.png", "--report", "no.html", status=2)
    assert "--report is of one clip" in said
    said = restore("clip.mp4", "photo.png")
    assert "2 of 2 clips restored" in said
    restored = open_source(tmp_path / "clip_restored.mp4")
    assert (restored.footage.height, restored.footage.width) == (96, 128)
    assert [frame.time for frame in restored] == [frame.time for frame in open_source(tmp_path / "clip.mp4")]
    assert read_image(tmp_path / "photo_restored.png").shape == (80, 96, 3)
    assert "exists: say --overwrite" in restore("clip.mp4", status=2)


def test_a_part_with_a_comparison_and_a_report(restore, tmp_path, frame_folder):
    clip, truth = frame_folder("clip", count=6), frame_folder("truth", count=6, height=128, width=160)
    options = ("--start", 2, "--frames", 3, "--compare", "--report", "page.html", "--gt", truth)
    restore(clip, "--output", "out", *options)
    names = [path.name for path in sorted(clip.iterdir())][2:5]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    height, width, _ = read_image(tmp_path / "out_compare" / names[0]).shape
    assert (height, width > 2 * 160) == (128, True)
    page = (tmp_path / "page.html").read_text()
    assert "PSNR" in page
    assert "http:" not in page


def test_ground_truth_without_a_report_is_measured(restore, tmp_path, frame_folder, photograph):
    """Several clips have theirs by name; a clip that has none is named before anything is restored."""
    for name in ("a", "b"):
        frame_folder(f"in/{name}", count=3)
        frame_folder(f"gt/{name}", count=3, height=128, width=160)
    said = restore("in", "--output", "out", "--gt", "gt")
    found = re.findall(r"PSNR (\d+\.\d\d) dB \(input (\d+\.\d\d)\), SSIM .*, mean of 3 frames", said)
    restored, truth = (
        np.stack([read_image(path) for path in sorted((tmp_path / name / "a").iterdir())]) for name in ("out", "gt")
    )
    expected = np.mean([psnr(*pair) for pair in zip(restored.astype(float), truth.astype(float), strict=True)])
    assert float(found[0][0]) == pytest.approx(expected, abs=0.0051)
    shutil.rmtree(tmp_path / "gt/b")
    said = restore("in", "--output", "again", "--gt", "gt", status=2)
    assert "holds no clip b, the ground truth of" in said
    assert not (tmp_path / "again").exists()


def test_cuts_are_not_crossed(restore, tmp_path, photograph):
    """Two clips in one file give what each gives alone, whether the cut is named or found."""
    dark, bright = photograph[100:124, 100:132] // 4, 255 - photograph[300:324, 300:332] // 4
    shots = [np.stack([shot] * 8) for shot in (dark, bright)]
    for name, frames in (("a", shots[0]), ("b", shots[1]), ("both", np.concatenate(shots))):
        folder = tmp_path / name
        folder.mkdir()
        for number, frame in enumerate(frames):
            write_image(folder / f"{number:02d}.png", frame)
    make_video(tmp_path / "both.mkv", np.concatenate(shots), codec="libx264rgb", pixel_format="rgb24")
    restore("a", "b", "--output", "alone")
    expected = [read_image(path) for name in "ab" for path in sorted((tmp_path / "alone" / name).iterdir())]
    restore("both.mkv", "found/", "--format", "png")
    restore("both", "named", "--scene-cuts", "8")
    restore("both", "crossed")
    found, named, crossed = (
        [read_image(path) for path in sorted((tmp_path / name).iterdir())] for name in ("found", "named", "crossed")
    )
    np.testing.assert_array_equal(named, expected)
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(crossed, expected)


@pytest.mark.slow
def test_a_killed_job_goes_on_and_gives_the_same_video(restore, tmp_path, photograph, tiny_edvr_checkpoint):
    frames = np.stack([np.roll(photograph, 3 * t, axis=1)[:40, :48] for t in range(600)])
    make_video(tmp_path / "clip.mp4", frames)
    # Without losses, as x264 does not always choose alike (its macroblock trees), and on one thread.
    options = ("--codec", "ffv1", "--set", "num_threads", 1)
    restore("clip.mp4", "whole.mkv", *options)
    command = command_line("restore", "clip.mp4", "part.mkv", "--checkpoint", tiny_edvr_checkpoint, *options)
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)})
    manifest = tmp_path / ".part.mkv.segments/manifest.json"
    deadline = time.monotonic() + 200
    while not manifest.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "part.mkv").exists()
    assert "going on behind" in restore("clip.mp4", "part.mkv", "--resume", *options)
    pairs = zip(open_source(tmp_path / "whole.mkv"), open_source(tmp_path / "part.mkv"), strict=True)
    for whole, part in pairs:
        assert whole.time == part.time
        np.testing.assert_array_equal(whole.pixels, part.pixels)
    assert not manifest.parent.exists()


@pytest.mark.slow
def test_a_process_keeps_within_the_memory_that_it_was_given(restore, tmp_path, photograph, tiny_edvr_checkpoint):
    """With 30 % more than the least that it asks for; the peak is at most a tenth over."""
    frames = np.stack([np.roll(photograph, 3 * t, axis=1)[:240, :320] for t in range(10)])
    make_video(tmp_path / "clip.mp4", frames)
    refused = restore("clip.mp4", "out.mp4", "--tile", "auto", "--memory", "100M", status=2)
    budget = int(1.3 * int(re.search(r"need at least (\d+)M", refused)[1]))
    options = ("--checkpoint", tiny_edvr_checkpoint, "--tile", "auto", "--memory", f"{budget}M")
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = command_line("restore", "clip.mp4", "out.mp4", *options)
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    assert usage.ru_maxrss / 1024 <= 1.1 * budget
    assert open_source(tmp_path / "out.mp4").footage.width == 1280


def test_a_folder_goes_on_where_frames_are_missing(restore, tmp_path, frame_folder):
    clip = frame_folder("clip", count=6)
    restore(clip, "whole")
    restore(clip, "part")
    names = sorted(path.name for path in (tmp_path / "part").iterdir())
    for name in names[4:]:
        (tmp_path / "part" / name).unlink()
    assert "holds frames" in restore(clip, "part", status=2)
    assert "2 frames in" in restore(clip, "part", "--resume")
    for name in names:
        np.testing.assert_array_equal(read_image(tmp_path / "part" / name), read_image(tmp_path / "whole" / name))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.mp4"], "there is no file or folder nowhere.mp4"),
        (["clip", "out.ogv"], r"cannot write to out.ogv"),
        (["clip", "out", "--tile", "3", "64", "64"], "the number of frames should be even"),
        (["clip", "out", "--tile", "auto", "--memory", "nothing"], "--memory should be a size"),
        (["clip", "out", "--memory", "4G"], "--memory is for --tile auto"),
        (["clip", "out", "--start", "1:xx"], "--start should be a number of frames or a time"),
        (["clip", "out", "--scene-cuts", "some"], "--scene-cuts should be auto, off or frame numbers"),
        (["clip", "clip"], "holds frames|is an input"),
        (["clip", "out", "--sigma", "20"], "takes no noise level"),
        (["clip", "out", "--codec", "h264"], "is no video file"),
    ],
)
def test_what_cannot_be_done_is_one_line(restore, frame_folder, arguments, message):
    import re

    frame_folder("clip", count=2)
    said = restore(*arguments, status=2)
    assert said.startswith("ascendvsr: ")
    assert said.count("\n") == 1
    assert re.search(message, said)


def test_times():
    assert read_start("12") == 12
    assert float(read_start("83.5")) == float(read_start("1:23.5")) == float(read_start("0:01:23.5s")) == 83.5
    for text in ("1:2:3:4", "-3", "1:-3", "x", ""):
        with pytest.raises(InputError, match="--start"):
            read_start(text)


def test_cuts():
    assert (read_cuts("auto"), read_cuts("off"), read_cuts("3, 40")) == ("auto", "off", [3, 40])
    with pytest.raises(InputError, match="--scene-cuts"):
        read_cuts("3,-4")
