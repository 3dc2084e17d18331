"""The training clips of the shipped networks: layout, split, reduction, blur, the same clip each time."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import read_image
from ascendcv.dataloader.layouts import read_layout
from scripts import make_tiny_clips


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs of scikit-image as the ones that a user has: one to train on, one to select on."""
    from skimage import data

    folder = tmp_path_factory.mktemp("source")
    (folder / "photos").mkdir()
    Image.fromarray(data.coffee()).save(folder / "photos/some.jpg", quality=95)
    Image.fromarray(data.astronaut()).save(folder / "photos/life.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def clips(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "clips"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_tiny_clips, "CLIPS_VALIDATION", 2)
        assert make_tiny_clips.main([str(source), str(folder), "--clips", "3", "--blur"]) == 0
    return folder


def test_both_parts_are_data_sets_for_super_resolution_and_deblurring(clips: Path):
    for part, count in (("train", 3), ("val", 2)):
        assert len(read_layout("pairs", clips, part, lq_folder="x4", scale=4)) == count
        assert len(read_layout("pairs", clips, part)) == count


def test_small_frames_are_matlab_bicubic(clips: Path):
    truth, small = (read_image(clips / "train" / kind / "00001/3.png") for kind in ("gt", "x4"))
    np.testing.assert_array_equal(small, imresize(truth, 1 / 4))


def test_blurred_frames_are_less_sharp_than_their_truth(clips: Path):
    def detail(kind: str) -> float:
        frames = [read_image(file).astype(float) for file in sorted(clips.glob(f"train/{kind}/*/*.png"))]
        return float(np.mean([np.abs(np.diff(frame, axis=1)).mean() for frame in frames]))

    assert detail("blur") < 0.98 * detail("gt")


def test_photographs_to_select_on_are_not_trained_on(source: Path):
    train, val = (make_tiny_clips.photographs(source, part) for part in ("train", "val"))
    assert len(train) == 1 + len(make_tiny_clips.SKIMAGE)
    assert [photograph.size for photograph in val] == [(512, 512)]


def test_a_clip_depends_on_its_number_alone(source: Path, clips: Path, tmp_path: Path):
    make_tiny_clips.make_clip(source, tmp_path, "train", True, 2)
    for file in sorted((tmp_path / "train").glob("*/00002/*.png")):
        np.testing.assert_array_equal(read_image(file), read_image(clips / file.relative_to(tmp_path)))


def test_what_is_there_is_left_alone(source: Path, clips: Path, capsys):
    assert make_tiny_clips.main([str(source), str(clips)]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_source_without_photographs_is_refused_in_one_line(tmp_path: Path, capsys):
    assert make_tiny_clips.main([str(tmp_path), str(tmp_path / "out")]) == 2
    assert f"{tmp_path / 'photos'} has no photographs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
