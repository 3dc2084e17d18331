"""What happens when an epoch is finished, and the sources that are kept."""

import json
import logging
import re
import zipfile

import numpy as np
import pytest
from scipy.io import loadmat

from ascendcv.runner.hooks.csv_file import read_rows
from ascendcv.runner.hooks.epochs import Epochs
from ascendcv.runner.hooks.hook import Hook
from ascendcv.runner.hooks.notify import Notify
from ascendcv.runner.hooks.sources import Sources
from tests.ascendcv.runner.tiny_training import Keep, make_trainer
from tests.support import PROJECT


@pytest.fixture
def epochs_run(tmp_path):
    """A run of two epochs of three updates and half a third, with a score at the end of each epoch."""

    class Score(Hook):
        def after_batch(self, trainer):
            if trainer.due(3):
                trainer.scalars["val/psnr"] = 30.0 + trainer.step

    def run(total_steps: int = 7, **options: object) -> tuple[Keep, Epochs]:
        keep, epochs = Keep(), Epochs(tmp_path, **options)
        make_trainer(hooks=[Score(), keep, epochs], steps_per_epoch=3, total_steps=total_steps).fit()
        return keep, epochs

    return run


def test_finished_epochs_are_told_in_the_log_in_a_book_and_in_a_table(epochs_run, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    keep, _ = epochs_run()
    rows = read_rows(tmp_path / "epochs.csv")
    assert [(row["epoch"], row["step"], float(row["val/psnr"])) for row in rows] == [("1", "3", 33), ("2", "6", 36)]
    losses = [report["loss"] for report in keep.reports]
    assert [float(row["loss"]) for row in rows] == pytest.approx([np.mean(losses[:3]), np.mean(losses[3:6])])
    assert {"error", "gradient_norm", "lr", "elapsed"} <= rows[0].keys()
    lines = [record.message for record in caplog.records if record.message.startswith("Epoch:")]
    assert len(lines) == 2
    assert re.fullmatch(r"Epoch:2, step:6, lr:0\.00166667, error:.*, val/psnr:36, elapsed:\d+:\d\d:\d\d", lines[1])


def test_an_epoch_that_two_runs_share_is_one_row(epochs_run, tmp_path):
    _, epochs = epochs_run(5)
    keep, resumed = Keep(), Epochs(tmp_path)
    resumed.restore(json.loads(json.dumps(epochs.state())))
    trainer = make_trainer(hooks=[keep, resumed], steps_per_epoch=3, total_steps=6)
    trainer.step = 5
    trainer.fit()
    rows = read_rows(tmp_path / "epochs.csv")
    assert [row["step"] for row in rows] == ["3", "6"]
    total = epochs.state()["sums"]["loss"] + keep.reports[0]["loss"]
    assert float(rows[1]["loss"]) == pytest.approx(total / 3)


def test_epochs_go_to_matlab_too(epochs_run, tmp_path):
    epochs_run(save_mat=True)
    found = loadmat(tmp_path / "epochs.mat")
    np.testing.assert_array_equal(found["val_psnr"], [[33.0], [36.0]])
    np.testing.assert_array_equal(found["epoch"], [[1], [2]])


def test_a_missing_scipy_is_said_once_and_stops_nothing(epochs_run, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("ascendcv.runner.hooks.epochs.importlib.util.find_spec", lambda name: None)
    epochs_run(save_mat=True)
    assert [record.message for record in caplog.records if "epochs.mat" in record.message] == [
        "No epochs.mat: install the extra `train` (pip install 'ascendvsr[train]')"
    ]
    assert not (tmp_path / "epochs.mat").exists()
    assert len(read_rows(tmp_path / "epochs.csv")) == 2


def test_a_command_gets_the_line_of_each_finished_epoch(tmp_path):
    epochs = Epochs(tmp_path)
    hooks = [epochs, Notify(f"cat >> '{tmp_path}/told.txt'", epochs)]
    make_trainer(hooks=hooks, steps_per_epoch=2, total_steps=5).fit()
    told = (tmp_path / "told.txt").read_text()
    assert [line.split(",")[0] for line in told.splitlines()] == ["Epoch:1", "Epoch:2"]


@pytest.mark.parametrize(
    ("command", "timeout", "said"),
    [
        ("echo no network >&2; exit 3", 60, "status 3: no network"),
        ("no-such-command", 60, "127"),
        ("sleep 20", 0.5, "timed out"),
    ],
)
def test_a_command_that_fails_does_not_end_training(tmp_path, caplog, command: str, timeout: float, said: str):
    epochs = Epochs(tmp_path)
    notify = Notify(command, epochs, timeout=timeout)
    trainer = make_trainer(hooks=[epochs, notify], steps_per_epoch=1, total_steps=1)
    assert trainer.fit() == 0
    assert "The notify command" in caplog.text
    assert said in caplog.text


def test_the_sources_are_kept(tmp_path):
    Sources(tmp_path, ("ascendcv",)).start(None)
    (archive,) = tmp_path.iterdir()
    assert re.fullmatch(r"sources-\d{8}T\d{6}\.zip", archive.name)
    with zipfile.ZipFile(archive) as opened:
        text = opened.read("ascendcv/runner/hooks/sources.py").decode()
        assert not [name for name in opened.namelist() if "__pycache__" in name]
    assert text == (PROJECT / "ascendcv/runner/hooks/sources.py").read_text()
