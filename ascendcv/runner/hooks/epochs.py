"""The book of finished epochs: a log line, `epochs.csv` and by choice `epochs.mat`."""

import importlib.util
import logging
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from ascendcv.runner.hooks.csv_file import read_rows, write_rows
from ascendcv.runner.hooks.hook import Hook, InEpochs
from ascendcv.runner.hooks.log_line import format_duration
from ascendcv.utils.files import atomic_path

logger = logging.getLogger(__name__)


class Epochs(Hook):
    """At the end of each epoch tells what all losses and metrics were.

    A training quantity is the mean over the updates of the epoch whose value is finite; what else is in
    `trainer.scalars` under 'val/...' is the last value of the epoch. Columns: epoch, step, lr, elapsed (seconds),
    then these. A run that is continued keeps the rows up to its step.

    Args:
        folder: where the files are.
        save_mat: write `epochs.mat` too, for MATLAB and Octave. Without SciPy installed it says so once instead.

    Attributes:
        line: what was logged after the last batch, if that ended an epoch, else ''.
    """

    # Of the epoch so far.
    _sums: dict[str, float]
    _counts: dict[str, int]
    _scores: dict[str, float]

    def __init__(self, folder: str | os.PathLike, save_mat: bool = False):
        self.folder = Path(folder)
        self.save_mat = save_mat
        self.line = ""
        self._rows: list[dict[str, Any]] = []
        self._begin()

    def start(self, trainer) -> None:
        rows = read_rows(self.folder / "epochs.csv")
        self._rows = [row for row in rows if int(row["step"]) <= trainer.step]
        if self.save_mat and importlib.util.find_spec("scipy") is None:
            logger.warning("No epochs.mat: install the extra `train` (pip install 'ascendvsr[train]')")
            self.save_mat = False

    def after_batch(self, trainer) -> None:
        self.line = ""
        for report in trainer.reports:
            for name in report.keys() - {"lr", "finite"}:
                if math.isfinite(report[name]):
                    self._sums[name] = self._sums.get(name, 0.0) + report[name]
                    self._counts[name] = self._counts.get(name, 0) + 1
        self._scores |= {name: score for name, score in trainer.scalars.items() if name.startswith("val/")}
        if trainer.due(InEpochs(1)):
            self._finish(trainer)

    def state(self) -> dict[str, Any]:
        return {"sums": self._sums, "counts": self._counts, "scores": self._scores}

    def restore(self, state: dict[str, Any]) -> None:
        self._sums, self._counts, self._scores = state["sums"], state["counts"], state["scores"]

    def _begin(self) -> None:
        self._sums, self._counts, self._scores = {}, {}, {}

    def _finish(self, trainer) -> None:
        row = {"epoch": trainer.epoch, "step": trainer.step, "lr": trainer.reports[-1]["lr"]}
        row |= {"elapsed": trainer.elapsed}
        row |= {name: self._sums[name] / self._counts[name] for name in sorted(self._sums)}
        row |= self._scores
        self._begin()
        self._rows.append(row)
        self.line = format_epoch(row)
        logger.info(self.line)
        write_rows(self.folder / "epochs.csv", self._rows)
        if self.save_mat:
            self._write_mat()

    def _write_mat(self) -> None:
        """Column vectors under names that MATLAB allows: 'val/psnr' is val_psnr."""
        from scipy.io import savemat

        columns = dict.fromkeys(name for row in self._rows for name in row)
        arrays = {
            re.sub(r"\W", "_", name): np.array([[float(row.get(name) or "nan")] for row in self._rows])
            for name in columns
        }
        with atomic_path(self.folder / "epochs.mat") as temporary:
            savemat(temporary, arrays)


def format_epoch(row: dict[str, Any]) -> str:
    """`Epoch:3, step:600, lr:0.00040000, loss:0.01234, ..., val/psnr:30.1234, elapsed:1:02:03`."""
    known = {"epoch", "step", "lr", "elapsed"}
    told = [f"{name}:{float(value):.6g}" for name, value in row.items() if name not in known and value != ""]
    begin = f"Epoch:{row['epoch']}, step:{row['step']}, lr:{float(row['lr']):.8f}"
    return ", ".join([begin, *told, f"elapsed:{format_duration(float(row['elapsed']))}"])
