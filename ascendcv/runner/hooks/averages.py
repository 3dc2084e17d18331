"""Running averages, speed and time left."""

import math
from typing import Any

from ascendcv.runner.hooks.hook import Hook


class Averages(Hook):
    """Every `interval` updates puts into `trainer.scalars` what the log tells.

    'lr', running averages of what the updates report ('loss', ...), 'gradient_norm' (the last), 'time'
    (milliseconds an update, over the interval), 'fps' (samples a second), 'eta' and 'elapsed' (seconds).
    In an average a value that is k updates old weighs decay^k. Values that are not finite are left out.
    """

    def __init__(self, interval: int, batch_size: int, decay: float = 0.995):
        self.interval = interval
        self.batch_size = batch_size
        self.decay = decay
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}

    def start(self, trainer) -> None:
        self._durations: list[float] = []
        self._mean_duration = 0.0
        self._batches = 0

    def after_batch(self, trainer) -> None:
        self._measure(trainer.batch_seconds / len(trainer.reports))
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
                "eta": self._mean_duration * (trainer.total_steps - trainer.step),
                "elapsed": trainer.elapsed,
            }
            self._durations.clear()

    def state(self) -> dict[str, Any]:
        return {"sums": self._sums, "weights": self._weights}

    def restore(self, state: dict[str, Any]) -> None:
        self._sums, self._weights = state["sums"], state["weights"]

    def _measure(self, duration: float) -> None:
        if self._batches == 1:  # the first batch of a process also traced the step: it counts only while alone
            self._durations.clear()
        self._durations.append(duration)
        self._mean_duration += (1.0 if self._batches < 2 else 0.05) * (duration - self._mean_duration)
        self._batches += 1
