"""Weights & Biases."""

import importlib
from collections.abc import Mapping

import numpy as np

from ascendcv.runner.hooks.tracker import Tracker


class WandB(Tracker):
    """Scalars and pictures in a run of Weights & Biases, whose own variables (WANDB_MODE=offline ...) count."""

    extra = "wandb"

    def begin(self, run_id: str) -> str:
        self._wandb = importlib.import_module("wandb")
        known = {"id": run_id, "resume": "allow"} if run_id else {}
        self._run = self._wandb.init(project=self.project, name=self.name, config=self.settings, **known)
        return self._run.id

    def log(self, step: int, scalars: Mapping[str, float], pictures: Mapping[str, np.ndarray]) -> None:
        shown = {name: self._wandb.Image(picture) for name, picture in pictures.items()}
        self._run.log({**scalars, **shown}, step=step)

    def finish(self) -> None:
        self._run.finish()
