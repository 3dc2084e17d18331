"""Checkpoints of DBN and FlowDBN are recognized, and those of flow networks find their place in FlowDBN."""

import json

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.detect import check_matches, describe, detect, flow_weights
from ascendvsr.weights.reader import load_checkpoint
from tests.support import PROJECT

VECTORS = PROJECT / "tests/golden/vectors/deblur_devil"


def published(case: str) -> dict[str, np.ndarray]:
    """A state dict with the published names and shapes that takes no memory."""
    shapes = json.loads((VECTORS / f"{case}.json").read_text())["state_dict"]
    return {name: np.broadcast_to(np.float32(0), shape) for name, (shape, _) in shapes.items()}


def with_channels(weights: dict[str, np.ndarray], channels: int) -> dict[str, np.ndarray]:
    """The same network for another number of input channels, as far as the first layer tells."""
    first = next(name for name in weights if name.endswith("f0.0.weight"))
    return weights | {first: np.broadcast_to(np.float32(0), (64, channels, 5, 5))}


@pytest.mark.parametrize(
    ("case", "channels", "settings"),
    [
        ("dbn_5f", 15, {"model.name": "DBN", "model.num_frames": 5}),
        ("dbn_5f", 27, {"model.name": "DBN", "model.num_frames": 9}),
        ("dbn_5f", 16, {"model.num_frames": 5, "deblur_devil.nonblind_denoising": True}),
        ("flowdbn_pwcnet_5f", 15, {"model.num_frames": 3, "deblur_devil.prewarping": "pwcnet"}),
        ("flowdbn_pwcnet_5f", 27, {"model.name": "FlowDBN", "model.num_frames": 5}),
        ("flowdbn_flownet1s_5f", 39, {"model.num_frames": 7, "deblur_devil.prewarping": "flownet1s"}),
    ],
)
def test_network_length_and_flow_network_are_recognized(case: str, channels: int, settings: dict):
    architecture = detect(with_channels(published(case), channels))
    found = architecture.settings
    assert settings.items() <= found.items()
    assert (found["model.scale"], found["deblur_devil.num_feat"]) == (1, 64)
    config = load_config(settings=found)
    check_matches(config, architecture)


def test_a_network_is_described_in_a_line():
    described = describe(detect(published("flowdbn_pwcnet_5f")))
    assert described == "FlowDBN, 5 frames, 64 channels, prewarping by pwcnet"


def test_files_of_the_framework_have_a_prefix(tmp_path):
    names = published("dbn_5f")
    np.savez(tmp_path / "dbn.npz", **{f"model.{name}": np.zeros(array.shape) for name, array in names.items()})
    assert load_checkpoint(tmp_path / "dbn.npz").keys() == names.keys()


@pytest.mark.parametrize("channels", [12, 24, 14])
def test_no_dbn_has_a_window_without_a_middle(channels: int):
    with pytest.raises(InputError, match="shapes that it never has"):
        detect(with_channels(published("dbn_5f"), channels), "weights.ckpt")


def test_another_length_than_the_weights_is_named():
    config = load_config("configs/deblur_devil/dbn_192_7_nah.yaml")
    with pytest.raises(InputError, match=r"weights\.ckpt is DBN, 5 frames.*model\.num_frames is 7, not 5"):
        check_matches(config, detect(published("dbn_5f")), "weights.ckpt")


def test_another_flow_network_than_the_weights_is_named():
    config = load_config("configs/deblur_devil/flowdbn_flownet1s_128_5_nah.yaml")
    with pytest.raises(InputError, match=r"deblur_devil\.prewarping is flownet1s, not pwcnet"):
        check_matches(config, detect(published("flowdbn_pwcnet_5f")), "weights.ckpt")


def test_a_flowdbn_without_its_flow_network_is_a_part_only():
    weights = {name: array for name, array in published("flowdbn_pwcnet_5f").items() if "dbn_net" in name}
    with pytest.raises(InputError, match=r"lacks flowdbn\.warping_network"):
        detect(weights)


def test_a_flow_network_is_no_flowdbn():
    warping = "flowdbn.warping_network.network."
    weights = published("flowdbn_pwcnet_5f")
    flow = {name.removeprefix(warping): array for name, array in weights.items() if name.startswith(warping)}
    config = load_config("configs/deblur_devil/flowdbn_pwcnet_128_5_nah.yaml")
    with pytest.raises(InputError, match=r"pwcnet\.ckpt is PWCNetDevil.*model\.name is FlowDBN"):
        check_matches(config, detect(flow, "pwcnet.ckpt"), "pwcnet.ckpt")


@pytest.mark.parametrize(
    ("case", "network", "begin"),
    [
        ("flowdbn_pwcnet_5f", "PWCNetDevil", "pwcnet_impl."),
        ("flowdbn_flownet1s_5f", "FlowNet1S", "flownets."),
        ("flowdbn_flownet1s_5f", "FlowNet1S", "_flownets."),  # as the published file has it
    ],
)
def test_prewarping_files_give_the_weights_of_flowdbns_flow_network(case: str, network: str, begin: str):
    warping = "flowdbn.warping_network.network."
    whole = published(case)
    expected = {name.removeprefix(warping) for name in whole if name.startswith(warping)}
    start = begin.removeprefix("_")
    alone = {begin + name.removeprefix(start): whole[warping + name] for name in expected}
    for weights in (alone, whole):
        card, named = flow_weights(weights, "flow.ckpt")
        assert (card.name, named.keys()) == (network, expected)
