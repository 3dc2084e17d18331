"""The command `train` on a small training set: what it writes, refuses, takes up and goes on with."""

import csv
import re
import shutil
import signal
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.io import loadmat

from ascendcv.dataloader.image import read_image
from ascendcv.runner.checkpoint import find_checkpoint
from ascendcv.runner.trainer import Trainer
from ascendcv.utils.errors import InputError
from ascendvsr import cli
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
        "solver.validation_sample_epochs": 1,
        "eval.save_images": True,
        "solver.keep_checkpoints": 1,
        "solver.keep_best": 2,
    }
    more["solver.notify_command"] = f"cat >> '{more['output_dir']}/told.txt'"
    return run(SETTINGS | more)


def test_a_run_leaves_checkpoints_logs_plots_and_its_configuration(trained):
    folders = {"config", "log", "plots", "sample", "result"}
    assert {path.name for path in trained.iterdir()} == folders | {"EDVR-2", "EDVR-4", "cost.txt", "told.txt"}
    files = {"model.weights.h5", "ema.weights.h5", "state.npz", "meta.json"}
    assert {path.name for path in (trained / "EDVR-4").iterdir()} == files
    plots = {path.name for path in (trained / "plots").iterdir()}
    assert plots == {
        f"{name}.{kind}" for name in ("loss", "psnr", "ssim", "learning_rate") for kind in ("png", "pdf")
    }
    pictures = {path.name for path in (trained / "sample").iterdir()}
    assert pictures == {"00000004.png", *(f"0000000{step}-validation-000.png" for step in (2, 4))}
    # Input, restored frame and ground truth, of 80x96 pixels each.
    assert read_image(trained / "sample/00000002-validation-000.png").shape == (80, 3 * 96, 3)
    assert list((trained / "log/tensorboard").glob("events.*"))
    (log,) = (trained / "log").glob("train-*.log")
    assert (trained / "log/logbook.txt").read_text() == log.read_text()
    told = (trained / "told.txt").read_text().splitlines()
    assert told == re.findall(r"^\S+ \S+ (Epoch:.*)$", log.read_text(), re.MULTILINE)
    assert len(told) == 2
    assert (trained / "cost.txt").read_text().startswith("EDVR: one call on 1 frames of 720x1280")
    (config,) = (trained / "config").glob("*.yaml")
    assert re.fullmatch(r"train-\d{8}T\d{6}\.yaml", config.name)
    assert yaml.safe_load(config.read_text())["edvr"]["mid_channels"] == 8


def test_the_frames_of_each_validation_are_kept_by_choice(trained):
    found = sorted(path.relative_to(trained / "result").as_posix() for path in trained.rglob("blur4/*.png"))
    assert [name.partition("/")[0] for name in found] == ["EDVR-2"] * 3 + ["EDVR-4"] * 3
    assert all(name.endswith(f"-val/000/blur4/{index % 3:08}.png") for index, name in enumerate(found))


def test_the_epochs_are_there_for_matlab(trained):
    assert loadmat(trained / "log/epochs.mat")["step"].tolist() == [[2], [4]]


def test_the_sources_are_kept_without_weights(trained, tmp_path):
    (sources,) = (trained / "config").glob("sources-*.zip")
    with zipfile.ZipFile(sources) as archive:
        names = archive.namelist()
    assert {"ascendvsr/training/run.py", "ascendcv/runner/trainer.py"} <= set(names)
    assert sources.stat().st_size < 2_000_000
    assert not [name for name in names if "shipped/" in name and not name.endswith(".py")]


def test_the_log_has_the_line_of_the_release(trained):
    (log,) = (trained / "log").glob("train-*.log")
    text = log.read_text()
    time = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "
    line = r"Step:1, lr:0\.00040000, loss:\d+\.\d{8}, time:\d+\.\d\dms, fps:\d+\.\d\d, "
    line += r"loss/px:0\.\d{6}, psnr:\d+\.\d\d, epoch:0\.50, eta_epoch:0:00:\d\d, eta:0:0\d:\d\d$"
    assert re.search(time + line, text, re.MULTILINE)
    assert re.search(time + r"Validation at step 4: psnr:\d\d\.\d{4}, ssim:0\.\d{4}", text, re.MULTILINE)
    assert re.search(time + r"Epoch:2, step:4, lr:.*, val/psnr:\d\d\.\d+, .*elapsed:", text, re.MULTILINE)
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


@pytest.mark.parametrize(("which", "configured"), [("best", False), ("epoch:2", True)])
def test_a_checkpoint_of_the_run_is_named_by_what_it_is(
    trained, tmp_path, frame_folder, monkeypatch, which: str, configured: bool
):
    """With the run's own configuration file or without one."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest keeps its own handlers
    output = shutil.copytree(trained, tmp_path / "run")
    source = ["--config-file", *map(str, (output / "config").glob("train-*.yaml"))] if configured else []
    places = ["--input", str(frame_folder(count=1)), "--output", str(tmp_path / "restored")]
    arguments = [*source, "--checkpoint", which, *places, "output_dir", str(output), "device", "cpu"]
    assert cli.main(["inference", *arguments]) == 0
    assert len(list((tmp_path / "restored").iterdir())) == 1
    (used,) = (output / "config").glob("inference-*.yaml")
    assert yaml.safe_load(used.read_text())["checkpoint"] == str(find_checkpoint(output, which))


def test_a_folder_that_holds_checkpoints_is_not_trained_over(trained, settings):
    before = sorted(trained.rglob("*"))
    with pytest.raises(InputError, match="holds checkpoints up to step 4: say continue_training True"):
        run(settings({"output_dir": str(trained)}))
    assert sorted(trained.rglob("*")) == before


@pytest.mark.parametrize(
    ("which", "step", "aside"),
    [("step:2", 2, {"EDVR-4"}), ("epoch:1", 2, {"EDVR-4"}), ("epoch:2", 4, set()), ("latest", 4, set())],
)
def test_a_run_goes_on_from_the_checkpoint_that_is_named(trained, settings, tmp_path, capsys, which, step, aside):
    output = tmp_path / "run"
    shutil.copytree(trained, output)
    more = {"solver.ema_decay": 0.9, "solver.grad_clip_norm": 10.0, "solver.lr_schedule.total_steps": [step + 1]}
    run(settings(more | {"output_dir": str(output), "continue_training": which}))
    printed = capsys.readouterr().out
    assert f"Going on from {output / f'EDVR-{step}'}" in printed
    assert {path.name for path in output.glob("aside-*/*")} == aside
    assert ("are set aside in" in printed) == bool(aside)
    assert (output / f"EDVR-{step + 1}").exists()
    rows = list(csv.DictReader((output / "log/log.csv").open()))
    assert [int(row["step"]) for row in rows] == list(range(1, step + 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"continue_training": "step:3"}, r"holds no checkpoint 'step:3'; there are the steps"),
        ({"continue_training": "epoch:9"}, r"holds no checkpoint 'epoch:9'"),
        ({"continue_training": True, "solver.overwrite": True}, "say one of them"),
    ],
)
def test_a_checkpoint_that_there_is_not_is_refused_and_nothing_is_moved(trained, settings, changes, message):
    before = sorted(trained.rglob("*"))
    with pytest.raises(InputError, match=message):
        run(settings(changes | {"output_dir": str(trained)}))
    assert sorted(trained.rglob("*")) == before


def test_overwrite_removes_what_the_run_wrote_and_nothing_else(trained, settings, tmp_path):
    output = tmp_path / "run"
    shutil.copytree(trained, output)
    aside = output / "aside-20200101T000000/EDVR-9"
    shutil.copytree(trained / "EDVR-4", aside)
    own = ["notes.txt", "EDVR-5/notes.txt", "log/mine.log", "sample/mine.png", "plots/mine.pdf", "config/mine.yaml"]
    for name in own:
        (output / name).parent.mkdir(exist_ok=True)
        (output / name).write_text("mine")
    kept = {name: (output / name).read_bytes() for name in [*own, "told.txt"]}
    kept |= {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("blur4/*.png")}
    run(settings({"output_dir": str(output), "solver.overwrite": True, "solver.lr_schedule.total_steps": [1]}))
    assert {name: (output / name).read_bytes() for name in kept} == kept
    assert {path.name for path in output.glob("EDVR-*")} == {"EDVR-1", "EDVR-5"}
    assert not aside.parent.exists()
    assert len(list((output / "config").glob("train-*.yaml"))) == 1
    assert [row["step"] for row in csv.DictReader((output / "log/log.csv").open())] == ["1"]
    assert [path.name for path in (output / "sample").iterdir()] == ["mine.png"]


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


def test_epochs_without_validation_lower_the_rate_and_save_checkpoints(settings):
    """Two updates are an epoch of the training set."""
    output = run(
        settings(
            {
                "solver.lr_schedule.type": "MultiStep",
                "solver.lr_schedule.unit": "epochs",
                "solver.lr_schedule.total_steps": [3],
                "solver.lr_schedule.milestones": [1, 2],
                "solver.lr_schedule.gamma": 0.5,
                "solver.checkpoint_epochs": 2,
            }
        )
    )
    rows = list(csv.DictReader((output / "log/log.csv").open()))
    assert [float(row["lr"]) for row in rows] == [4e-4, 4e-4, 2e-4, 2e-4, 1e-4, 1e-4]
    assert sorted(path.name for path in output.glob("EDVR-*")) == ["EDVR-4", "EDVR-6"]
    assert find_checkpoint(output, "epoch:2").name == "EDVR-4"


def test_one_cycle_moves_the_momentum_of_adamw(settings, monkeypatch):
    seen = []
    update = Trainer._train_on

    def watched(trainer, *arguments):
        update(trainer, *arguments)
        seen.append([float(trainer.optimizer.rates[name].numpy()) for name in ("learning_rate", "beta_1")])

    monkeypatch.setattr(Trainer, "_train_on", watched)
    run(
        settings(
            {
                "solver.optimizer.type": "AdamW",
                "solver.optimizer.weight_decay": 0.01,
                "solver.lr_schedule.type": "OneCycle",
                "solver.lr_schedule.base_lr": 1e-4,
                "solver.lr_schedule.max_lr": 1e-3,
                "solver.lr_schedule.pct_start": 0.5,
            }
        )
    )
    assert seen[0] == pytest.approx([1e-4, 0.95])
    assert seen[1] == pytest.approx([1e-3, 0.85])
    assert seen[3] == pytest.approx([1e-8, 0.95])


def test_a_run_that_goes_on_says_what_is_different_and_refuses_what_cannot_be(settings, capsys):
    output = run(settings({"solver.lr_schedule.total_steps": [1]}))
    longer = {"continue_training": True, "solver.lr_schedule.total_steps": [2]}
    for key, value in (("model.num_frames", 3), ("data.clip_length", 3), ("solver.optimizer.type", "AdamW")):
        with pytest.raises(InputError, match=f"holds a run with {key} .* cannot change in a run"):
            run(settings(longer | {key: value}))
    assert not (output / "EDVR-2").exists()
    run(settings(longer | {"random_seed": 7, "data.train_batch_size": 2}))
    said = capsys.readouterr().out
    assert "the random seed was 20210126 and is 7 now (random_seed)" in said
    assert "the global batch size was 4 and is 2 now (batch_size)" in said
    assert (output / "EDVR-2").exists()


@pytest.mark.slow
def test_xla_trains(settings):
    assert (run(settings({"solver.xla": True, "solver.lr_schedule.total_steps": [2]})) / "EDVR-2").is_dir()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.name": "SRCNN"}, "model.name is 'SRCNN'; it should be one of: EDVR, "),
        ({"model.name": "SpyNet"}, "model.name 'SpyNet' cannot be trained; there are EDVR, "),
        ({"solver.lr_schedule.base_lr": 0.0}, "base_lr should be above 0"),
        ({"solver.loss_scale": "128"}, "solver.loss_scale '128'"),
        (
            {"solver.lr_schedule.type": "OneCycle", "solver.lr_schedule.max_lr": 1e-5},
            "max_lr 1e-05 is below solver.lr_schedule.base_lr 0.0004",
        ),
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
