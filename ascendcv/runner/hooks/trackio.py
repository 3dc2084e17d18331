"""Trackio, which keeps what it gets on this machine."""

import importlib
from collections.abc import Mapping

import numpy as np

from ascendcv.runner.hooks.tracker import Tracker


class Trackio(Tracker):
    """Scalars and pictures in a run of Trackio; `trackio show` shows them."""

    extra = "trackio"

    def begin(self, run_id: str) -> str:
        self._trackio = importlib.import_module("trackio")
        name = run_id or self.name
        self._trackio.init(project=self.project, name=name, config=self.settings, resume="allow")
        return name

    def log(self, step: int, scalars: Mapping[str, float], pictures: Mapping[str, np.ndarray]) -> None:
        shown = {name: self._trackio.Image(picture) for name, picture in pictures.items()}
        self._trackio.log({**scalars, **shown}, step=step)

    def finish(self) -> None:
        self._trackio.finish()
