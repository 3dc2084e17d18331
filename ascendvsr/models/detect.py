"""Which network a checkpoint is of, read off the names and shapes of its tensors."""

from collections.abc import Mapping

import numpy as np
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.models import CARDS
from ascendvsr.models.card import Architecture, Card
from ascendvsr.models.flow.weights import with_own_prefix


def detect(
    state_dict: Mapping[str, np.ndarray], source: str = "the checkpoint", config: CfgNode | None = None
) -> Architecture:
    """The network whose weights these are. `source` names them in messages.

    Where several networks could have them, `config` says which it is. Raises `InputError` that says what they seem
    to be when no known network has such names, and that lists the candidates when several could have them.
    """
    shapes = {name: tuple(array.shape) for name, array in state_dict.items()}
    candidates: list[Architecture] = []
    for card in CARDS:
        try:
            candidates += card.detect(shapes)
        except KeyError as missing:
            raise InputError(f"{source} holds a part of {card.title} only: it lacks {missing.args[0]}") from None
        except (IndexError, ValueError, ZeroDivisionError):
            raise InputError(f"{source} has the names of {card.title} and shapes that it never has") from None
    if not candidates:
        names = ", ".join(list(shapes)[:4]) + (", ..." if len(shapes) > 4 else "")
        raise InputError(
            f"{source} is of no network that is known here ({', '.join(card.title for card in CARDS)}): "
            f"it holds {len(shapes)} tensors ({names})"
        )
    if config is not None:
        candidates = [each for each in candidates if not _differences(config, each)][:1] or candidates
    if len(candidates) > 1:
        listed = " or ".join(describe(candidate) for candidate in candidates)
        raise InputError(f"{source} could be {listed}: save the weights of one network to a file of its own")
    return candidates[0]


def describe(architecture: Architecture) -> str:
    """Such as 'EDVR, 64 channels, 10 reconstruction blocks, 5 frames, with TSA, x4'."""
    return f"{architecture.family}, {architecture.summary}"


def check_matches(config: CfgNode, architecture: Architecture, source: str = "the checkpoint") -> None:
    """Raises `InputError` naming the keys in which a configuration differs from a checkpoint's network."""
    differences = _differences(config, architecture)
    if differences:
        raise InputError(
            f"{source} is {describe(architecture)}, and the configuration is of another network: "
            + "; ".join(differences)
        )


def _differences(config: CfgNode, architecture: Architecture) -> list[str]:
    """The keys in which a configuration is not of this network, each with both values."""
    differences = []
    for key, value in architecture.settings.items():
        configured = config
        for part in key.split("."):
            configured = configured[part]
        if configured != value:
            differences.append(f"{key} is {configured}, not {value}")
    return differences


def flow_weights(state_dict: Mapping[str, np.ndarray], source: str) -> tuple[Card, dict[str, np.ndarray]]:
    """The flow network in a checkpoint, and its weights under its own names.

    The checkpoint is of a flow network alone, or of a restoring network that has one. Raises `InputError`, naming
    `source`, for others.
    """
    for prefix in ("", *(prefix for card in CARDS for prefix in card.flow_prefixes)):
        inside = {name.removeprefix(prefix): array for name, array in state_dict.items() if name.startswith(prefix)}
        for card in CARDS:
            weights = {with_own_prefix(name, card.renamed): array for name, array in inside.items()}
            if card.kind == "flow" and card.mark[0] in weights:
                return card, weights
    names = ", ".join(list(state_dict)[:3])
    raise InputError(
        f"{source} holds no flow network that is known here: it has {len(state_dict)} tensors ({names}, ...)"
    )
