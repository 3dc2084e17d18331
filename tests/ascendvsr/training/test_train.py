"""The command `train` on a small training set: what it writes, refuses, takes up and goes on with."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.training.run import train
from ascendvsr.weights import load_checkpoint
from tests.ascendvsr.training.conftest import SETTINGS


def run(settings: dict[str, object]) -> Path:
    """Trains in this process; gives the output folder."""
    train(load_config(settings=settings))
    return Path(settings["output_dir"])


def changed_names(before: Path, after: Path) -> set[str]:
    """Official names of the weights in which two checkpoints differ (not their moving averages)."""
    first, second = (load_checkpoint(folder / "model.weights.h5") for folder in (before, after))
    return {name for name in first if np.any(first[name] != second[name])}


@pytest.fixture(scope="module")
def trained(training_set, tmp_path_factory) -> Path:
    """The output of a run with everything that can be switched on."""
    more = {
        "data.data_dir": str(training_set),
        "output_dir": str(tmp_path_factory.mktemp("trained")),
        "solver.ema_decay": 0.9,
        "solver.grad_clip_norm": 10.0,
        "solver.validation_interval": 2,
        "solver.sample_interval": 4,
        "solver.keep_checkpoints": 1,
    }
    return run(SETTINGS | more)


def test_a_run_leaves_checkpoints_logs_plots_and_its_configuration(trained):
    folders = {"config", "log", "plots", "sample"}
    best = json.loads((trained / "best.json").read_text())
    assert {path.name for path in trained.iterdir()} == folders | {"best.json", "EDVR-4", best["checkpoint"]}
    files = {"model.weights.h5", "ema.weights.h5", "state.npz", "meta.json"}
    assert {path.name for path in (trained / "EDVR-4").iterdir()} == files
    assert {path.name for path in (trained / "plots").iterdir()} == {"loss.png", "psnr.png", "learning_rate.png"}
    assert [path.name for path in (trained / "sample").iterdir()] == ["00000004.png"]
    assert list((trained / "log/tensorboard").glob("events.*"))
    (config,) = (trained / "config").iterdir()
    assert re.fullmatch(r"train-\d{8}T\d{6}\.yaml", config.name)
    assert yaml.safe_load(config.read_text())["edvr"]["mid_channels"] == 8


def test_the_log_has_the_line_of_the_release(trained):
    (log,) = (trained / "log").glob("train-*.log")
    text = log.read_text()
    time = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "
    line = r"Step:1, lr:0\.00040000, loss:\d+\.\d{8}, time:\d+\.\d\dms, fps:\d+\.\d\d, "
    line += r"loss/px:0\.\d{6}, psnr:\d+\.\d\d, eta:"
    assert re.search(time + line, text, re.MULTILINE)
    assert re.search(time + r"Validation at step 4: psnr:\d\d\.\d{4}, ssim:0\.\d{4}", text, re.MULTILINE)
    assert re.search(time + r"Done at step 4$", text, re.MULTILINE)


def test_the_csv_has_every_printed_step_and_the_validations(trained):
    rows = list(csv.DictReader((trained / "log/log.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["val/psnr"] != "" for row in rows] == [False, True, False, True]
    # The sum over 64x64x3 values that the configuration asks for, and the mean.
    assert float(rows[0]["loss"]) == pytest.approx(float(rows[0]["loss/px"]) * 64 * 64 * 3, rel=1e-5)


def test_the_moving_average_is_what_a_checkpoint_is_read_as(trained):
    ema, plain = (load_checkpoint(trained / "EDVR-4" / f"{name}.weights.h5") for name in ("ema", "model"))
    read = load_checkpoint(trained / "EDVR-4")
    assert all(np.array_equal(read[name], ema[name]) for name in ema)
    assert any(np.any(ema[name] != plain[name]) for name in ema)


def test_a_folder_that_holds_checkpoints_is_not_trained_over(trained, settings):
    before = sorted(trained.rglob("*"))
    with pytest.raises(InputError, match="holds checkpoints up to step 4: say continue_training True"):
        run(settings({"output_dir": str(trained)}))
    assert sorted(trained.rglob("*")) == before


def test_the_second_stage_takes_what_fits_and_trains_the_fusion_first(trained, settings, capsys):
    output = run(
        settings(
            {
                "init_from": str(trained / "EDVR-4/model.weights.h5"),
                "edvr.with_tsa": True,
                "solver.train_only.pattern": "fusion",
                "solver.train_only.until_step": 3,
                "solver.lr_schedule.total_steps": [3],
            }
        )
    )
    printed = capsys.readouterr().out
    assert "missing: fusion.temporal_attn1.weight" in printed
    assert "unexpected: fusion.weight, fusion.bias" in printed
    first = load_checkpoint(output / "EDVR-2")
    initial = load_checkpoint(trained / "EDVR-4/model.weights.h5")
    taken = {name for name in first if name in initial and not name.startswith("fusion")}
    assert all(np.array_equal(first[name], initial[name]) for name in taken)
    moved = changed_names(output / "EDVR-1", output / "EDVR-2")
    assert moved
    assert all(name.startswith("fusion") for name in moved)
    assert taken <= changed_names(output / "EDVR-2", output / "EDVR-3") | {"conv_last.bias"}


def test_continuing_without_a_checkpoint_begins_and_with_the_last_one_has_nothing_to_do(settings):
    changes = {"continue_training": True, "solver.lr_schedule.total_steps": [1], "solver.checkpoint_interval": 0}
    output = run(settings(changes))
    before = (output / "EDVR-1/meta.json").read_text()
    run(settings(changes))
    assert (output / "EDVR-1/meta.json").read_text() == before


def test_bfloat16_keeps_float32_weights_and_says_what_it_costs(settings, capsys):
    changes = {"solver.mix_precision": True, "solver.lr_schedule.total_steps": [1]}
    output = run(settings(changes))
    assert all(array.dtype == np.float32 for array in load_checkpoint(output / "EDVR-1").values())
    assert "Training in bfloat16: on CPUs it is about twice as fast as float32" in capsys.readouterr().out


@pytest.mark.slow
def test_xla_trains(settings):
    assert (run(settings({"solver.xla": True, "solver.lr_schedule.total_steps": [2]})) / "EDVR-2").is_dir()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.name": "PVDNet"}, "model.name 'PVDNet' cannot be trained"),
        ({"solver.lr_schedule.base_lr": 0.0}, "base_lr should be above 0"),
        ({"solver.loss_scale": "128"}, "solver.loss_scale '128'"),
        ({"solver.xla": True, "rank_size": 2}, "solver.xla compiles for one device only"),
        ({"solver.train_only.pattern": "("}, "no regular expression"),
        ({"cluster_file": "none.json"}, "cannot read cluster_file none.json"),
        ({"init_from": "none.pth"}, "none.pth"),
        ({"data.data_dir": "none"}, "none"),
        ({"data.train_in_size": [64, 64]}, "smaller than the crop of 64x64"),
        ({"model.num_frames": 7}, "a training window of 7 frames"),
        ({"solver.train_only.pattern": "tsa"}, "'tsa' in solver matches no weight"),
        ({"device": "npu"}, "device npu"),
    ],
)
def test_what_cannot_be_trained_is_refused_without_a_checkpoint(settings, changes: dict, message: str):
    wanted = settings(changes)
    with pytest.raises(InputError) as error:
        run(wanted)
    assert message in str(error.value)
    assert not list(Path(wanted["output_dir"]).glob("EDVR-*"))


def test_weights_of_nothing_that_fits_are_refused(settings, tmp_path):
    np.savez(tmp_path / "other.npz", **{"encoder.weight": np.zeros((3, 3), np.float32)})
    with pytest.raises(InputError, match=r"nothing in init_from .* fits EDVR"):
        run(settings({"init_from": str(tmp_path / "other.npz")}))


def test_training_that_blows_up_ends_with_the_reason(settings):
    changes = {
        "solver.lr_schedule.base_lr": 1e38,
        "solver.lr_schedule.total_steps": [20],
        "solver.max_nonfinite_steps": 3,
    }
    with pytest.raises(RuntimeError, match="not finite 3 times in a row"):
        run(settings(changes))
