"""Names that tests share beside the fixtures of conftest.py."""

import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent

# The backends of Keras other than TensorFlow, for `parametrize`.
BACKENDS = [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("jax", "torch")]

# Settings of an EDVR small enough for a test: x4, 5 frames, with TSA, 8 channels.
TINY_EDVR = {
    "edvr.mid_channels": 8,
    "edvr.num_deform_groups": 2,
    "edvr.num_blocks_extraction": 1,
    "edvr.num_blocks_reconstruction": 1,
}

# Of a CDVD-TSP: 5 frames, 4 channels. The flow network is always the published one.
TINY_CDVD_TSP = {"model.name": "CDVDTSP", "model.scale": 1, "cdvd_tsp.n_resblock": 1, "cdvd_tsp.n_feat": 4}

# Settings of an RVRT small enough for a test: x4, 12 channels.
TINY_RVRT = {
    "model.name": "RVRT",
    "model.num_frames": 4,
    "rvrt.num_blocks": [1, 1, 1],
    "rvrt.embed_dims": [12, 12, 12],
    "rvrt.num_heads": [2, 2, 2],
    "rvrt.deformable_groups": 2,
    "rvrt.attention_heads": 2,
}

# Of a PVDNet: 8 channels, clips of 4 frames in training. BIMNet is always the published one.
TINY_PVDNET = {
    "model.name": "PVDNet",
    "model.scale": 1,
    "model.num_frames": 4,
    "pvdnet.num_blocks": 1,
    "pvdnet.channels": 8,
}


def command_line(*arguments: object) -> list[str]:
    """`ascendvsr ARGUMENTS` as a list for a new process of this Python."""
    return [sys.executable, str(PROJECT / "tools/main.py"), *map(str, arguments)]
