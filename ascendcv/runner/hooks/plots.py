"""Curves of loss, PSNR and learning rate as PNG, at the end of a run."""

import importlib.util
import logging
import os
from pathlib import Path

from ascendcv.runner.hooks.csv_file import read_rows
from ascendcv.runner.hooks.hook import Hook
from ascendcv.utils.files import atomic_path

logger = logging.getLogger(__name__)

_PLOTS = {
    "loss": {"loss": "training loss"},
    "psnr": {"psnr": "training crops", "val/psnr": "validation"},
    "learning_rate": {"lr": "learning rate"},
}


class Plots(Hook):
    """Draws `folder/{loss,psnr,learning_rate}.png` from `log.csv`. Without matplotlib: a warning."""

    def __init__(self, log_csv: str | os.PathLike, folder: str | os.PathLike):
        self.log_csv = log_csv
        self.folder = Path(folder)

    def end(self, trainer) -> None:
        if importlib.util.find_spec("matplotlib") is None:
            logger.warning("No plots: install the extra `train` (pip install 'ascendvsr[train]')")
            return
        rows = read_rows(self.log_csv)
        for name, columns in _PLOTS.items():
            curves = {label: _curve(rows, column) for column, label in columns.items()}
            curves = {label: points for label, points in curves.items() if points}
            if curves:
                _draw(
                    self.folder / f"{name}.png",
                    curves,
                    "PSNR (dB)" if name == "psnr" else name.replace("_", " "),
                )


def _curve(rows: list[dict[str, str]], column: str) -> list[tuple[int, float]]:
    return [(int(row["step"]), float(row[column])) for row in rows if row.get(column)]


def _draw(path: Path, curves: dict[str, list[tuple[int, float]]], quantity: str) -> None:
    # A figure of its own, without pyplot: no window system, no state that other code shares.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=110, layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel=quantity)
    for label, points in curves.items():
        axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None)
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend()
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)
