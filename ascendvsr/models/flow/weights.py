"""Checkpoints of flow networks: alone, or as the part of a restoring network."""

from collections.abc import Mapping

import numpy as np

from ascendcv.utils.errors import InputError
from ascendvsr.weights.architecture import Architecture, Shapes

# network -> a name that each of its checkpoints has, and how large that is
_MARKS = {
    "PWCNet": ("moduleExtractor.moduleOne.0.weight", (16, 3, 3, 3)),
    "PWCNetDevil": ("pwcnet_impl.feature_pyramid_extractor.convs.0.0.0.weight", (16, 3, 3, 3)),
    "FlowNet1S": ("flownets.conv1.0.weight", (64, 6, 7, 7)),
    "SpyNet": ("basic_module.0.basic_module.0.weight", (32, 8, 7, 7)),
    "LiteFlowNet": ("moduleFeatures.moduleOne.0.weight", (32, 3, 7, 7)),
}
_DESCRIPTIONS = {
    "PWCNet": "PWC-Net of CDVD-TSP",
    "PWCNetDevil": "PWC-Net of deblur-devil",
    "FlowNet1S": "FlowNetS of deblur-devil",
    "SpyNet": "SpyNet",
    "LiteFlowNet": "the LiteFlowNet of PVDNet (BIMNet)",
}

# What names begin with where a flow network is part of CDVD-TSP, FlowDBN, RVRT or PVDNet, and what the published
# FlowNet1S and CDVD-TSP's own class of PWC-Net put before them.
_PREFIXES = (
    "flow_net.moduleNetwork.",
    "moduleNetwork.",
    "flowdbn.warping_network.network.",
    "spynet.",
    "BIMNet.",
)
_RENAMED = {"_flownets.": "flownets."}


def flow(shapes: Shapes) -> list[Architecture]:
    """PWC-Net of either kind and FlowNet1S, alone. SpyNet and BIMNet are told with RVRT and PVDNet."""
    shapes = {_renamed(name): shape for name, shape in shapes.items()}
    found = _network(shapes)
    if found not in ("PWCNet", "PWCNetDevil", "FlowNet1S"):
        return []
    mark, shape = _MARKS[found]
    if shapes[mark] != shape:
        raise ValueError(f"another {found}")
    return [Architecture(found, {"model.name": found}, _DESCRIPTIONS[found])]


def flow_weights(state_dict: Mapping[str, np.ndarray], source: str) -> tuple[str, dict[str, np.ndarray]]:
    """The flow network in a checkpoint: what it is ('PWCNet', ...) and its weights under its own names.

    The checkpoint is of a flow network alone, or of a restoring network that has one. Raises `InputError`, naming
    `source`, for others.
    """
    for prefix in ("", *_PREFIXES):
        inside = {_renamed(name.removeprefix(prefix)): name for name in state_dict if name.startswith(prefix)}
        found = _network(inside)
        if found:
            return found, {new: state_dict[old] for new, old in inside.items()}
    names = ", ".join(list(state_dict)[:3])
    raise InputError(
        f"{source} holds no flow network that is known here: it has {len(state_dict)} tensors ({names}, ...)"
    )


def describe_flow(network: str) -> str:
    """A network's name in a message."""
    return _DESCRIPTIONS[network]


def _network(names: Mapping) -> str | None:
    return next((network for network, (mark, _) in _MARKS.items() if mark in names), None)


def _renamed(name: str) -> str:
    for published, ours in _RENAMED.items():
        if name.startswith(published):
            return ours + name.removeprefix(published)
    return name
