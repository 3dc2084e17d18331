"""Stops a training that has blown up."""

import logging
import math
from typing import Any

from ascendcv.runner.hooks.hook import Hook

logger = logging.getLogger(__name__)


class NonFiniteWatch(Hook):
    """Counts updates that were skipped since loss or gradient was not finite; `limit` in a row end training.

    Gradients that overflow while a dynamic loss scale comes down to its level are not counted. The number so far
    goes to `trainer.scalars['skipped']`. Raises `RuntimeError`, on every worker after the same update.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.total = 0
        self.in_a_row = 0

    def after_batch(self, trainer) -> None:
        first = trainer.step - len(trainer.reports) + 1
        for step, report in enumerate(trainer.reports, first):
            if report["finite"]:
                self.in_a_row = 0
            elif not (math.isfinite(report["loss"]) and trainer.loss_scale.can_shrink):
                self._count(step, report)
                trainer.scalars["skipped"] = self.total

    def state(self) -> dict[str, Any]:
        return {"total": self.total, "in_a_row": self.in_a_row}

    def restore(self, state: dict[str, Any]) -> None:
        self.total, self.in_a_row = state["total"], state["in_a_row"]

    def _count(self, step: int, report: dict[str, float]) -> None:
        self.total += 1
        self.in_a_row += 1
        what = "gradient" if math.isfinite(report["loss"]) else "loss"
        logger.warning(
            "Step:%d skipped, its %s is not finite (%d in a row, %d in all)",
            step,
            what,
            self.in_a_row,
            self.total,
        )
        if self.in_a_row >= self.limit:
            raise RuntimeError(
                f"training stopped at step {step}: the {what} was not finite {self.in_a_row} times in a row; "
                "lower the learning rate, clip the gradient's norm or take an older checkpoint"
            )
