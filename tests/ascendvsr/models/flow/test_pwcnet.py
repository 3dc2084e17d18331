"""PWC-Net of CDVD-TSP: its size, units, any frame size, shared features, precision, and the published file."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.layers.precision import computing_in
from ascendvsr.models.flow.pwcnet import PWCNet
from ascendvsr.weights.mapping import load_weights, state_dict
from tests.ascendvsr.weights.torch_bytes import TorchFile
from tests.golden.case import Case
from tests.support import PROJECT


@pytest.fixture(scope="module")
def filled() -> dict[str, np.ndarray]:
    """Weights by rule, with which flows are of a few pixels."""
    return Case(PROJECT / "tests/golden/vectors/cdvd_tsp/model_pwc.json").state_dict()


@pytest.fixture(scope="module")
def published_file(filled, tmp_path_factory) -> Path:
    """What `network-default.pytorch` is: the names of the CuPy port in PyTorch's format before 1.6."""
    path = tmp_path_factory.mktemp("weights") / "network-default.pytorch"
    path.write_bytes(TorchFile().legacy(filled))
    return path


@pytest.fixture(scope="module")
def network(published_file) -> PWCNet:
    network = PWCNet()
    load_weights(network, published_file)
    return network


@pytest.fixture
def blank(network):
    """The network with a weight of zero everywhere but the bias of the finest flow: (0.5, -0.25)."""
    before = network.get_weights()
    for variable in network.variables:
        variable.assign(np.zeros(variable.shape))
    network.decoders["2"].estimator.conv_last.bias.assign([0.5, -0.25])
    yield network
    network.set_weights(before)


@pytest.fixture(scope="module")
def frames(photograph) -> np.ndarray:
    """[3, 70, 90, 3]: a pan over the photograph."""
    return np.stack([photograph[90 + t : 160 + t, 200 + 2 * t : 290 + 2 * t] for t in range(3)]) / np.float32(255)


def test_it_has_the_published_number_of_parameters_under_the_published_names(network, filled):
    assert network.count_params() == 9_374_274
    loaded = state_dict(network)
    assert loaded.keys() == filled.keys()
    assert all(np.array_equal(loaded[name], filled[name]) for name in filled)


def test_a_level_two_flow_of_one_means_twenty_pixels_of_the_resized_frames(blank):
    frame = np.zeros((1, 64, 64, 3), np.float32)
    np.testing.assert_allclose(blank((frame, frame)), np.broadcast_to([10, -5], (1, 64, 64, 2)), rtol=1e-6)
    smaller = frame[:, :48, :33]  # is enlarged to 64x64 and its flow shrunk
    expected = np.broadcast_to([10 * 33 / 64, -5 * 48 / 64], (1, 48, 33, 2))
    np.testing.assert_allclose(blank((smaller, smaller)), expected, rtol=1e-6)


def test_levels_are_from_a_64th_of_the_size_to_a_quarter(network, frames):
    levels = network.levels((frames[:1], frames[1:2]))
    assert [tuple(level.shape) for level in levels] == [
        (1, 2 * 2**k, 2 * 2**k, 2)
        for k in range(5)  # of 128x128
    ]


def test_features_can_be_shared_between_flows(network, frames):
    """One frame against two others: its pyramid is computed once, and both flows are estimated together."""
    pyramid = network.features(frames)
    reference = [keras.ops.repeat(level[1:2], 2, axis=0) for level in pyramid]
    others = [keras.ops.concatenate([level[:1], level[2:]]) for level in pyramid]
    together = network.flow_between(reference, others, frames.shape[1:3])
    alone = [network((frames[1:2], frames[t : t + 1])) for t in (0, 2)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-4)
    assert np.abs(together).mean() > 0.5


def test_one_graph_takes_frames_of_any_size(network, frames):
    any_size = tf.TensorSpec((None, None, None, 3))
    graph = tf.function(lambda first, second: network((first, second)), input_signature=[any_size, any_size])
    for height, width in ((1, 1), (3, 65), (64, 64)):
        pair = frames[:1, :height, :width], frames[1:2, :height, :width]
        flow = network(pair)
        assert flow.shape == (1, height, width, 2)
        np.testing.assert_allclose(graph(*pair), flow, atol=1e-4)


def test_flow_is_float32_under_mixed_precision(frames, published_file, network):
    with computing_in("bfloat16"):
        narrow = PWCNet()
    load_weights(narrow, published_file)
    pair = frames[:1], frames[1:2]
    flow, exact = narrow(pair), network(pair)
    assert flow.dtype == "float32"
    assert all(level.dtype == "float32" for level in narrow.levels(pair))
    assert 0 < np.abs(flow - exact).mean() < 0.1 * np.abs(exact).mean()
