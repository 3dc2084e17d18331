"""Settings of every network, as small as it can be: what tests of exports build."""

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
