"""The command `lrfinder`: which learning rates a configured training can stand.

It trains from the beginning (or from `init_from`) with a rising rate, `solver.lr_finder`, instead of the schedule.
Checkpoints in `output_dir` are neither read nor written.
"""

import logging
from datetime import datetime
from pathlib import Path

from yacs.config import CfgNode

from ascendcv.runner.hooks.averages import Averages
from ascendcv.runner.hooks.csv_file import write_rows
from ascendcv.runner.hooks.log_line import LogLine
from ascendcv.runner.hooks.plots import can_draw, draw
from ascendcv.runner.logs import logging_to
from ascendcv.runner.lr_finder import SKIPPED_AT_END, SKIPPED_AT_START, RangeTest, suggestion
from ascendcv.utils.quiet import import_tensorflow
from ascendvsr.config import save_config
from ascendvsr.models.card import imported
from ascendvsr.training.plan import read_plan

logger = logging.getLogger(__name__)


def lrfinder(cfg: CfgNode) -> None:
    """Writes log/lrfinder-<time>.csv and plots/lrfinder-<time>.{png,pdf}; prints the suggested rate.

    Raises `InputError` for what `train` refuses, for rates that do not rise and for several workers; `SystemExit`
    130 or 143 after a stop signal, with what there was until then written.
    """
    plan = read_plan(cfg, finds_rate=True)
    import_tensorflow()
    finder = cfg.solver.lr_finder
    output_dir, name = Path(cfg.output_dir), f"lrfinder-{datetime.now():%Y%m%dT%H%M%S}"
    with logging_to(output_dir / "log" / f"{name}.log"):
        save_config(cfg, output_dir / "config" / f"{name}.yaml")
        from ascendvsr.training.assembly import begin, build_trainer

        training = imported(plan.card.training)(cfg, plan.inputs)
        trainer = build_trainer(plan, training)
        begin(plan, training, trainer)
        test = RangeTest(finder.smoothing, finder.diverge_at)
        trainer.hooks = [test, Averages(cfg.solver.print_interval, plan.batch_size), LogLine()]
        stopped_by = trainer.fit()
        _write(test, output_dir, name, logarithmic=finder.type == "exponential")
    if stopped_by:
        raise SystemExit(128 + stopped_by)


def _write(test: RangeTest, output_dir: Path, name: str, logarithmic: bool) -> None:
    """The curve as a table and as a picture, and what it says."""
    rows = [{"lr": rate, "loss": loss} for rate, loss in zip(test.rates, test.losses, strict=True)]
    write_rows(output_dir / "log" / f"{name}.csv", rows, ["lr", "loss"])
    suggested = suggestion(test.rates, test.losses)
    end = "diverged" if test.diverged else "ended"
    logger.info("The loss %s after %d steps, at a learning rate of %.3g", end, len(rows), test.rates[-1])
    if suggested is None:
        logger.info("That is too short a curve to suggest a learning rate: take more solver.lr_finder.steps")
    else:
        logger.info(
            "Suggested learning rate: %.3g, where the loss falls most steeply (solver.lr_schedule.base_lr, or its "
            "max_lr for OneCycle)",
            suggested,
        )
    if not can_draw():
        logger.warning("No plot: install the extra `train` (pip install 'ascendvsr[train]')")
        return
    shown = slice(SKIPPED_AT_START, -SKIPPED_AT_END) if suggested is not None else slice(None)
    curve = list(zip(test.rates[shown], test.losses[shown], strict=True))
    marked = None if suggested is None else (suggested, f"suggested: {suggested:.3g}")
    draw(output_dir / "plots" / name, {"smoothed loss": curve}, "learning rate", "loss", logarithmic, marked)
