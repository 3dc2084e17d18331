"""The sample that the demo trains on: real photographs, sharp, no borders, held-out sources held out."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ascendcv.dataloader.clips import verify_frames
from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import read_image
from ascendcv.dataloader.layouts import read_layout
from ascendcv.dataloader.reds import read_set
from ascendvsr.demonstration import sample as make_sample


def test_it_is_a_data_set_with_ground_truth_of_four_times_the_size(sample: Path):
    train, val = read_set(sample, "train.json"), read_set(sample, "val.json")
    assert [clip.name for clip in val] == ["000"]
    assert 6 <= len(train) <= 8
    for clip in train + val:
        assert len(clip.lq) >= 10
        assert (clip.lq_size, clip.gt_size) == ((64, 80), (256, 320))
    verify_frames(train + val)


def test_the_input_is_the_matlab_bicubic_reduction_of_the_ground_truth(sample: Path):
    clip = read_set(sample, "val.json")[0]
    for lq, gt in zip(clip.lq, clip.gt, strict=True):
        np.testing.assert_array_equal(read_image(lq), imresize(read_image(gt), 1 / 4))


def test_no_photograph_of_the_held_out_clip_is_trained_on():
    held_out = make_sample.photographs_of(make_sample.SCENES[make_sample.HELD_OUT])
    assert len(held_out) == 2  # the scene and what moves in it
    for name, scene in make_sample.SCENES.items():
        assert name == make_sample.HELD_OUT or not held_out & make_sample.photographs_of(scene)


def test_every_photograph_is_listed_with_its_license_in_the_sample_and_in_the_data_folder_s_readme(
    sample: Path,
):
    used = set().union(*map(make_sample.photographs_of, make_sample.SCENES.values()))
    assert used == set(make_sample.PHOTOGRAPHS)
    readme = (Path(__file__).parents[2] / "data/README.md").read_text()
    for photograph, license in make_sample.PHOTOGRAPHS.items():
        assert license.endswith(("CC0", "public domain"))
        for text in ((sample / "LICENSES.md").read_text(), readme):
            assert f"| {photograph} | {license} |" in text


def test_the_camera_never_leaves_its_photograph_nor_while_it_is_exposed():
    photographs = make_sample.load_photographs()
    for name, scene in make_sample.SCENES.items():
        photograph = photographs[scene.photograph]
        held_out = name == make_sample.HELD_OUT
        blurred_size = make_sample.BLUR_SIZE_HELD_OUT if held_out else make_sample.BLUR_SIZE
        for number in range(scene.frames):
            assert is_inside(make_sample.camera(scene, number), make_sample.SIZE, photograph), (name, number)
            for moment in (number - make_sample.EXPOSURE / 2, number + make_sample.EXPOSURE / 2):
                assert is_inside(make_sample.camera(scene, moment), blurred_size, photograph), (name, moment)


def is_inside(view: make_sample.View, size: tuple[int, int], photograph: Image.Image) -> bool:
    """Whether a frame of `size` = (width, height) has two pixels of the photograph around it."""
    cosine, sine = (abs(f(math.radians(view.angle))) for f in (math.cos, math.sin))
    reach_x = view.zoom * (cosine * size[0] + sine * size[1]) / 2
    reach_y = view.zoom * (sine * size[0] + cosine * size[1]) / 2
    return (
        reach_x + 2 <= view.x <= photograph.width - 2 - reach_x
        and reach_y + 2 <= view.y <= photograph.height - 2 - reach_y
    )


def test_neighboring_frames_move_by_some_pixels_and_parts_of_a_pixel():
    for scene in make_sample.SCENES.values():
        views = [make_sample.camera(scene, number) for number in range(scene.frames)]
        moves = [math.hypot(b.x - a.x, b.y - a.y) / a.zoom for a, b in itertools.pairwise(views)]
        assert 1 < np.mean(moves) < 12
        assert np.std(moves) > 0.3  # the shake: no two moves are the same part of a pixel


def test_frames_are_sharp(sample: Path):
    """Detail that a reduction by 4 loses is there: bicubic is far from the truth in every clip."""
    for clip in read_set(sample, "train.json") + read_set(sample, "val.json"):
        gt = read_image(clip.gt[0]).astype(float)
        bicubic = np.clip(imresize(read_image(clip.lq[0]).astype(float), 4), 0, 255)
        assert 10 * math.log10(255**2 / np.mean((gt - bicubic) ** 2)) < 33


def test_blurred_frames_are_less_sharp_than_their_ground_truth_and_lie_upon_it(sample: Path):
    for part, sizes in (("train", (176, 224)), ("val", (96, 128))):
        for clip in read_layout("pairs", sample, part):
            assert (clip.lq_size, clip.gt_size) == (sizes, sizes)
            frames, truth = (np.stack([read_image(path) for path in paths]) for paths in (clip.lq, clip.gt))
            frames, truth = frames.astype(float), truth.astype(float)
            blur, sharp = (np.abs(np.diff(pixels, axis=2)).mean() for pixels in (frames, truth))
            assert blur < 0.92 * sharp, clip.name
            errors = {
                (y, x): np.mean((np.roll(frames, (y, x), (1, 2)) - truth)[:, 4:-4, 4:-4] ** 2)
                for y in (-1, 0, 1)
                for x in (-1, 0, 1)
            }
            assert min(errors, key=errors.get) == (0, 0), clip.name
            assert 22 < 10 * math.log10(255**2 / errors[0, 0]) < 34, clip.name


def test_a_second_run_touches_nothing_and_a_damaged_sample_is_made_anew(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    scenes = {name: make_sample.SCENES[name]._replace(frames=6) for name in ("000", "003")}
    monkeypatch.setattr(make_sample, "SCENES", scenes)
    sample = tmp_path / "sample"
    assert make_sample.main([str(sample)]) == 0
    files = {path: path.stat().st_mtime_ns for path in sample.rglob("*") if path.is_file()}
    assert make_sample.main([str(sample)]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert files == {path: path.stat().st_mtime_ns for path in sample.rglob("*") if path.is_file()}
    for damaged in ("images/003/truth/00000004.png", "train/blur/003/00000004.png"):
        content = (sample / damaged).read_bytes()
        (sample / damaged).write_bytes(content[:1000])
        assert make_sample.main([str(sample)]) == 0
        assert (sample / damaged).read_bytes() == content


def test_an_interrupted_run_leaves_no_half_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(make_sample, "imresize", interrupt)
    monkeypatch.setattr(make_sample, "SCENES", {"000": make_sample.SCENES["000"]})
    with pytest.raises(KeyboardInterrupt):
        make_sample.main([str(tmp_path / "sample")])
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path, capsys):
    (tmp_path / "holiday.txt").touch()
    assert make_sample.main([str(tmp_path)]) == 2
    assert "was not made by this program" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_a_sample_of_an_older_recipe_is_made_anew(sample: Path, monkeypatch: pytest.MonkeyPatch):
    assert make_sample.is_made(sample)
    monkeypatch.setattr(make_sample, "VERSION", make_sample.VERSION + 1)
    assert not make_sample.is_made(sample)
