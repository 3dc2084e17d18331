"""The card of CDVD-TSP."""

from typing import Any

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import flag, integer, number, path, word
from ascendvsr.models.card import IMPLEMENTATIONS, Card
from ascendvsr.models.cdvd_tsp.weights import detect
from ascendvsr.models.cdvd_tsp.zoo import ZOO

SETTINGS = {
    "n_resblock": integer(3, "residual blocks at each place of the reconstruction network", high=1000),
    "n_feat": integer(32, "its channels at full size", low=1, high=512),
    "is_mask_filter": flag(True, "the sharpness prior compares means over 5x5 pixels"),
    "impl": word("auto", "implementation of the flow network's cost volumes", IMPLEMENTATIONS),
    "flow_checkpoint": path("", "weights that the flow network (PWC-Net) begins with: network-default.pytorch"),
    "loss_l1": number(1.0, "weight of the mean absolute error in the loss; 0: without", high=1e6),
    "loss_hem": number(2.0, "weight of hard example mining", high=1e6),
    "loss_ms_ssim": number(0.0, "weight of 1 - MS-SSIM: crops of at least 161 pixels a side", high=1e6),
    "loss_on": word("all", "what every stage restores, or the last frame alone", ("all", "final")),
}


def arguments(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of `CDVDTSP`."""
    if cfg.model.num_frames not in (3, 5, 7):
        raise InputError(f"model.num_frames of CDVDTSP should be 3, 5 or 7, not {cfg.model.num_frames}")
    options = ("n_resblock", "n_feat", "is_mask_filter", "impl")
    return {
        "n_sequence": cfg.model.num_frames,
        **{name: cfg.cdvd_tsp[name] for name in options},
        "size": cfg.model.size,
    }


CARDS = (
    Card(
        name="CDVDTSP",
        title="CDVD-TSP",
        kind="window",
        network="ascendvsr.models.cdvd_tsp.network:CDVDTSP",
        arguments=arguments,
        detect=detect,
        settings={"cdvd_tsp": SETTINGS},
        zoo=ZOO,
        training="ascendvsr.models.cdvd_tsp.training:CDVDTSPTraining",
        read_inputs="ascendvsr.models.cdvd_tsp.inputs:read_inputs",
        shares_frames=True,
        protocol="cdvd_tsp",
        flow_prefixes=("flow_net.moduleNetwork.",),
    ),
)
