"""The command `degrade`: frames go in, worse frames and a note of what was drawn come out."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import list_images, read_image, write_image
from ascendvsr.cli import main


@pytest.fixture
def clips(tmp_path: Path, photograph: np.ndarray) -> Path:
    """Two clips of five frames of 32x48 pixels."""
    for number, name in enumerate(("a", "b")):
        for frame in range(5):
            pixels = photograph[number + 2 * frame : number + 2 * frame + 32, frame : frame + 48]
            write_image(tmp_path / f"clips/{name}/{frame + 7:04d}.png", pixels)
    return tmp_path / "clips"


def run(*arguments: object) -> int:
    return main(["degrade", *map(str, arguments)])


def pixels(folder: Path) -> np.ndarray:
    return np.stack([read_image(path) for path in list_images(folder)[0]])


def test_each_clip_goes_where_it_is_called_with_its_frames_names(clips: Path, tmp_path: Path):
    assert run(clips, tmp_path / "out", "--step", "bicubic scale=4", "--step", "gaussian sigma=5..25") == 0
    for name in ("a", "b"):
        assert [path.name for path in list_images(tmp_path / "out" / name)[0]] == [
            f"{n:04d}.png" for n in range(7, 12)
        ]
        small = np.stack([imresize(frame, 0.25) for frame in pixels(clips / name)])
        noise = pixels(tmp_path / "out" / name).astype(float) - small
        assert 2 < noise.std() < 30


def test_the_note_says_what_was_drawn_for_each_clip_and_the_seed_decides(clips: Path, tmp_path: Path):
    steps = ("--step", "gaussian sigma=5..25")
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        assert run(clips, tmp_path / name, *steps, "--seed", seed) == 0
    notes = {name: json.loads((tmp_path / name / "degraded.json").read_text()) for name in ("one", "same", "other")}
    assert notes["one"]["steps"] == ["gaussian sigma=5..25"]
    assert [clip["name"] for clip in notes["one"]["clips"]] == ["a", "b"]
    sigmas = [clip["drawn"][0]["sigma"] for name in notes for clip in notes[name]["clips"]]
    assert sigmas[:2] == sigmas[2:4]
    assert len(set(sigmas)) == 4
    np.testing.assert_array_equal(pixels(tmp_path / "one/a"), pixels(tmp_path / "same/a"))
    assert not np.array_equal(pixels(tmp_path / "one/a"), pixels(tmp_path / "other/a"))


def test_means_are_called_as_their_middle_frames_which_can_be_written_too(clips: Path, tmp_path: Path):
    assert run(clips / "a", tmp_path / "blur", "--step", "average frames=3", "--sharp", tmp_path / "sharp") == 0
    names = [path.name for path in list_images(tmp_path / "blur")[0]]
    assert (
        names == [path.name for path in list_images(tmp_path / "sharp")[0]] == ["0008.png", "0009.png", "0010.png"]
    )
    frames = pixels(clips / "a")
    np.testing.assert_array_equal(pixels(tmp_path / "sharp"), frames[1:4])
    np.testing.assert_array_equal(pixels(tmp_path / "blur")[0], np.rint(frames[:3].mean(0)).astype(np.uint8))


def test_a_video_goes_in_and_comes_out(clips: Path, tmp_path: Path):
    assert run(clips / "a", tmp_path / "a.mp4", "--step", "bicubic scale=2") == 0
    with av.open(str(tmp_path / "a.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 5
        assert (video.streams.video[0].height, video.streams.video[0].width) == (16, 24)
    assert json.loads((tmp_path / "a.mp4.degraded.json").read_text())["clips"][0]["frames"] == 5
    assert run(tmp_path / "a.mp4", tmp_path / "noisy", "--step", "jpeg quality=30") == 0
    assert len(list_images(tmp_path / "noisy")[0]) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clips", "out"), "no degradation is named"),
        (("clips", "out", "--step", "sharpen"), "no degradation is called 'sharpen'"),
        (("clips", "out.mp4", "--step", "bd"), "is one file: name a folder for several clips"),
        (("clips", "clips/out", "--step", "bd"), "is in what is to be degraded"),
        (("clips", "out", "--step", "bd", "--sharp", "s"), "--sharp is for chains that begin with average"),
        (("clips", "out", "--step", "average frames=9"), "has 5 frames, fewer than are averaged: 9"),
        (("clips", "out", "--step", "bd", "--seed", "-1"), "--seed should be 0 or more"),
        (("nowhere", "out", "--step", "bd"), "there is no folder or video"),
        (("clips/a", "b.png", "--step", "bd"), "b.png"),
    ],
)
def test_what_cannot_be_done_is_said(
    clips: Path, tmp_path: Path, capsys, monkeypatch, arguments: tuple, message: str
):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_exists_is_replaced_only_where_that_is_said(clips: Path, tmp_path: Path, capsys):
    assert run(clips, tmp_path / "out", "--step", "bd") == 0
    before = pixels(tmp_path / "out/a")
    assert run(clips, tmp_path / "out", "--step", "duf") == 2
    assert "holds frames: say --overwrite" in capsys.readouterr().err
    np.testing.assert_array_equal(pixels(tmp_path / "out/a"), before)
    assert run(clips, tmp_path / "out", "--step", "duf", "--overwrite") == 0
    assert not np.array_equal(pixels(tmp_path / "out/a"), before)
