"""A run that goes on with other settings, or beside another run in the same folder."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from ascendcv.runner.hooks.csv_file import read_rows
from ascendcv.runner.trainer import Trainer
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models import card_named
from ascendvsr.training.plan import read_plan
from ascendvsr.training.resume import epochs_ahead, noted_settings, resume_warnings
from ascendvsr.training.run import train
from tests.ascendvsr.training.conftest import write_set
from tests.support import PROJECT, command_line


def checkpoint(folder: Path, step: int, settings: dict[str, object]) -> Path:
    """What is read of a checkpoint before TensorFlow starts."""
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"step": step, "settings": settings, "files": {}}))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.data_dir": "other"}, "data.data_dir was data/reds and is other now"),
        ({"data.layout": "pairs"}, "data.layout was reds and is pairs now"),
        ({"data.train_list": "some.txt"}, "data.train_list was '' and is some.txt now"),
        ({"data.hold_out": ["000"]}, "data.hold_out was [] and is ['000'] now"),
        ({"edvr.loss_type": "l1"}, "edvr.loss_type was l2 and is l1 now"),
        ({"solver.lr_schedule.base_lr": 1e-5}, "solver.lr_schedule.base_lr was 0.0004 and is 1e-05 now"),
        ({"solver.lr_schedule.milestones": [5]}, "solver.lr_schedule.milestones was [] and is [5] now"),
        ({"solver.ema_decay": 0.9}, "solver.ema_decay was 0.0 and is 0.9 now"),
        ({"solver.grad_clip_norm": 1.0}, "solver.grad_clip_norm was 0.0 and is 1.0 now"),
        ({"data.train_set": "a.json"}, "the training set was train.json and is a.json now (data.train_set)"),
        ({"random_seed": 7}, "the random seed was 20210126 and is 7 now (random_seed)"),
    ],
)
def test_a_changed_setting_is_told_with_both_values(tmp_path, changes, message):
    before, now = (
        noted_settings(load_config(settings=settings), card_named("EDVR"), 4, 10, 0) for settings in ({}, changes)
    )
    newest = checkpoint(tmp_path / "EDVR-5", 5, before)
    assert resume_warnings(before, newest) == []
    assert [warning.partition(":")[0] for warning in resume_warnings(now, newest)] == [message]


def test_other_batches_and_epochs_are_told(tmp_path):
    cfg, card = load_config(), card_named("EDVR")
    newest = checkpoint(tmp_path / "EDVR-5", 5, noted_settings(cfg, card, 4, 10, 0))
    told = resume_warnings(noted_settings(cfg, card, 2, 20, 5), newest)
    assert told[0].startswith("the global batch size was 4 and is 2 now (batch_size)")
    assert told[1].startswith("an epoch had 10 steps and has 20 now (steps_per_epoch)")
    assert len(told) == 2


@pytest.mark.parametrize(
    ("noted", "step", "now", "updates", "ahead"),
    [
        ({"steps_per_epoch": 10, "epochs_ahead": 0}, 25, 10, 1, 0),
        ({"steps_per_epoch": 10, "epochs_ahead": 0}, 25, 20, 1, 25),  # two and a half epochs of 20 steps are 50
        ({"steps_per_epoch": 20, "epochs_ahead": 25}, 35, 10, 1, -5),  # three epochs of 10 steps are 30
        ({"steps_per_epoch": 20, "epochs_ahead": 25}, 35, 20, 1, 25),
        ({"steps_per_epoch": 26, "epochs_ahead": 0}, 39, 52, 13, 39),
        ({"steps_per_epoch": 26, "epochs_ahead": 0}, 13, 39, 13, 13),  # whole batches of 13 updates
        ({}, 25, 10, 1, 0),  # of a version that did not note it
    ],
)
def test_the_count_of_epochs_goes_on_where_it_was(tmp_path, noted, step, now, updates, ahead):
    assert epochs_ahead(checkpoint(tmp_path / "EDVR-1", step, noted), now, updates) == ahead


def test_with_epochs_of_another_length_neither_the_epoch_nor_the_rate_jumps(settings, monkeypatch, capsys):
    """Ten windows: five steps per epoch in batches of two, ten in batches of one."""
    seen = []
    original = Trainer._train_on

    def watched(trainer, *arguments):
        original(trainer, *arguments)
        seen.append((trainer.step, trainer.epoch_step / trainer.steps_per_epoch, trainer.reports[-1]["lr"]))

    monkeypatch.setattr(Trainer, "_train_on", watched)
    schedule = {"type": "MultiStep", "unit": "epochs", "milestones": [2], "gamma": 0.5, "base_lr": 1e-4}
    changes = {f"solver.lr_schedule.{key}": value for key, value in schedule.items()}
    changes |= {"data.train_batch_size": 2, "solver.checkpoint_interval": 0, "solver.checkpoint_epochs": 1}
    train(load_config(settings=settings(changes | {"solver.lr_schedule.total_steps": [1]})))
    assert seen[-1] == (5, 1.0, 1e-4)
    seen.clear()
    longer = changes | {
        "solver.lr_schedule.total_steps": [3],
        "data.train_batch_size": 1,
        "continue_training": True,
    }
    wanted = settings(longer)
    train(load_config(settings=wanted))
    assert seen[0] == (6, pytest.approx(1.1), 1e-4)
    assert seen[-1] == (25, 3.0, 5e-5)
    assert [rate for _, _, rate in seen] == [1e-4] * 10 + [5e-5] * 10  # from the second epoch on the half
    output = Path(wanted["output_dir"])
    assert {path.name for path in output.glob("EDVR-*")} == {"EDVR-5", "EDVR-15", "EDVR-25"}
    assert [row["epoch"] for row in read_rows(output / "log/epochs.csv")] == ["1", "2", "3"]
    assert "an epoch had 5 steps and has 10 now" in capsys.readouterr().out
    plan = read_plan(load_config(settings=wanted))
    assert (plan.epochs_ahead, plan.total_steps) == (5, 25)


RANDOM_FLOW = {
    "RVRT": ({"model.scale": "1"}, "SpyNet keeps its weights until step 30000, and"),
    "PVDNet": ({"model.scale": "1"}, "PVDNet trains on the motion of a BIMNet that is trained already"),
    "FlowDBN": ({"model.scale": "1"}, "FlowDBN needs a trained flow network"),
}


@pytest.mark.parametrize("given", ["nothing", "a file without a flow network"])
@pytest.mark.parametrize("command", [("lrfinder",), ("train", "continue_training", "True")], ids=lambda c: c[0])
@pytest.mark.parametrize("name", RANDOM_FLOW)
def test_a_random_flow_network_is_never_taken_for_a_trained_one(ascendvsr, sample, tmp_path, name, command, given):
    settings, message = RANDOM_FLOW[name]
    more = [word for pair in settings.items() for word in pair]
    if given != "nothing":
        np.savez(tmp_path / "other.npz", **{"PVDNet.conv.weight": np.zeros((3, 3), np.float32)})
        more += ["init_from", str(tmp_path / "other.npz")]
    paths = ["data.data_dir", str(sample), "output_dir", str(tmp_path / "outputs")]
    result = ascendvsr(*command, "model.name", name, *more, *paths)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "outputs").exists()


def test_two_trainings_in_one_folder(settings, photograph, tmp_path):
    """The second is refused as long as the first lives, however that ends."""
    (tmp_path / "data").mkdir()
    changes = {"solver.lr_schedule.total_steps": [100_000], "solver.checkpoint_interval": 0}
    changes |= {"data.data_dir": str(write_set(tmp_path / "data", photograph, 20, 24))}
    words = [str(word) for pair in settings(changes).items() for word in pair]
    command = command_line("train", *words)
    output = tmp_path / "outputs"
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        try:
            deadline = time.monotonic() + 240
            while not list(output.glob("config/sources-*.zip")):  # the last file that a start writes there
                assert first.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            files = {path: path.stat().st_mtime_ns for path in output.rglob("config/*")}
            second = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=240)
            assert second.returncode == 2
            assert f"another training runs in {output}" in second.stderr
            assert len(second.stderr.splitlines()) == 1
            assert {path: path.stat().st_mtime_ns for path in output.rglob("config/*")} == files
        finally:
            os.kill(first.pid, signal.SIGKILL)
    train(load_config(settings=settings(changes | {"solver.lr_schedule.total_steps": [1]})))
    assert (output / "EDVR-1").is_dir()


def test_a_checkpoint_that_came_in_between_is_not_overwritten(settings, monkeypatch):
    """As when another run ends while this one reads its data."""
    wanted = load_config(settings=settings({"solver.lr_schedule.total_steps": [1]}))
    plan = read_plan(wanted)
    train(wanted)
    monkeypatch.setattr("ascendvsr.training.run.read_plan", lambda cfg: plan)
    with pytest.raises(InputError, match=r"another training has written into .* just now"):
        train(wanted)
