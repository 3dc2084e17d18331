"""The cards of the flow networks. `ascendvsr flow` uses them, and restoring networks have them inside."""

from typing import Any

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import flag, number, path, word
from ascendvsr.models.card import IMPLEMENTATIONS, Card
from ascendvsr.models.flow.weights import by_mark
from ascendvsr.models.flow.zoo import BIMNET_ZOO, PWCNET_ZOO, SPYNET_ZOO

SETTINGS = {
    "div_flow": number(
        0.05,
        "PWCNetDevil, FlowNet1S: the unit of the network's output is a pixel divided by this",
        low=1e-6,
        high=1e6,
    ),
    "impl": word("auto", "implementation of cost volumes", IMPLEMENTATIONS),
    "train_dir": path("data/FlyingChairs_release/data", "FlyingChairs"),
    "train_split": path("", "FlyingChairs_train_val.txt: its training part only; '': all pairs"),
    "eval_dir": path("data/MPI-Sintel-complete", "Sintel: validation on training/clean"),
    "affine": flag(True, "change frames and flow by random affine maps"),
    "colors": flag(True, "change hue, gamma, brightness, contrast and saturation of both frames alike"),
}


def _liteflownet_arguments(cfg: CfgNode) -> dict[str, Any]:
    """Alone it is set by `flow.impl`; configurations of PVDNet's first stage say `pvdnet.impl`."""
    alone, inside = cfg.flow.impl, cfg.pvdnet.impl
    if "auto" not in (alone, inside) and alone != inside:
        raise InputError(
            f"flow.impl is {alone} and pvdnet.impl is {inside}, and both are of BIMNet: leave pvdnet.impl, which "
            "is of the BIMNet inside PVDNet, at auto"
        )
    return {"impl": inside if alone == "auto" else alone}


_SPYNET_MARK = ("basic_module.0.basic_module.0.weight", (32, 8, 7, 7))
_LITEFLOWNET_MARK = ("moduleFeatures.moduleOne.0.weight", (32, 3, 7, 7))
_PWCNET_MARK = ("moduleExtractor.moduleOne.0.weight", (16, 3, 3, 3))
_PWCNET_DEVIL_MARK = ("pwcnet_impl.feature_pyramid_extractor.convs.0.0.0.weight", (16, 3, 3, 3))
_FLOWNET1S_MARK = ("flownets.conv1.0.weight", (64, 6, 7, 7))
_FLOWNET1S_RENAMED = {"_flownets.": "flownets."}

SPYNET = Card(
    name="SpyNet",
    title="SpyNet",
    kind="flow",
    network="ascendvsr.models.flow.spynet:SpyNet",
    arguments=lambda cfg: {},
    detect=by_mark("SpyNet", _SPYNET_MARK, "six levels"),
    zoo=SPYNET_ZOO,
    mark=_SPYNET_MARK,
    flow_name="spynet",
)

LITEFLOWNET = Card(
    name="BIMNet",
    title="the LiteFlowNet of PVDNet (BIMNet)",
    aliases=("LiteFlowNet",),
    kind="flow",
    network="ascendvsr.models.flow.liteflownet:LiteFlowNet",
    arguments=_liteflownet_arguments,
    detect=by_mark("BIMNet", _LITEFLOWNET_MARK, "a LiteFlowNet"),
    training="ascendvsr.models.flow.bimnet_training:BIMNetTraining",
    read_inputs="ascendvsr.models.flow.inputs:check_bimnet",
    zoo=BIMNET_ZOO,
    mark=_LITEFLOWNET_MARK,
    flow_name="liteflownet",
)

PWCNET = Card(
    name="PWCNet",
    title="PWC-Net of CDVD-TSP",
    kind="flow",
    network="ascendvsr.models.flow.pwcnet:PWCNet",
    arguments=lambda cfg: {"impl": cfg.flow.impl},
    detect=by_mark("PWCNet", _PWCNET_MARK, "PWC-Net of CDVD-TSP"),
    settings={"flow": SETTINGS},
    training="ascendvsr.models.flow.training:FlowTraining",
    read_inputs="ascendvsr.models.flow.inputs:read_pairs",
    reads_clips=False,
    zoo=PWCNET_ZOO,
    mark=_PWCNET_MARK,
    flow_name="pwcnet",
    flow_prefixes=("moduleNetwork.",),  # of CDVD-TSP's own class around it
)

PWCNET_DEVIL = Card(
    name="PWCNetDevil",
    title="PWC-Net of deblur-devil",
    kind="flow",
    network="ascendvsr.models.flow.pwcnet_devil:PWCNetDevil",
    arguments=lambda cfg: {"div_flow": cfg.flow.div_flow, "impl": cfg.flow.impl},
    detect=by_mark("PWCNetDevil", _PWCNET_DEVIL_MARK, "PWC-Net of deblur-devil"),
    settings={"flow": SETTINGS},
    training="ascendvsr.models.flow.training:FlowTraining",
    read_inputs="ascendvsr.models.flow.inputs:read_pairs",
    reads_clips=False,
    mark=_PWCNET_DEVIL_MARK,
    flow_name="pwcnet",
)

FLOWNET1S = Card(
    name="FlowNet1S",
    title="FlowNetS of deblur-devil",
    kind="flow",
    network="ascendvsr.models.flow.flownet1s:FlowNet1S",
    arguments=lambda cfg: {"div_flow": cfg.flow.div_flow},
    detect=by_mark("FlowNet1S", _FLOWNET1S_MARK, "FlowNetS of deblur-devil", _FLOWNET1S_RENAMED),
    settings={"flow": SETTINGS},
    training="ascendvsr.models.flow.training:FlowTraining",
    read_inputs="ascendvsr.models.flow.inputs:read_pairs",
    reads_clips=False,
    mark=_FLOWNET1S_MARK,
    renamed=_FLOWNET1S_RENAMED,
    flow_name="flownet1s",
)

CARDS = (SPYNET, LITEFLOWNET, PWCNET, PWCNET_DEVIL, FLOWNET1S)
