"""Tracking services beside training: what they get, and that none of them ends a run."""

import importlib
import logging
import types

import numpy as np
import pytest

from ascendcv.runner.hooks.mlflow import MLflow
from ascendcv.runner.hooks.trackio import Trackio
from ascendcv.runner.hooks.wandb import WandB

TRACKERS = {"wandb": WandB, "mlflow": MLflow, "trackio": Trackio}


def trainer_at(step: int, **scalars: float):
    return types.SimpleNamespace(step=step, scalars=scalars, pictures={})


def train(tracker, steps=(20, 40)) -> None:
    tracker.start(trainer_at(0))
    for step in steps:
        tracker.after_batch(trainer_at(step, loss=1 / step))
        tracker.after_batch(trainer_at(step + 1))  # nothing was found out
    tracker.end(trainer_at(steps[-1]))


@pytest.mark.parametrize("name", TRACKERS)
def test_a_service_that_is_not_installed_is_one_warning(name, monkeypatch, caplog):
    def missing(module: str):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(importlib, "import_module", missing)
    with caplog.at_level(logging.WARNING):
        train(TRACKERS[name]("project", "run", {}))
    assert len(caplog.records) == 1
    assert f"install the extra `{name}`" in caplog.text


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("error", [ConnectionError("no route to host"), ValueError("many\nlines"), TypeError()])
def test_a_service_that_fails_is_one_warning_and_gets_nothing_more(name, error, caplog):
    class Failing(TRACKERS[name]):
        calls = 0

        def begin(self, run_id: str) -> str:
            return "an id"

        def log(self, step, scalars, pictures) -> None:
            type(self).calls += 1
            raise error

        def finish(self) -> None:
            raise AssertionError("it gets nothing more")

    with caplog.at_level(logging.WARNING):
        train(Failing("project", "run", {}))
    assert Failing.calls == 1
    assert len(caplog.records) == 1
    assert "\n" not in caplog.records[0].getMessage()


def test_a_run_that_goes_on_goes_on_in_the_service():
    ids = []

    class Remembered(WandB):
        def begin(self, run_id: str) -> str:
            ids.append(run_id)
            return run_id or "first"

        def log(self, step, scalars, pictures) -> None:
            pass

        def finish(self) -> None:
            pass

    first, second = Remembered("project", "run", {}), Remembered("project", "run", {})
    train(first)
    second.restore(first.state())
    train(second)
    assert ids == ["", "first"]


@pytest.mark.needs("mlflow")
def test_mlflow_keeps_scalars_and_pictures(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # put back afterwards
    tracker = MLflow("project", "run", {"solver.base_lr": 1e-4})
    train(tracker)
    run = mlflow.get_run(tracker.state()["run"])
    assert run.data.metrics["loss"] == pytest.approx(1 / 40)
    assert run.data.params["solver.base_lr"] == "0.0001"
    assert (tmp_path / "mlruns").is_dir()


@pytest.mark.needs("wandb")
def test_weights_and_biases_keeps_a_run_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    tracker = WandB("project", "run", {"solver.base_lr": 1e-4})
    tracker.start(trainer_at(0))
    picture = np.zeros((8, 8, 3), np.uint8)
    tracker.after_batch(types.SimpleNamespace(step=1, scalars={"loss": 1.0}, pictures={"sample": picture}))
    assert tracker._works
    tracker.end(trainer_at(1))
    assert list((tmp_path / "wandb").glob("offline-run-*"))


@pytest.mark.needs("trackio")
def test_trackio_keeps_a_run_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    tracker = Trackio("project", "run", {"solver.base_lr": 1e-4})
    train(tracker)
    assert tracker._works
    assert list(tmp_path.rglob("*.db"))
