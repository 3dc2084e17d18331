"""Curves of losses, PSNR, SSIM and learning rate as PNG and PDF."""

import importlib.util
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ascendcv.runner.hooks.csv_file import read_rows
from ascendcv.runner.hooks.hook import Hook, InEpochs
from ascendcv.utils.files import atomic_path

logger = logging.getLogger(__name__)

# name of the figure -> the quantity at its axis and {pattern of the columns in it: what they are called}
_FIGURES = {
    # loss/px is the loss once more, in another unit.
    "loss": (
        "loss",
        {r"loss": "training loss", r"loss/(?!px$)(.+)": r"\1", r"val/(.*(?:loss|epe).*)": r"validation \1"},
    ),
    "psnr": ("PSNR (dB)", {r"psnr": "training crops", r"val/psnr": "validation"}),
    "ssim": ("SSIM", {r"(ssim|ms_ssim)": r"\1 of training crops", r"val/(ssim|ms_ssim)": r"validation \1"}),
    "learning_rate": ("learning rate", {r"lr": "learning rate"}),
}


class Plots(Hook):
    """Draws `folder/{loss,psnr,ssim,learning_rate}.{png,pdf}` from `log.csv`, those that have something to show.

    At the end of each epoch from the second on, but at most every `pause` seconds, and at the end of the run.
    Without matplotlib: a warning.
    """

    def __init__(self, log_csv: str | os.PathLike, folder: str | os.PathLike, pause: float = 60.0):
        self.log_csv = log_csv
        self.folder = Path(folder)
        self.pause = pause

    def start(self, trainer) -> None:
        self._drawn_at = time.monotonic()

    def after_batch(self, trainer) -> None:
        rested = time.monotonic() - self._drawn_at >= self.pause
        if rested and trainer.due(InEpochs(1)) and trainer.epoch > 1 and can_draw():
            self._draw()
            self._drawn_at = time.monotonic()

    def end(self, trainer) -> None:
        if can_draw():
            self._draw()
        else:
            logger.warning("No plots: install the extra `train` (pip install 'ascendvsr[train]')")

    def _draw(self) -> None:
        rows = read_rows(self.log_csv)
        columns = list(rows[0]) if rows else []
        for name, (quantity, patterns) in _FIGURES.items():
            curves = {}
            for pattern, label in patterns.items():
                for column in columns:
                    if match := re.fullmatch(pattern, column):
                        curves[match.expand(label)] = _curve(rows, column)
            curves = {label: points for label, points in curves.items() if points}
            if curves:
                draw(self.folder / name, curves, "step", quantity)


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def _curve(rows: list[dict[str, str]], column: str) -> list[tuple[int, float]]:
    return [(int(row["step"]), float(row[column])) for row in rows if row.get(column)]


def draw(
    path: Path,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    x_label: str,
    y_label: str,
    log_x: bool = False,
    marked: tuple[float, str] | None = None,
) -> None:
    """Writes `path`.png and `path`.pdf with these curves; `marked` is an x with its description."""
    # A figure of its own, without pyplot: no window system, no state that other code shares.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel=x_label, ylabel=y_label, xscale="log" if log_x else "linear")
    for label, points in curves.items():
        axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None)
    if marked:
        axes.axvline(marked[0], color="black", linestyle=":", label=marked[1])
    axes.grid(alpha=0.3)
    if len(curves) > 1 or marked:
        axes.legend()
    for kind in ("png", "pdf"):
        with atomic_path(path.with_name(f"{path.name}.{kind}")) as temporary:
            figure.savefig(temporary, format=kind)
