"""Where an exported network is from: its checkpoint, its settings, and frames to prove it with."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from ascendvsr.config.schema import settings as all_settings
from ascendvsr.deployment.parity import noise, pictures
from ascendvsr.models import CARDS
from ascendvsr.models.card import Card
from ascendvsr.weights.cache import sha256_of


@dataclass(frozen=True)
class Origin:
    """Where an exported network is from, and frames to prove it with.

    Attributes:
        checkpoint: its file, sha256 and license; '' where unknown.
        settings: key -> value: what makes the network in a configuration.
        frames: [H, W, 3] float32 in [0, 1] each.
        content: what they are.
    """

    checkpoint: Mapping[str, str] = field(default_factory=lambda: {"file": "", "sha256": "", "license": ""})
    settings: Mapping[str, Any] = field(default_factory=dict)
    frames: Sequence[np.ndarray] = field(default_factory=lambda: [noise()])
    content: str = "1/f noise"


def origin_of(cfg: CfgNode, card: Card) -> Origin:
    """That of the network which a configuration makes, and whose weights its `checkpoint` has."""
    path = Path(cfg.checkpoint)
    sha256 = _hash(path) if cfg.checkpoint and path.exists() else ""
    licenses = {record.license for record in card.zoo if record.file == path.name}
    checkpoint = {"file": path.name, "sha256": sha256, "license": licenses.pop() if len(licenses) == 1 else ""}
    return Origin(checkpoint, _network_settings(cfg), *pictures(cfg))


def _network_settings(cfg: CfgNode) -> dict[str, Any]:
    """What a configuration says of its network, where it is not what all begin with."""
    sections = {"model", *(section for each in CARDS for section in each.settings)}
    told = {}
    for key, setting in all_settings().items():
        section, _, name = key.partition(".")
        if section in sections and name in cfg[section] and not setting.is_path and key != "model.name":
            value = cfg[section][name]
            if value != setting.default:
                told[key] = value
    return told


def _hash(path: Path) -> str:
    """The SHA-256 of a file; of a folder that of the names and hashes of its files."""
    if path.is_file():
        return sha256_of(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = "".join(f"{sha256_of(file)}  {file.relative_to(path)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
