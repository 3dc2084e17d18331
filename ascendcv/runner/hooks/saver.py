"""Writes checkpoints."""

import logging

from ascendcv.runner.checkpoint import CheckpointStore
from ascendcv.runner.hooks.hook import Hook
from ascendcv.runner.state import WeightsFile, save_state

logger = logging.getLogger(__name__)


class CheckpointSaver(Hook):
    """Saves the state every `interval` updates (0: only at the end) and at the end, also after a stop signal.

    Where another hook has put a better `best_by` into `trainer.scalars` than ever before, that state is saved
    and marked as the best. Comes last, since it saves the other hooks' states.
    """

    def __init__(self, store: CheckpointStore, interval: int, save_weights: WeightsFile, best_by: str = "val/psnr"):
        self.store = store
        self.interval = interval
        self.save_weights = save_weights
        self.best_by = best_by
        self._saved = None

    def start(self, trainer) -> None:
        self._saved = trainer.step
        self.store.remove_leftovers()

    def after_batch(self, trainer) -> None:
        score, best = trainer.scalars.get(self.best_by), self.store.best()
        improved = score is not None and (best is None or score > best[1])
        if improved or trainer.due(self.interval):
            self._save(trainer)
        if improved:
            self.store.mark_best(trainer.step, score)
            logger.info("Best so far: %s (%s %.4f)", self.store.path(trainer.step), self.best_by, score)

    def end(self, trainer) -> None:
        if self._saved != trainer.step:
            self._save(trainer)

    def _save(self, trainer) -> None:
        save_state(trainer, self.store, self.save_weights)
        self._saved = trainer.step
