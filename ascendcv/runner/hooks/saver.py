"""Writes checkpoints."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ascendcv.runner.checkpoint import CheckpointStore
from ascendcv.runner.hooks.hook import Hook
from ascendcv.runner.state import WeightsFile, save_state

logger = logging.getLogger(__name__)


class CheckpointSaver(Hook):
    """Saves the state every `interval` updates or epochs (0: only at the end) and at the end, also after a stop.

    Where another hook has put `best_by` into `trainer.scalars` the checkpoint notes it as its score; a state whose
    score is among the best that the store keeps is saved in any case. Comes after all hooks that have a state.

    Args:
        settings: what the checkpoint keeps of the configuration: JSON values.
    """

    def __init__(
        self,
        store: CheckpointStore,
        interval: int,
        save_weights: WeightsFile,
        best_by: str = "val/psnr",
        settings: Mapping[str, Any] = MappingProxyType({}),
    ):
        self.store = store
        self.interval = interval
        self.save_weights = save_weights
        self.best_by = best_by
        self.settings = dict(settings)
        self._saved: int | None = None

    def start(self, trainer) -> None:
        self._saved = trainer.step
        self.store.remove_leftovers()

    def after_batch(self, trainer) -> None:
        score = trainer.scalars.get(self.best_by)
        worthy = score is not None and self.store.is_worthy(score)
        if not worthy and not trainer.due(self.interval):
            return
        best = self.store.best()
        self._save(trainer, score)
        if worthy and (best is None or self.store.better(score, best[1])):
            logger.info("Best so far: %s (%s %.4f)", self.store.path(trainer.step), self.best_by, score)

    def end(self, trainer) -> None:
        if self._saved not in (None, trainer.step):  # None: training has not begun
            self._save(trainer, None)

    def _save(self, trainer, score: float | None) -> None:
        save_state(trainer, self.store, self.save_weights, self.settings, score)
        self._saved = trainer.step
