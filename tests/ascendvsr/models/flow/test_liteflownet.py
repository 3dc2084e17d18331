"""LiteFlowNet (BIMNet): size, initialization, features that are reused, any size, precision, gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.precision import computing_in
from ascendcv.ops.registry import implementation
from ascendvsr.models.flow.liteflownet import LiteFlowNet


@pytest.fixture(scope="module")
def network() -> LiteFlowNet:
    keras.utils.set_random_seed(0)
    return LiteFlowNet()


def pair_of(photograph: np.ndarray, height: int = 64, width: int = 96, batch: int = 1) -> tuple:
    """Two [batch, height, width, 3]: the second frame shows what is three pixels further right."""
    first, second = (
        np.stack([photograph[90 + n : 90 + n + height, left : left + width] for n in range(batch)])
        for left in (200, 203)
    )
    return first.astype(np.float32) / 255, second.astype(np.float32) / 255


def test_it_has_the_published_number_of_parameters(network):
    assert network.count_params() == 5_381_969


def test_it_starts_with_xavier_and_no_bias(network):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)), as the original initializes it."""
    kernel = np.asarray(network.moduleMatching[0].moduleMain[0].kernel)
    limit = np.sqrt(6 / (9 * 49 + 9 * 128))
    assert 0.98 * limit < np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    layers = [layer for layer in network._flatten_layers() if isinstance(layer, Conv2D)]
    assert len(layers) > 100
    assert not any(np.any(layer.bias) for layer in layers)


def test_features_of_a_frame_can_be_used_for_several_flows(network, photograph):
    first, second = pair_of(photograph)
    features = [network.features(frame) for frame in (first, second)]
    there, back = (network.flow_between(*pyramids, (64, 96)) for pyramids in (features, features[::-1]))
    np.testing.assert_allclose(there, network((first, second)), atol=1e-4)
    np.testing.assert_allclose(back, network((second, first)), atol=1e-4)


def test_a_batch_is_its_pairs_one_by_one(network, photograph):
    first, second = pair_of(photograph, 64, 64, batch=2)
    one_by_one = np.concatenate([network((first[n : n + 1], second[n : n + 1])) for n in range(2)])
    np.testing.assert_allclose(network((first, second)), one_by_one, atol=1e-3)


@settings(max_examples=3, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_any_size_is_taken(network, photograph, height, width):
    flow = network(pair_of(photograph, height, width))
    assert flow.shape == (1, height, width, 2)
    assert np.isfinite(flow).all()


def test_padding_repeats_the_last_row_and_column(network, photograph):
    first, second = pair_of(photograph, 50, 90)
    padded = [np.pad(frame, ((0, 0), (0, 14), (0, 6), (0, 0)), mode="edge") for frame in (first, second)]
    np.testing.assert_allclose(network((first, second)), network(padded)[:, :50, :90], atol=1e-4)


def test_all_weights_learn(network, photograph):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network(pair_of(photograph, 64, 64))))
    for variable, gradient in zip(
        network.trainable_variables, tape.gradient(loss, network.trainable_weights), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.any(gradient), variable.path


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_a_graph_for_unknown_sizes_gives_the_same(network, photograph, compiled):
    signature = [(tf.TensorSpec([None, None, None, 3]),) * 2]
    function = tf.function(lambda frames: network(frames), input_signature=signature, jit_compile=compiled)
    with implementation("tf"):
        for height, width in ((64, 64), (70, 41)):
            frames = pair_of(photograph, height, width)
            np.testing.assert_allclose(function(frames), network(frames), atol=1e-3)


@pytest.mark.slow
def test_mixed_precision_gives_a_float32_flow_close_to_the_whole(network, photograph):
    with computing_in("bfloat16"):
        narrow = LiteFlowNet()
    narrow.set_weights(network.get_weights())
    frames = pair_of(photograph)
    flow, whole = narrow(frames), network(frames)
    assert flow.dtype == "float32"
    assert 0 < np.abs(flow - whole).mean() < 0.1 * np.abs(whole).mean()


def test_networks_use_the_layers_of_this_project(network):
    for layer in network._flatten_layers():
        assert not type(layer).__module__.startswith("keras.src.layers.convolutional"), layer
