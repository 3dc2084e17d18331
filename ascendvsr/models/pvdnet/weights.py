"""How checkpoints of PVDNet, normal and large, are recognized, and the BIMNet inside."""

from collections.abc import Mapping

from ascendvsr.models.card import Architecture, Shapes

BIMNET = "BIMNet."  # what BIMNet's names begin with inside PVDNet


def detect(shapes: Shapes) -> list[Architecture]:
    """PVDNet with its BIMNet."""
    if not any(name.startswith("PVDNet.") for name in shapes):
        return []
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
    return any(name.startswith(BIMNET) for name in names)
