"""What a hook is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ascendcv.runner.trainer import Trainer


class InEpochs(int):
    """A number of epochs, where otherwise a number of updates is meant."""


class Hook:
    """Something that happens beside training. A hook overrides what it needs.

    Hooks run in the trainer's order; those that find things out put numbers into `trainer.scalars`, which is
    empty at the start of each batch, and those that write read them there.
    """

    def start(self, trainer: Trainer) -> None:
        """Before the first batch of this process, with the trainer's state restored."""

    def after_batch(self, trainer: Trainer) -> None:
        """After the updates on one batch."""

    def end(self, trainer: Trainer) -> None:
        """After the last batch, also where a signal ended training; not after an error."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of this hook: JSON values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up a state that `state` gave."""
