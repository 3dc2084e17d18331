"""The card of BasicVSR. Its settings have the paper's names."""

from typing import Any

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import integer, number, path
from ascendvsr.models.basicvsr.weights import OF_MMAGIC, detect
from ascendvsr.models.basicvsr.zoo import ZOO
from ascendvsr.models.card import Card

SETTINGS = {
    "num_feat": integer(64, "channels of the features", low=1, high=4096),
    "num_block": integer(30, "residual blocks of each branch", low=1, high=1000),
    "spynet_checkpoint": path("", "weights that SpyNet begins with: spynet_sintel_final, or of a network with it"),
    "fix_flow": integer(5000, "SpyNet learns from this step on"),
    "flow_lr_mul": number(0.125, "at this part of the rate", high=1e6),
}


def arguments(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of `BasicVSR`."""
    if cfg.model.scale != 4:
        raise InputError(f"model.scale of BasicVSR should be 4, not {cfg.model.scale}")
    return {"num_feat": cfg.basicvsr.num_feat, "num_block": cfg.basicvsr.num_block}


CARDS = (
    Card(
        name="BasicVSR",
        title="BasicVSR",
        kind="clip",
        network="ascendvsr.models.basicvsr.network:BasicVSR",
        arguments=arguments,
        detect=detect,
        settings={"basicvsr": SETTINGS},
        zoo=ZOO,
        published_as=("params", ""),
        other_names=OF_MMAGIC,
        training="ascendvsr.models.basicvsr.training:BasicVSRTraining",
        read_inputs="ascendvsr.models.basicvsr.inputs:read_inputs",
        scale=lambda cfg: 4,
        smallest_tile=lambda cfg: 33,  # smaller frames are padded, and tiles of padding are not worth their time
        in_steps=True,
        flow_prefixes=("spynet.",),
    ),
)
