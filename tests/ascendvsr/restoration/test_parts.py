"""Parts of a clip that processes restore apart give, joined, what one process gives."""

import os
import re
import shutil
import signal
import subprocess
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.image import read_image
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.parts import cut_into
from tests.ascendcv.dataloader.made_videos import make_video
from tests.ascendcv.dataloader.test_streams import packets
from tests.support import PROJECT, command_line

LOSSLESS = ("--codec", "ffv1", "--set", "num_threads", 1)


@pytest.fixture(scope="module")
def film(tmp_path_factory, photograph) -> Path:
    """Three shots of the photograph that moves, 70 frames with uneven times, and sound."""
    dark, bright = photograph // 4, 255 - photograph // 4
    frames = [
        np.roll(shot, 3 * t, axis=1)[top : top + 24, :32]
        for shot, top, count in ((dark, 100, 20), (bright, 300, 17), (dark, 200, 33))
        for t in range(count)
    ]
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    make_video(
        path,
        np.stack(frames),
        codec="libx264rgb",
        pixel_format="rgb24",
        times=[40 * index + 9 * (index % 3) for index in range(70)],
        time_base=Fraction(1, 1000),
        sound="aac",
        sound_seconds=2.8,
    )
    return path


@pytest.fixture
def ascendvsr(ascendvsr_process):
    return ascendvsr_process


def check_same(whole: Path, joined: Path) -> None:
    """Frames, times and the packets of the sound."""
    pairs = list(zip(open_source(whole), open_source(joined), strict=True))
    different = [
        number
        for number, (one, other) in enumerate(pairs)
        if one.time != other.time or not np.array_equal(one.pixels, other.pixels)
    ]
    assert different == []
    assert packets(whole, "audio") == packets(joined, "audio")


def test_parts_joined_are_what_one_process_gives(ascendvsr, tmp_path, film, tiny_edvr_checkpoint):
    options = ("--checkpoint", tiny_edvr_checkpoint, *LOSSLESS)
    ascendvsr("restore", film, "whole.mkv", *options)
    for number in (2, 1):
        said = ascendvsr("restore", film, "joined.mkv", "--part", f"{number}/2", *options)
        assert f"part {number}/2 of joined.mkv" in said
        assert not (tmp_path / "joined.mkv").exists()
        if number == 2:
            assert "these are not there or not complete: 1" in ascendvsr("join", "joined.mkv", status=2)
    assert "joined.mkv: 70 frames" in ascendvsr("join", "joined.mkv")
    check_same(tmp_path / "whole.mkv", tmp_path / "joined.mkv")
    assert not (tmp_path / ".joined.mkv.segments").exists()


@pytest.mark.slow
def test_a_part_that_was_killed_goes_on(ascendvsr, tmp_path, film, tiny_edvr_checkpoint):
    """With segments of 240 frames: of a film that is long enough."""
    long = tmp_path / "long.mkv"
    frames = np.concatenate([np.stack([frame.pixels for frame in open_source(film)])] * 8)
    make_video(long, frames, codec="libx264rgb", pixel_format="rgb24", sound="aac", sound_seconds=22)
    options = ("--checkpoint", tiny_edvr_checkpoint, *LOSSLESS)
    ascendvsr("restore", long, "whole.mkv", *options)
    ascendvsr("restore", long, "joined.mkv", "--part", "1/2", *options)
    command = command_line("restore", long, "joined.mkv", "--part", "2/2", *options)
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)})
    manifest, deadline = tmp_path / ".joined.mkv.segments/part-2-of-2-manifest.json", time.monotonic() + 240
    while not manifest.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "going on behind 240 frames" in ascendvsr(
        "restore", long, "joined.mkv", "--part", "2/2", "--resume", *options
    )
    ascendvsr("join", "joined.mkv")
    check_same(tmp_path / "whole.mkv", tmp_path / "joined.mkv")


@pytest.mark.slow
def test_folders_of_frames_need_no_joining(ascendvsr, tmp_path, frame_folder, tiny_edvr_checkpoint):
    clip = frame_folder("clip", count=19)
    options = ("--checkpoint", tiny_edvr_checkpoint, "--set", "num_threads", 1)
    ascendvsr("restore", clip, "whole", *options)
    for number in (1, 2):
        ascendvsr("restore", clip, "parts", "--part", f"{number}/2", *options)
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == names
    for name in names:
        np.testing.assert_array_equal(read_image(tmp_path / "whole" / name), read_image(tmp_path / "parts" / name))
    assert "holds frames of this part" in ascendvsr("restore", clip, "parts", "--part", "2/2", *options, status=2)


@pytest.mark.slow
def test_several_clips_are_dealt_out_whole(ascendvsr, tmp_path, frame_folder, tiny_edvr_checkpoint):
    clips = [frame_folder(name, count=2) for name in ("a", "b", "c")]
    options = ("--output", "out", "--checkpoint", tiny_edvr_checkpoint)
    ascendvsr("restore", *clips, *options, "--part", "1/2")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "c"]
    assert "part 4/4 has none of the clips" in ascendvsr("restore", *clips, *options, "--part", "4/4")


def test_what_cannot_be_parts_is_said(ascendvsr, tmp_path, film, frame_folder, tiny_edvr_checkpoint):
    options = ("--checkpoint", tiny_edvr_checkpoint)
    for wrong, message in (
        (("--part", "0/2"), "--part should be K/N"),
        (("--part", "1/99"), "has 70 frames, which cannot be 99 parts"),
        (("--part", "1/2", "--compare"), "--compare is of a whole clip"),
        (("--part", "1/2", "--start", "0:01"), "give --start as a number"),
        (("--part", "1/2", "--cluster", "local:2"), "say one"),
    ):
        assert message in ascendvsr("restore", film, "out.mkv", *options, *wrong, status=2)
    assert "holds no parts of a video" in ascendvsr("join", "out.mkv", status=2)
    assert "frames need no joining" in ascendvsr("join", frame_folder("frames"), status=2)


def test_parts_meet_at_cuts_that_are_near(film):
    def opened(first, frames):
        return open_source(film, start=first, frames=frames)

    whole = open_source(film)
    pieces = [cut_into(whole, 4, "auto", opened)(number) for number in (1, 2, 3, 4)]
    assert [(piece.first, piece.stop) for piece in pieces] == [(0, 20), (20, 37), (37, 52), (52, None)]
    off = [cut_into(whole, 4, "off", opened)(number).first for number in (1, 2, 3, 4)]
    assert off == [0, 17, 35, 52]
    with pytest.raises(InputError, match="cannot be 71 parts"):
        cut_into(whole, 71, "off", opened)


@pytest.mark.slow
@pytest.mark.needs("distributed")
def test_a_cluster_gives_what_one_process_gives_though_workers_are_killed(
    ascendvsr, tmp_path, film, tiny_edvr_checkpoint
):
    long = tmp_path / "long.mkv"
    frames = np.concatenate([np.stack([frame.pixels for frame in open_source(film)])] * 6)
    make_video(long, frames, codec="libx264rgb", pixel_format="rgb24", sound="aac", sound_seconds=16)
    options = ("--checkpoint", tiny_edvr_checkpoint, *LOSSLESS)
    ascendvsr("restore", long, "whole.mkv", *options)
    command = command_line("restore", long, "out.mkv", *options, "--cluster", "local:2")
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    folder, killed = tmp_path / ".out.mkv.segments", 0
    while process.poll() is None:
        if killed < 2 and len(list(folder.glob("*manifest.json"))) > 2 * killed:
            os.kill(computing(process.pid), signal.SIGKILL)
            killed += 1
        time.sleep(0.1)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    assert killed == 2
    assert f"restored in {round(len(frames) / 120)} parts" in said
    check_same(tmp_path / "whole.mkv", tmp_path / "out.mkv")
    assert not folder.exists()


def computing(parent: int) -> int:
    """The descendant of a process that has used the processors most."""
    found, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = re.sub(r".*\) ", "", stat.read_text()).split()
        except OSError:
            continue
        found[int(stat.parent.name)], used[int(stat.parent.name)] = int(fields[1]), int(fields[11])
    family = {parent}
    while more := {child for child, its in found.items() if its in family} - family:
        family |= more
    return max(family - {parent}, key=lambda process: used[process])


@pytest.mark.slow
@pytest.mark.needs("distributed")
def test_folders_and_pictures_on_a_cluster(ascendvsr, tmp_path, frame_folder, tiny_edvr_checkpoint):
    clips = [frame_folder(name, count=3) for name in ("a", "b")]
    options = ("--checkpoint", tiny_edvr_checkpoint, "--set", "num_threads", 1)
    ascendvsr("restore", *clips, "--output", "whole", *options)
    said = ascendvsr("restore", *clips, "--output", "out", *options, "--cluster", "local:1")
    assert "6 frames of 2 clips" in said
    for path in (tmp_path / "whole").rglob("*.png"):
        other = tmp_path / "out" / path.relative_to(tmp_path / "whole")
        np.testing.assert_array_equal(read_image(path), read_image(other))
    shutil.rmtree(tmp_path / "out")
    broken = sorted(frame_folder("c", count=3).iterdir())[1]
    data = broken.read_bytes()
    broken.write_bytes(data[: len(data) // 2] + bytes(40) + data[len(data) // 2 + 40 :])
    said = ascendvsr(
        "restore", *clips, broken.parent, "--output", "out", *options, "--cluster", "local:1", status=1
    )
    assert "c: not restored: " in said
    assert "1 of 3 clips could not be restored" in said
    assert len(list((tmp_path / "out").glob("[ab]/*.png"))) == 6
    shutil.rmtree(tmp_path / "out")
    missing = ascendvsr("restore", *clips, "--output", "out", "--cluster", "tcp://127.0.0.1:1", *options, status=2)
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in missing
