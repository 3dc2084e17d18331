"""From a configuration to a network."""

import keras
from yacs.config import CfgNode

from ascendvsr.models import card_named
from ascendvsr.models.card import imported


def build_model(cfg: CfgNode) -> keras.Model:
    """The network that `model.name` names, its weights initialized. Raises `InputError` for impossible settings."""
    card = card_named(cfg.model.name)
    return imported(card.network)(**card.arguments(cfg))
