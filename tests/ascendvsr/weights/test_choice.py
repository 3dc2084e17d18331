"""Commands say whether they take the weights or their moving average, and `--weights` chooses."""

import os

import numpy as np
import pytest

from ascendcv.runner.checkpoint import CheckpointStore
from ascendvsr.config import load_config
from ascendvsr.training.plan import read_plan
from ascendvsr.weights import h5_file, load_checkpoint
from tests.ascendvsr.weights.torch_bytes import TorchFile
from tests.support import TINY_EDVR


@pytest.fixture
def both(tmp_path, tiny_edvr_checkpoint):
    """A torch file with the weights of the small EDVR, and averages that are all larger by 1/64."""
    raw = load_checkpoint(tiny_edvr_checkpoint)
    average = {name: array + np.float32(1 / 64) for name, array in raw.items()}
    (tmp_path / "both.pth").write_bytes(TorchFile().zip({"params": raw, "params_ema": average}))
    return tmp_path / "both.pth"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "taking the moving average params_ema, not the weights themselves"),
        (("--weights", "ema"), "taking the moving average params_ema, not the weights themselves"),
        (("--weights", "raw"), "taking the weights params, not the moving average params_ema"),
    ],
)
def test_what_is_converted_is_what_was_said(ascendvsr, tmp_path, both, tiny_edvr_checkpoint, options, said):
    done = ascendvsr("convert", both, tmp_path / "out.safetensors", *options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"{both}: {said}\n"
    raw, found = load_checkpoint(tiny_edvr_checkpoint), load_checkpoint(tmp_path / "out.safetensors")
    expected = raw["conv_last.bias"] + (0 if "raw" in options else np.float32(1 / 64))
    np.testing.assert_array_equal(found["conv_last.bias"], expected)


def test_a_run_without_an_average_has_none(ascendvsr, tmp_path, tiny_edvr_checkpoint):
    arrays = load_checkpoint(tiny_edvr_checkpoint)
    entries = [(f"layer_{i}/vars/0", a, n, range(a.ndim)) for i, (n, a) in enumerate(arrays.items())]

    def fill(folder):
        h5_file.write(folder / "model.weights.h5", entries)
        return {}

    run = CheckpointStore(tmp_path / "run", "EDVR").write(10, fill).parent
    done = ascendvsr("convert", run, tmp_path / "out.pth", "--weights", "ema")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "EDVR-10 holds no moving average" in done.stderr


def test_training_begins_with_what_is_chosen(tmp_path, both, reds_set):
    for choice, expected in (("raw", 0), ("auto", 1 / 64)):
        settings = {
            "init_from": str(both),
            "weights": choice,
            "output_dir": str(tmp_path / choice),
            "device": "cpu",
        }
        settings |= {"data.data_dir": str(reds_set), "data.train_set": "val.json", "data.train_in_size": [8, 8]}
        plan = read_plan(load_config(settings=TINY_EDVR | {"model.num_frames": 3} | settings))
        raw = load_checkpoint(both, "raw")
        difference = plan.initial_weights["conv_last.bias"] - raw["conv_last.bias"]
        np.testing.assert_allclose(difference, expected, atol=1e-7)
        assert any(f"init_from {both}: taking the " in note for note in plan.notes)


def test_published_weights_are_fine_tuned_by_one_command(ascendvsr, tmp_path, reds_set):
    """As docs/training.md tells it, with the weights that ship and two steps."""
    words = ["--config-file", "tiny/edvr_tiny_x4", "init_from", "edvr_tiny_x4", "data.layout", "reds"]
    words += ["data.data_dir", reds_set, "data.train_set", "val.json", "data.eval_set", "val.json", "device", "cpu"]
    words += ["data.train_in_size", "[8, 8]", "data.train_batch_size", 1, "solver.mix_precision", False]
    words += ["solver.lr_schedule.total_steps", "[2]", "solver.lr_schedule.restart_weights", "[1]"]
    words += ["solver.lr_schedule.base_lr", "1e-5", "solver.lr_schedule.warmup_steps", 0]
    words += ["solver.validation_interval", 0]
    done = ascendvsr("train", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Weights from edvr_tiny_x4: " in done.stdout
    before, after = load_checkpoint("edvr_tiny_x4"), load_checkpoint(tmp_path / "outputs", "raw")
    changes = [np.abs(after[name] - array).max() for name, array in before.items()]
    assert 0 < max(changes) < 1e-3


def test_other_weights_than_published_ones_are_not_fetched_without_asking(ascendvsr, tmp_path, reds_set):
    environment = {"ASCENDVSR_HOME": str(tmp_path / "home")}
    words = ("--config-file", "edvr/edvr_m_x4_sr_reds", "init_from", "edvr_m_x4_reds", "data.data_dir", reds_set)
    done = ascendvsr("train", *words, env=os.environ | environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "ascendvsr download edvr_m_x4_reds" in done.stderr
