"""The schema of all settings: the common ones and those that each network adds."""

import functools
from typing import Any

from ascendcv.utils.setting import Setting, Tree, flattened, word
from ascendvsr.config.settings import COMMON
from ascendvsr.models import CARDS


@functools.cache
def schema() -> Tree:
    """All settings, as nested sections."""
    names = [card.name for card in CARDS]
    aliases = {alias: card.name for card in CARDS for alias in card.aliases}
    common: dict[str, Any] = COMMON
    model = {"name": word("EDVR", "the network", names, aliases=aliases)} | common["model"]
    of_networks = {name: tree for card in CARDS for name, tree in card.settings.items()}
    return common | {"model": model} | of_networks


@functools.cache
def settings() -> dict[str, Setting]:
    """'section.name' -> setting, in the order of the schema."""
    return dict(flattened(schema()))


@functools.cache
def sections() -> frozenset[str]:
    """The names of all sections, those inside of others as 'section.name'."""
    return frozenset(key[:end] for key in settings() for end, letter in enumerate(key) if letter == ".")
