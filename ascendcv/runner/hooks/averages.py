"""Running averages, speed and time left."""

import math
import time
from typing import Any

from ascendcv.runner.hooks.hook import Hook


class Averages(Hook):
    """Every `interval` updates puts into `trainer.scalars` what the log tells.

    'lr', running averages of what the updates report ('loss', ...), 'gradient_norm' (the last), 'time'
    (milliseconds an update, over the interval), 'fps' (samples a second), 'eta' and 'elapsed' (seconds), and where
    there are epochs 'epoch' (2.5: half of the third is done) and 'eta_epoch'.
    In an average a value that is k updates old weighs decay^k. Values that are not finite are left out.

    The times left follow from all the time that this run, and those that it continues, spent on its updates and
    beside them (validation, files): so they are right from the first update after a resume on. The first batch of
    a process, in which the step is traced, is left out.
    """

    def __init__(self, interval: int, batch_size: int, decay: float = 0.995):
        self.interval = interval
        self.batch_size = batch_size
        self.decay = decay
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}
        self._measured = [0.0, 0]  # seconds and the number of updates that they held

    def start(self, trainer) -> None:
        self._durations: list[float] = []
        self._batches = 0
        self._last_time = time.perf_counter()

    def after_batch(self, trainer) -> None:
        self._measure(trainer.batch_seconds / len(trainer.reports), len(trainer.reports))
        for report in trainer.reports:
            for name in report.keys() - {"lr", "finite", "gradient_norm"}:
                if math.isfinite(report[name]):
                    self._sums[name] = self._sums.get(name, 0.0) * self.decay + report[name]
                    self._weights[name] = self._weights.get(name, 0.0) * self.decay + 1.0
        if trainer.due(self.interval):
            last, duration = trainer.reports[-1], sum(self._durations) / len(self._durations)
            trainer.scalars |= {"lr": last["lr"]}
            trainer.scalars |= {name: total / self._weights[name] for name, total in self._sums.items()}
            trainer.scalars |= {
                "gradient_norm": last["gradient_norm"],
                "time": 1000 * duration,
                "fps": self.batch_size / duration,
                "eta": self._seconds(trainer.total_steps - trainer.step),
                "elapsed": trainer.elapsed,
            }
            if trainer.steps_per_epoch:
                left = -trainer.epoch_step % trainer.steps_per_epoch
                trainer.scalars["epoch"] = trainer.epoch_step / trainer.steps_per_epoch
                trainer.scalars["eta_epoch"] = self._seconds(left)
            self._durations.clear()

    def state(self) -> dict[str, Any]:
        return {"sums": self._sums, "weights": self._weights, "measured": self._measured}

    def restore(self, state: dict[str, Any]) -> None:
        self._sums, self._weights = state["sums"], state["weights"]
        self._measured = state["measured"]

    def _measure(self, duration: float, updates: int) -> None:
        if self._batches == 1:  # the first batch of a process also traced the step: it counts only while alone
            self._durations.clear()
        self._durations.append(duration)
        now = time.perf_counter()
        if self._batches:
            self._measured = [self._measured[0] + now - self._last_time, self._measured[1] + updates]
        self._last_time = now
        self._batches += 1

    def _seconds(self, updates: int) -> float:
        """How long so many updates will take."""
        seconds, measured = self._measured
        return updates * (seconds / measured if measured else self._durations[-1])
