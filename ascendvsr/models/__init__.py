"""The networks, one folder each, and the one list of their cards.

`from ascendvsr.models import EDVR` imports the network, and Keras, when the name is first used.
"""

import importlib

from ascendcv.utils.errors import InputError
from ascendcv.utils.lazy import lazy_names
from ascendvsr.models.card import Card

# One line per folder; its card.py has one card or several.
CARDS: tuple[Card, ...] = tuple(
    card
    for folder in (
        "edvr",
        "rvrt",
        "cdvd_tsp",
        "pvdnet",
        "deblur_devil",
        "basicvsr",
        "flow",
    )
    for card in importlib.import_module(f"{__name__}.{folder}.card").CARDS
)

# What `ascendvsr flow --model` may say.
FLOW_NAMES = tuple(dict.fromkeys(card.flow_name for card in CARDS if card.flow_name))


def card_named(name: str) -> Card:
    """The card of the network that `model.name` names. Raises `InputError` for a name that no card has."""
    for card in CARDS:
        if name in (card.name, *card.aliases):
            return card
    raise InputError(f"model.name is {name!r}; it should be one of {', '.join(card.name for card in CARDS)}")


def card_of(model: object) -> Card:
    """The card of a network's object. Raises `InputError` for one that no card describes."""
    classes = {f"{base.__module__}:{base.__qualname__}" for base in type(model).__mro__}
    for card in CARDS:
        if card.network in classes:
            return card
    raise InputError(
        f"{type(model).__name__} is none of the networks here: {', '.join(card.name for card in CARDS)}"
    )


_NETWORKS = {name: module for module, name in (card.network.split(":") for card in CARDS)}

__getattr__, __all__ = lazy_names(__name__, _NETWORKS | {"build_model": "ascendvsr.models.builder"})
