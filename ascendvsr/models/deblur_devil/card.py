"""The cards of DBN and FlowDBN.

Their settings are what the paper studied, with what its released recipe uses as the default; the study as a whole
took DBN 3.15 dB up. Patch size, sequence length, schedule, photometric augmentation and prewarping are set
elsewhere: docs/deblur_devil.md lists all of it.
"""

from typing import Any

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import flag, integer, number, path, word
from ascendvsr.models.card import IMPLEMENTATIONS, Card
from ascendvsr.models.deblur_devil.weights import FLOW_PREFIX, detect_dbn, detect_flowdbn
from ascendvsr.models.deblur_devil.zoo import ZOO

SETTINGS = {
    "num_feat": integer(64, "channels at full size", low=1, high=1024),
    "output_layer": word("linear", "the last layer; sigmoid as in DBN before the study", ("linear", "sigmoid")),
    "init_type": word("fan_max", "how kernels begin", ("fan_max", "fan_in", "fan_out")),
    "identity_start": flag(False, "begin by adding nothing to the middle frame, for short runs"),
    "color_space": word("rgb", "in which the network computes; the released recipe stays in RGB", ("rgb", "ycbcr")),
    "nonblind_denoising": flag(False, "a fourth input channel of DBN is the standard deviation of the noise / 255"),
    "prewarping": word("pwcnet", "the flow network of FlowDBN, frozen", ("pwcnet", "flownet1s")),
    "flow_checkpoint": path("", "weights of that network, for training; FlowDBN's own weights contain it"),
    "div_flow": number(0.05, "the unit of that network's output is a pixel divided by this", low=1e-6, high=1e6),
    "impl": word("auto", "implementation of its cost volumes", IMPLEMENTATIONS),
}


def dbn_arguments(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of `DBN`."""
    if cfg.deblur_devil.nonblind_denoising and cfg.deblur_devil.color_space != "rgb":
        raise InputError(
            f"deblur_devil.color_space is {cfg.deblur_devil.color_space}: with deblur_devil.nonblind_denoising "
            "True it should be rgb"
        )
    return shared_arguments(cfg) | {"nonblind_denoising": cfg.deblur_devil.nonblind_denoising}


def shared_arguments(cfg: CfgNode) -> dict[str, Any]:
    """The arguments that `DBN` and `FlowDBN` have in common."""
    if cfg.model.num_frames < 3 or cfg.model.num_frames % 2 == 0:
        raise InputError(
            f"model.num_frames is {cfg.model.num_frames}: DBN and FlowDBN restore the middle one of 3, 5, 7, ... "
            "frames"
        )
    options = ("num_feat", "init_type", "output_layer", "color_space")
    return {
        "num_frame": cfg.model.num_frames,
        **{name: cfg.deblur_devil[name] for name in options},
        "size": cfg.model.size,
    }


def flowdbn_arguments(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of `FlowDBN`."""
    options = ("prewarping", "div_flow", "impl")
    return shared_arguments(cfg) | {name: cfg.deblur_devil[name] for name in options}


DBN = Card(
    name="DBN",
    published_as=("state_dict", "model."),
    title="DBN",
    kind="window",
    network="ascendvsr.models.deblur_devil.dbn:DBN",
    arguments=dbn_arguments,
    detect=detect_dbn,
    settings={"deblur_devil": SETTINGS},
    training="ascendvsr.models.deblur_devil.training:DBNTraining",
    read_inputs="ascendvsr.models.deblur_devil.inputs:check_noise",
    zoo=ZOO,
    channels=lambda cfg: 4 if cfg.deblur_devil.nonblind_denoising else 3,
    protocol="deblur_devil",
)

FLOWDBN = Card(
    name="FlowDBN",
    published_as=("state_dict", "model."),
    title="FlowDBN",
    kind="window",
    network="ascendvsr.models.deblur_devil.flowdbn:FlowDBN",
    arguments=flowdbn_arguments,
    detect=detect_flowdbn,
    settings={"deblur_devil": SETTINGS},
    training="ascendvsr.models.deblur_devil.training:FlowDBNTraining",
    read_inputs="ascendvsr.models.deblur_devil.inputs:read_inputs",
    shares_frames=True,
    protocol="deblur_devil",
    flow_prefixes=(FLOW_PREFIX,),
)

CARDS = (DBN, FLOWDBN)
