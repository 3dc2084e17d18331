"""What is known of a network from its checkpoint alone."""

from collections.abc import Mapping
from dataclasses import dataclass

Shapes = Mapping[str, tuple[int, ...]]

# Networks that estimate motion: `ascendvsr flow` uses them, and nothing restores frames with them alone.
FLOW_NETWORKS = ("BIMNet", "SpyNet", "PWCNet", "PWCNetDevil", "FlowNet1S")


@dataclass(frozen=True)
class Architecture:
    """A network: its family, the configuration keys that make it, and its description in a few words."""

    family: str
    settings: dict[str, object]
    summary: str
