"""From a configuration to its clips, windows and batches, on the sample that the project makes."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.datasets import evaluation_clips, steps_per_epoch, training_clips, training_windows
from ascendvsr.training.data import batches_for_trainer, training_batches

PAIRS = {"data.layout": "pairs", "data.train_set": "train", "data.eval_set": "val", "model.scale": 1}
CLEAN = {"data.layout": "davis", "data.train_set": "train/gt", "data.eval_set": "val/gt", "model.scale": 1}


def config(sample: Path, *settings: dict):
    merged = {"data.data_dir": str(sample)}
    for part in settings:
        merged |= part
    return load_config(settings=merged)


def test_the_layout_says_how_clips_are_found(sample: Path):
    reds, pairs, clean = (config(sample, settings) for settings in ({}, PAIRS, CLEAN))
    assert [clip.name for clip in training_clips(reds)] == [clip.name for clip in training_clips(pairs)]
    assert [clip.gt_size for clip in evaluation_clips(reds)] == [(256, 320)]
    assert [clip.gt_size for clip in evaluation_clips(pairs)] == [(96, 128)]
    for paired, alone in zip(training_clips(pairs), training_clips(clean), strict=True):
        assert paired.gt == alone.gt == alone.lq != paired.lq


def test_training_may_see_the_first_frames_of_each_clip_only(sample: Path):
    cfg = config(sample, PAIRS, {"data.n_frames_per_video": 6})
    assert {(len(clip.lq), len(clip.gt)) for clip in training_clips(cfg)} == {(6, 6)}
    assert len(evaluation_clips(cfg)[0].lq) == 12
    assert len(training_windows(cfg, training_clips(cfg))) == 8 * 2


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, 48 // 4),
        ({"data.clip_length": 7}, 32 // 4),
        ({"data.train_margin": 2}, 80 // 4),
        ({"data.repeat": 2}, 96 // 4),
        ({"data.repeat": 0}, 83 * 48 // 4),  # CDVD-TSP: 1000 // 12 passes of 12 batches
        ({"data.crops_per_example": 4}, 48),
    ],
)
def test_an_epoch_is_counted_in_steps_of_the_global_batch(sample: Path, settings: dict, steps: int):
    cfg = config(sample, PAIRS, settings)
    assert steps_per_epoch(cfg, len(training_windows(cfg, training_clips(cfg))), 4) == steps


def test_batches_are_as_the_keys_say(sample: Path):
    recipe = {
        "data.clip_length": 3,
        "data.train_margin": 1,
        "data.mirror": True,
        "data.sigma": [0, 50],
        "data.train_in_size": [32, 32],
        "data.crops_per_example": 2,
        "data.augment.rot90": True,
        "data.augment.hue": True,
        "data.augment.frame_noise": 5e-5,
    }
    cfg = config(sample, CLEAN, recipe)
    batch = next(iter(training_batches(cfg, training_clips(cfg), (1, 2), 8, 5, target="all")))
    assert {key: value.shape.as_list() for key, value in batch.items()} == {
        "lq": [4, 6, 32, 32, 3],
        "gt": [4, 6, 32, 32, 3],
        "sigma": [4],
    }
    assert batch["lq"].numpy().min() < 0  # noise is not clipped
    center = next(iter(training_batches(config(sample), training_clips(config(sample)), (0, 1), 2, 0)))
    assert {key: value.shape.as_list() for key, value in center.items()} == {
        "lq": [2, 5, 64, 64, 3],
        "gt": [2, 256, 256, 3],
    }


def test_keys_reach_what_they_name(sample: Path):
    """Each key by itself changes the batch, in a way of its own."""
    base = {"data.train_in_size": [32, 32], "data.use_flip": False, "data.use_transpose": False}
    changes = [
        {},
        {"data.use_flip": True},
        {"data.use_transpose": True},
        {"data.random_reverse": True},
        {"data.train_interval": 2},
        {"data.augment.rot90": True},
        {"data.augment.rotation": True},
        *({f"data.augment.{name}": True} for name in ("multiplicative_color", "brightness", "contrast")),
        *({f"data.augment.{name}": True} for name in ("saturation", "hue", "channel_permutation", "noise")),
        {"data.augment.frame_noise": 0.01},
        {"data.noise.noise_type": "gaussian"},
        {"data.sigma": [10, 10]},
    ]
    seen = []
    for change in changes:
        cfg = config(sample, PAIRS, base, change)
        batches = training_batches(cfg, training_clips(cfg)[:1], (0, 1), 4, 0)
        lq = np.concatenate([batch["lq"] for batch in batches.take(2)])
        assert not any(lq.shape == other.shape and np.array_equal(lq, other) for other in seen), change
        seen.append(lq)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"data.train_in_size": [200, 64]},
            r"clip 001 has frames of 224x176 .* crop of 64x200 \(data.train_in_size",
        ),
        ({"data.clip_length": 11}, r"has 10 frames; a training window of 11 frames .* \(data.clip_length or model"),
        ({"data.train_in_size": [64]}, r"data.train_in_size should be a list of 2, .*, not \[64\]"),
        ({"data.sigma": [50, 10]}, r"data.sigma should be \[low, high\] in 8-bit levels"),
        ({"data.sigma": [10]}, r"data.sigma should be a list of 0 or 2"),
        ({"data.repeat": -1}, r"data.repeat is -1; it should be from 0"),
        ({"data.crops_per_example": 0}, r"data.crops_per_example is 0; it should be from 1"),
        ({"data.train_margin": 3}, r"data.train_margin 3 should be below half of the 5 frames"),
    ],
)
def test_what_cannot_be_trained_on_is_named_by_its_key(sample: Path, settings: dict, message: str):
    with pytest.raises(InputError, match=message):
        cfg = config(sample, PAIRS, settings)
        training_windows(cfg, training_clips(cfg))


@pytest.mark.parametrize("read", [training_clips, evaluation_clips])
def test_a_held_out_name_that_no_clip_has_is_refused(sample: Path, read):
    cfg = config(sample, PAIRS, {"data.hold_out": ["003", "3"]})
    with pytest.raises(InputError, match=r"data.hold_out holds '3', and neither data.train_set train nor .* 003"):
        read(cfg)


def test_a_held_out_clip_may_be_one_of_the_evaluation_set(sample: Path):
    cfg = config(sample, PAIRS, {"data.hold_out": ["000", "003"]})
    assert {clip.name for clip in evaluation_clips(cfg)} == {"000"}
    assert "003" not in {clip.name for clip in training_clips(cfg)}


def test_a_listed_name_that_no_clip_has_is_refused(sample: Path, tmp_path: Path):
    (tmp_path / "list.txt").write_text("001\n1\n")
    cfg = config(sample, PAIRS, {"data.train_list": str(tmp_path / "list.txt")})
    with pytest.raises(InputError, match="clip 1 is in the list but not in"):
        training_clips(cfg)


def test_a_list_and_held_out_clips_choose(sample: Path, tmp_path: Path):
    (tmp_path / "list.txt").write_text("001 10 (176,224,3)\r\n003 10 (176,224,3) 00000000\r\n004\r\n")
    chosen = {"data.train_list": str(tmp_path / "list.txt"), "data.hold_out": ["003"], "data.eval_set": "train"}
    cfg = config(sample, PAIRS, chosen)
    assert [clip.name for clip in training_clips(cfg)] == ["001", "004"]
    assert [clip.name for clip in evaluation_clips(cfg)] == ["003"]
    for key in ({"data.hold_out": ["003"]}, {"data.train_list": "list.txt"}):
        with pytest.raises(InputError, match=r"is not for data.layout reds, whose set files name the clips"):
            training_clips(config(sample, key))


# --- input that is made of the ground truth ------------------------------------------------------------------


def test_clean_clips_are_degraded_while_training(sample: Path):
    steps = {"data.degrade": ["bicubic scale=4", "gaussian sigma=5..25"], "model.scale": 4}
    for layout in (CLEAN, {}):  # clean clips, and a set whose own input is left alone
        cfg = config(sample, layout, steps, {"data.train_in_size": [16, 16]})
        clips = training_clips(cfg)
        assert all(clip.lq == clip.gt for clip in clips)
        assert clips[0].lq_size == (clips[0].gt_size[0] // 4, clips[0].gt_size[1] // 4)
        batch = next(iter(training_batches(cfg, clips, (0, 1), 2, 0)))
        assert batch["lq"].shape.as_list() == [2, 5, 16, 16, 3]
        assert batch["gt"].shape.as_list() == [2, 64, 64, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data.degrade": ["blurr"]}, "data.degrade: no degradation is called 'blurr'"),
        ({"data.degrade": ["bicubic scale=2"]}, "data.degrade makes frames 2 times smaller, and model.scale is 4"),
        (
            {"data.degrade": ["average frames=3 step=2", "bicubic"]},
            "how far these are apart data.train_interval says",
        ),
        ({"model.scale": 4}, "has frames of 224x176 pixels; 4 times"),
    ],
)
def test_degradations_that_do_not_fit_are_refused(sample: Path, settings: dict, message: str):
    with pytest.raises(InputError, match=message):
        training_clips(config(sample, CLEAN, {"model.scale": 4}, settings))


def test_a_frame_that_cannot_be_read_ends_training_where_that_is_said(tmp_path: Path, sample: Path):
    shutil.copytree(sample / "train", tmp_path / "train")
    for path in (tmp_path / "train/blur").rglob("*.png"):
        data = path.read_bytes()
        path.write_bytes(data[:60] + bytes(60) + data[120:])
    cfg = config(tmp_path, PAIRS, {"data.train_in_size": [32, 32], "data.on_error": "stop"})
    batches = batches_for_trainer(cfg, training_clips(cfg), (0, 1), 2, 0)
    with pytest.raises(InputError, match=r"\.png is no readable image .*; or say data\.on_error replace to train"):
        next(batches)
    cfg = config(tmp_path, PAIRS, {"data.train_in_size": [32, 32]})
    with pytest.raises(InputError, match=r"none of 100 samples in a row can be read, the last because .*\.png"):
        next(batches_for_trainer(cfg, training_clips(cfg), (0, 1), 2, 0))
