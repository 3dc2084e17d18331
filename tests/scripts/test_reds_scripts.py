"""REDS from its archives to a data set that trains: regrouping, set files, and the whole preparation."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ascendcv.dataloader.reds import read_set
from scripts import make_reds_dataset, regroup_reds_dataset
from tests.scripts.file_server import serve
from tests.support import PROJECT


def put_frames(folder: Path, names: Iterator[str], size: tuple[int, int]) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.full((*size, 3), int(name) % 256, np.uint8)).save(folder / name / "00000000.png")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Some clips of REDS as its archives unpack."""
    for kind, size in (("sharp", (8, 12)), ("sharp_bicubic/X4", (2, 3))):
        put_frames(tmp_path / f"train_{kind}", ("000", "001", "015"), size)
        put_frames(tmp_path / f"val_{kind}", ("000", "029"), size)
    return tmp_path


def test_validation_clips_become_240_to_269_in_every_kind(official: Path, capsys):
    assert regroup_reds_dataset.main([str(official)]) == 0
    assert "4 clips moved" in capsys.readouterr().out
    for kind in ("sharp", "sharp_bicubic/X4"):
        clips = sorted(path.name for path in (official / f"train_{kind}").iterdir())
        assert clips == ["000", "001", "015", "240", "269"]
        assert not list((official / f"val_{kind}").iterdir())
    with Image.open(official / "train_sharp/269/00000000.png") as image:
        assert image.getpixel((0, 0)) == (29, 29, 29)


def test_regrouping_again_moves_nothing_and_after_an_interruption_the_rest(official: Path, capsys):
    (official / "val_sharp/029").rename(official / "train_sharp/269")  # as far as an earlier run came
    assert regroup_reds_dataset.main([str(official)]) == 0
    assert "3 clips moved" in capsys.readouterr().out
    assert regroup_reds_dataset.main([str(official)]) == 0
    assert "nothing to move" in capsys.readouterr().out


def test_regrouping_replaces_no_clip_and_moves_none_if_it_would(official: Path, capsys):
    put_frames(official / "train_sharp", ["269"], (8, 12))
    assert regroup_reds_dataset.main([str(official)]) == 2
    assert "val_sharp/029 should become" in capsys.readouterr().err
    assert (official / "val_sharp/000").is_dir()


def test_regrouping_needs_the_training_clips(official: Path, tmp_path_factory, capsys):
    assert regroup_reds_dataset.main([str(tmp_path_factory.mktemp("empty"))]) == 2
    assert "has no train_sharp" in capsys.readouterr().err
    (official / "train_sharp_bicubic/X4").rename(official / "elsewhere")
    assert regroup_reds_dataset.main([str(official)]) == 2
    assert "train_sharp_bicubic/X4 is not" in capsys.readouterr().err


def test_set_files_for_other_folders_scales_and_clips(tmp_path: Path, capsys):
    put_frames(tmp_path / "images/sharp", ("3", "20", "100"), (8, 12))
    put_frames(tmp_path / "images/blur", ("3", "20", "100"), (8, 12))
    options = ["--scale", "1", "--lq_folder", "blur", "--gt_folder", "sharp", "--val", "20"]
    assert make_reds_dataset.main([str(tmp_path), *options]) == 0
    assert "train.json: 2 clips" in capsys.readouterr().out
    train = json.loads((tmp_path / "sets/train.json").read_text())
    assert [video["name"] for video in train["videos"]] == ["3", "100"]
    assert (train["prefix"], train["x1_folder"], train["videos"][0]["x1_shape"]) == (True, "blur", [8, 12])
    assert [clip.name for clip in read_set(tmp_path, "val.json", scale=1)] == ["20"]
    # The release was told the folder of the set files.
    (tmp_path / "sets/train.json").unlink()
    assert make_reds_dataset.main([str(tmp_path / "sets"), *options]) == 0
    assert (tmp_path / "sets/train.json").exists()


def test_a_folder_that_is_no_data_set_ends_with_status_2_and_one_line(tmp_path: Path, capsys):
    assert make_reds_dataset.main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("make_reds_dataset: ")
    assert error.count("\n") == 1


def test_one_command_makes_the_data_set_and_again_does_nothing(official: Path, tmp_path_factory):
    """prepare_reds_dataset.sh on archives like the published ones, from a server on this machine."""
    served, target = tmp_path_factory.mktemp("served"), tmp_path_factory.mktemp("data") / "reds"
    for name in ("train_sharp", "train_sharp_bicubic", "val_sharp", "val_sharp_bicubic"):
        with zipfile.ZipFile(served / f"{name}.zip", "w") as archive:
            for path in sorted((official / name).rglob("*.png")):
                archive.write(path, Path(name.split("_")[0]) / path.relative_to(official))
    with serve(served) as server:
        command = ["bash", PROJECT / "scripts/prepare_reds_dataset.sh", target]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # where there is no .venv
        environment = os.environ | {"REDS_SERVER": server.address, "PATH": path}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        files = {path: path.stat().st_mtime_ns for path in (target / "images").rglob("*")}
        requests = len(server.requests)
        subprocess.run(command, env=environment, check=True, capture_output=True)
        assert len(server.requests) == requests
    assert files == {path: path.stat().st_mtime_ns for path in (target / "images").rglob("*")}
    assert [clip.name for clip in read_set(target, "train.json")] == ["001", "240", "269"]
    assert [clip.name for clip in read_set(target, "val.json")] == ["000", "015"]
    assert not list(target.glob("*.zip*"))
