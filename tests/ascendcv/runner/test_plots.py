"""Curves of a run, drawn from its table."""

import numpy as np
import pytest
from PIL import Image

from ascendcv.runner.hooks import plots
from ascendcv.runner.hooks.averages import Averages
from ascendcv.runner.hooks.csv_file import CsvFile, write_rows
from ascendcv.runner.hooks.hook import Hook
from ascendcv.runner.hooks.plots import Plots
from tests.ascendcv.runner.tiny_training import make_trainer


def test_plots_are_drawn_at_the_end(tmp_path):
    class Score(Hook):
        def after_batch(self, trainer):
            trainer.scalars |= {"psnr": 20.0 + trainer.step, "val/psnr": 25.0}

    log = tmp_path / "log.csv"
    make_trainer(hooks=[Averages(1, 4), Score(), CsvFile(log), Plots(log, tmp_path / "plots")]).fit()
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert names == {f"{name}.{kind}" for name in ("loss", "psnr", "learning_rate") for kind in ("png", "pdf")}
    for path in (tmp_path / "plots").glob("*.png"):
        assert np.array(Image.open(path)).std() > 1
    for path in (tmp_path / "plots").glob("*.pdf"):
        assert path.read_bytes().startswith(b"%PDF")


def test_plots_are_drawn_during_a_run_too_but_not_in_its_first_epoch_and_not_all_the_time(tmp_path):
    log, drawn = tmp_path / "log.csv", {}

    class Look(Hook):
        def after_batch(self, trainer):
            drawn[trainer.step] = (tmp_path / "loss.png").exists()
            (tmp_path / "loss.png").unlink(missing_ok=True)

    hooks = [Averages(1, 4), CsvFile(log), Plots(log, tmp_path, pause=0.0), Look()]
    make_trainer(hooks=hooks, steps_per_epoch=2, total_steps=5).fit()
    assert [step for step, there in drawn.items() if there] == [4]
    (tmp_path / "loss.png").unlink()
    patient = [Averages(1, 4), CsvFile(log), Plots(log, tmp_path, pause=60.0), Look()]
    make_trainer(hooks=patient, steps_per_epoch=2, total_steps=5).fit()
    assert not any(drawn.values())
    assert (tmp_path / "loss.png").exists()


def test_all_parts_of_a_loss_and_both_measures_have_their_figures(tmp_path):
    columns = {
        "loss": 3,
        "loss/l1": 1,
        "loss/hem": 2,
        "loss/px": 9,
        "ms_ssim": 0.9,
        "val/ssim": 0.8,
        "val/psnr": 30,
    }
    rows = [{"step": step, **columns} for step in (1, 2)]
    write_rows(tmp_path / "log.csv", rows)
    drawn = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "draw", lambda path, curves, *_: drawn.update({path.name: list(curves)}))
        Plots(tmp_path / "log.csv", tmp_path).end(None)
    assert drawn == {
        "loss": ["training loss", "l1", "hem"],
        "psnr": ["validation"],
        "ssim": ["ms_ssim of training crops", "validation ssim"],
    }
