"""Checkpoints of PVDNet, normal and large, and of BIMNet alone."""

from collections.abc import Mapping

import numpy as np

from ascendcv.utils.errors import InputError
from ascendvsr.weights.architecture import Architecture, Shapes

_WHOLE = "BIMNet."  # what BIMNet's names begin with inside PVDNet
_ALONE = ("moduleFeatures.", "moduleMatching.", "moduleSubpixel.", "moduleRegularization.")


def pvdnet(shapes: Shapes) -> list[Architecture]:
    """PVDNet with its BIMNet, or BIMNet alone."""
    if not any(name.startswith("PVDNet.") for name in shapes):
        if not any(name.startswith(_ALONE) for name in shapes):
            return []
        if shapes["moduleFeatures.moduleOne.0.weight"] != (32, 3, 7, 7):
            raise ValueError("another LiteFlowNet")
        return [Architecture("BIMNet", {"model.name": "BIMNet"}, "a LiteFlowNet")]
    if not holds_bimnet(shapes):
        raise KeyError("BIMNet.*, the flow network")
    channels = shapes["PVDNet.RB_end.0.weight"][0]
    blocks = len({name.split(".")[2] for name in shapes if name.startswith("PVDNet.RBs.")})
    candidates = shapes["PVDNet.PV_dec.0.weight"][1]
    ksize = round(candidates**0.5)
    if ksize**2 != candidates:
        raise ValueError("a pixel volume that is no square")
    settings = {
        "model.name": "PVDNet",
        "model.scale": 1,
        "pvdnet.num_blocks": blocks,
        "pvdnet.channels": channels,
        "pvdnet.pv_ksize": ksize,
    }
    return [
        Architecture("PVDNet", settings, f"{blocks} blocks of {channels} channels, pixel volume {ksize}x{ksize}")
    ]


def holds_bimnet(names: Mapping) -> bool:
    """Whether these are names of a PVDNet with its BIMNet."""
    return any(name.startswith(_WHOLE) for name in names)


def bimnet_weights(state_dict: Mapping[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    """BIMNet's weights under its own names, from a file of BIMNet alone or of PVDNet as a whole.

    Raises `InputError`, naming `source`, for the weights of anything else.
    """
    inside = {name.removeprefix(_WHOLE): array for name, array in state_dict.items() if name.startswith(_WHOLE)}
    weights = inside or dict(state_dict)
    if not weights or not all(name.startswith(_ALONE) for name in weights):
        raise InputError(
            f"pvdnet.bimnet_checkpoint {source} holds no BIMNet: it should be the weights of a BIMNet, or of a "
            "PVDNet with its BIMNet"
        )
    return weights
