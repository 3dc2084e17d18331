"""The card of PVDNet."""

from typing import Any

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import flag, integer, path, word
from ascendvsr.models.card import IMPLEMENTATIONS, Card
from ascendvsr.models.pvdnet.weights import detect
from ascendvsr.models.pvdnet.zoo import ZOO

SETTINGS = {
    "num_blocks": integer(12, "residual blocks; large: 24, of 192 channels", high=1000),
    "channels": integer(128, "channels of the features at a quarter of the size", low=1, high=1024),
    "pv_ksize": integer(5, "side of the pixel volume, odd", low=1, high=31),
    "impl": word("auto", "implementation of the cost volumes of the BIMNet inside", IMPLEMENTATIONS),
    "bimnet_checkpoint": path("", "weights that the second stage takes BIMNet from: of a BIMNet, or of a PVDNet"),
    "allow_untrained_bimnet": flag(False, "train on the motion of a BIMNet that has learned nothing"),
}


def arguments(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of `PVDNet`."""
    if cfg.pvdnet.pv_ksize % 2 == 0:
        raise InputError(f"pvdnet.pv_ksize is {cfg.pvdnet.pv_ksize}; it should be odd")
    options = ("num_blocks", "channels", "pv_ksize", "impl")
    return {name: cfg.pvdnet[name] for name in options} | {"size": cfg.model.size}


CARDS = (
    Card(
        name="PVDNet",
        title="PVDNet",
        kind="recurrent",
        network="ascendvsr.models.pvdnet.network:PVDNet",
        arguments=arguments,
        detect=detect,
        settings={"pvdnet": SETTINGS},
        zoo=ZOO,
        published_as=("", "module."),
        training="ascendvsr.models.pvdnet.training:PVDNetTraining",
        read_inputs="ascendvsr.models.pvdnet.inputs:read_inputs",
        # Every frame of a clip that has two neighbors gives one.
        updates_per_batch=lambda cfg: (cfg.data.clip_length or cfg.model.num_frames) - 2,
        protocol="pvdnet_paper",
        flow_prefixes=("BIMNet.",),
    ),
)
