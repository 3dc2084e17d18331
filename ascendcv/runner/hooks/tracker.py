"""What the hooks for tracking services share: none of them ever ends a run."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ascendcv.runner.hooks.hook import Hook

logger = logging.getLogger(__name__)


class Tracker(Hook):
    """Hands `trainer.scalars` and `trainer.pictures` to a tracking service.

    A service that is not installed, cannot be reached or fails in any way is a warning in the log, and left alone
    from then on. A run that goes on from a checkpoint goes on in the service, too.

    Attributes:
        extra: what is to be installed for it.
    """

    extra = ""

    def __init__(self, project: str, name: str, settings: Mapping[str, Any]):
        """`project` and `name` are what the service calls the run; `settings` are noted there."""
        self.project, self.name, self.settings = project, name, dict(settings)
        self._run_id = ""
        self._works = False

    def begin(self, run_id: str) -> str:
        """Starts a run, or goes on with the run `run_id` where that is not ''; gives its id."""
        raise NotImplementedError

    def log(self, step: int, scalars: Mapping[str, float], pictures: Mapping[str, np.ndarray]) -> None:
        """Hands on what was found at a step."""
        raise NotImplementedError

    def finish(self) -> None:
        """Ends the run at the service."""
        raise NotImplementedError

    def start(self, trainer) -> None:
        self._works = True
        self._try(self._begin)

    def after_batch(self, trainer) -> None:
        if trainer.scalars or trainer.pictures:
            self._try(lambda: self.log(trainer.step, dict(trainer.scalars), dict(trainer.pictures)))

    def end(self, trainer) -> None:
        self._try(self.finish)

    def state(self) -> dict[str, Any]:
        return {"run": self._run_id}

    def restore(self, state: dict[str, Any]) -> None:
        self._run_id = state.get("run", "")

    def _begin(self) -> None:
        self._run_id = self.begin(self._run_id)

    def _try(self, work: Callable[[], None]) -> None:
        if not self._works:
            return
        name = type(self).__name__
        try:
            work()
        except ModuleNotFoundError as error:
            self._works = False
            logger.warning("%s: install the extra `%s` (%s)", name, self.extra, error)
        except Exception as error:
            self._works = False
            said = " ".join(str(error).split()) or type(error).__name__
            logger.warning("%s failed, and gets nothing more from this run: %s", name, said)
