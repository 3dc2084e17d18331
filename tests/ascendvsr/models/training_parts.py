"""The parts of a network's training, as a run has them."""

from typing import Any

from yacs.config import CfgNode

from ascendvsr.models import card_named
from ascendvsr.models.card import imported
from ascendvsr.models.training import Training


def inputs_of(cfg: CfgNode, begins: bool = True) -> Any:
    """What is read besides clips, by a run that begins or goes on, once the settings have been checked."""
    card = card_named(cfg.model.name)
    card.arguments(cfg)
    return imported(card.read_inputs)(cfg, begins) if card.read_inputs else None


def training_of(cfg: CfgNode) -> Training:
    """How the network is trained by a run that begins."""
    return imported(card_named(cfg.model.name).training)(cfg, inputs_of(cfg))
