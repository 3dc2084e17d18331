"""A checkpoint in a run's folder brings the run's own settings along."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ascendvsr import cli
from ascendvsr.config import load_config, save_config
from ascendvsr.config.of_run import config_of_run, run_of
from tests.support import PROJECT, TINY_EDVR

TRAINED = {
    "eval.rounding": True,
    "eval.crop_border": 2,
    "device_ids": [0, 1, 2],
    "rank_size": 3,
    "output_dir": "somewhere/else",
}


@pytest.fixture
def run(tmp_path: Path, reds_set: Path, tiny_edvr_checkpoint: Path) -> Path:
    """A run's folder as training leaves it, on three devices, and moved since."""
    from ascendcv.runner.checkpoint import CheckpointStore

    folder = tmp_path / "moved"

    def fill(checkpoint: Path) -> dict:
        shutil.copy(tiny_edvr_checkpoint, checkpoint / "model.weights.h5")
        return {"epoch": 0}

    CheckpointStore(folder, "EDVR").write(7, fill)
    old = load_config(settings=TINY_EDVR)
    save_config(old, folder / "config/train-20200101T000000.yaml")
    settings = TINY_EDVR | TRAINED | {"data.data_dir": str(reds_set)}
    save_config(load_config(settings=settings), folder / "config/train-20200102T000000.yaml")
    return folder


def test_the_run_of_a_path(run: Path, tmp_path: Path, tiny_edvr_checkpoint: Path):
    for path in (run, run / "EDVR-7", run / "EDVR-7/model.weights.h5"):
        assert run_of(path) == run
    for path in (tmp_path, tiny_edvr_checkpoint, tmp_path / "nowhere"):
        assert run_of(path) is None
    assert config_of_run(run).name == "train-20200102T000000.yaml"
    assert config_of_run(tmp_path) is None


@pytest.fixture
def evaluated(monkeypatch, capsys) -> Callable[..., str]:
    """What `ascendvsr eval` prints."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest keeps its own handlers

    def run(*arguments: object) -> str:
        assert cli.main(["eval", "device", "cpu", *map(str, arguments)]) == 0
        return capsys.readouterr().out

    return run


def test_evaluation_is_by_the_settings_of_the_run_and_results_go_there(run: Path, evaluated):
    told = evaluated("--checkpoint", run / "EDVR-7")
    config = run / "config/train-20200102T000000.yaml"
    assert told.count(f"is of the run in {run}: settings are those of {config}") == 1
    assert "rounded to 8 bits; RGB, and luma of BT.601 (_y); border 2" in told
    assert (run / "result/EDVR-7/reds-val/metrics.json").exists()
    assert not Path(PROJECT, "somewhere").exists()


def test_the_command_line_wins_and_so_does_a_file(run: Path, tmp_path: Path, reds_set: Path, evaluated):
    out = tmp_path / "out"
    evaluated("--checkpoint", "latest", "eval.crop_border", 1, "output_dir", run)
    facts = json.loads((run / "result/EDVR-7/reds-val/metrics.json").read_text())["protocol"]["facts"]
    assert "rounded to 8 bits" in facts
    assert "border 1" in facts
    named = tmp_path / "named.yaml"
    save_config(load_config(settings=TINY_EDVR | {"data.data_dir": str(reds_set), "output_dir": str(out)}), named)
    told = evaluated("--config", named, "--checkpoint", run)
    assert "is of the run" not in told
    assert "border 0" in told
    assert (out / "result/EDVR-7/reds-val/metrics.json").exists()


def test_a_bare_name_is_looked_for_in_output_dir(run: Path, evaluated):
    assert "border 2" in evaluated("checkpoint", "EDVR-7", "output_dir", run)
    assert "border 2" in evaluated("checkpoint", "step:7", "output_dir", run)
