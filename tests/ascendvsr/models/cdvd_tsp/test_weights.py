"""Checkpoints of CDVD-TSP are recognized, and wrappers of PyTorch are seen through."""

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.models.detect import describe, detect
from ascendvsr.weights.reader import load_checkpoint

# Of the published checkpoints, what tells the network apart.
PUBLISHED = {
    "flow_net.moduleNetwork.moduleExtractor.moduleOne.0.weight": (16, 3, 3, 3),
    "recons_net.inBlock.0.0.weight": (32, 10, 5, 5),
    **{f"recons_net.inBlock.{number}.conv1.weight": (32, 32, 5, 5) for number in (1, 2, 3)},
    "recons_net.outBlock.3.weight": (3, 32, 5, 5),
}


def weights() -> dict[str, np.ndarray]:
    return {name: np.zeros(shape, np.float32) for name, shape in PUBLISHED.items()}


def test_channels_and_blocks_are_read_off_and_the_length_of_a_window_is_not():
    found = detect(weights())
    assert describe(found) == "CDVD-TSP, 32 channels, 3 residual blocks"
    assert found.settings == {
        "model.name": "CDVDTSP",
        "model.scale": 1,
        "cdvd_tsp.n_feat": 32,
        "cdvd_tsp.n_resblock": 3,
    }


def test_names_of_a_parallel_wrapper_are_seen_through(tmp_path):
    path = tmp_path / "wrapped.npz"
    np.savez(path, **{f"module.{name}": array for name, array in weights().items()})
    assert detect(load_checkpoint(path)).settings["model.name"] == "CDVDTSP"


def test_a_part_of_a_checkpoint_is_told_apart():
    part = weights()
    del part["recons_net.inBlock.0.0.weight"]
    with pytest.raises(
        InputError, match=r"holds a part of CDVD-TSP only: it lacks recons_net\.inBlock\.0\.0\.weight"
    ):
        detect(part)
