"""Every network, as small as it can be: what tests of exports build."""

import keras
import numpy as np

from ascendvsr.config import load_config
from ascendvsr.deployment.serving import frames_of_a_call
from ascendvsr.models import card_named
from ascendvsr.models.builder import build_model
from tests.networks import tame
from tests.support import TINY_CDVD_TSP, TINY_EDVR, TINY_PVDNET

_RVRT = {
    "model.name": "RVRT",
    "model.scale": 1,
    "model.num_frames": 2,
    "rvrt.num_blocks": [1, 1, 1],
    "rvrt.depths": [2, 2, 2],
    "rvrt.embed_dims": [24, 24, 24],
    "rvrt.num_heads": [2, 2, 2],
    "rvrt.deformable_groups": 4,
    "rvrt.attention_heads": 4,
}
_DEBLUR = {"model.scale": 1, "model.num_frames": 3, "deblur_devil.num_feat": 8}

# name -> settings
SMALL = {
    "EDVR": {"model.name": "EDVR"} | TINY_EDVR,
    "RVRT": _RVRT,
    "CDVDTSP": TINY_CDVD_TSP | {"model.num_frames": 3},
    "PVDNet": TINY_PVDNET,
    "DBN": {"model.name": "DBN"} | _DEBLUR,
    "FlowDBN": {"model.name": "FlowDBN"} | _DEBLUR,
    "BasicVSR": {
        "model.name": "BasicVSR",
        "model.num_frames": 2,
        "basicvsr.num_feat": 8,
        "basicvsr.num_block": 1,
    },
    **{name: {"model.name": name} for name in ("SpyNet", "PWCNet", "PWCNetDevil", "FlowNet1S", "BIMNet")},
}


def built(name: str) -> tuple:
    """The card, the network and the frames of a call: with flows, offsets and outputs that are not all alike."""
    keras.utils.set_random_seed(0)
    cfg = load_config(settings=SMALL[name])
    card, model = card_named(cfg.model.name), build_model(cfg)
    random = np.random.default_rng(0)
    for variable in model.variables:
        if not np.any(np.asarray(variable)):
            variable.assign(0.02 * random.standard_normal(variable.shape))
    if name in ("DBN", "FlowDBN"):
        tame(model)
    return card, model, frames_of_a_call(cfg, card, model)
