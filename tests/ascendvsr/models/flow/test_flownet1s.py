"""FlowNet1S: its size, initialization, units, and any frame size."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendvsr.models.flow.flownet1s import FlowNet1S
from ascendvsr.weights.mapping import state_dict


@pytest.fixture(scope="module")
def network() -> FlowNet1S:
    keras.utils.set_random_seed(4)
    return FlowNet1S()


@pytest.fixture(scope="module")
def frames(photograph) -> np.ndarray:
    """[2, 1, 70, 90, 3]: two frames of a pan over the photograph."""
    return np.stack([photograph[90 + t : 160 + t, 200 + 2 * t : 290 + 2 * t] for t in range(2)])[
        :, None
    ] / np.float32(255)


def test_it_has_the_published_number_of_parameters(network):
    assert network.count_params() == 38_675_546


def test_kernels_begin_with_he_s_deviation_and_biases_at_zero(network):
    """PyTorch counts the fan_in of a transposed convolution on its second axis, which is the output's."""
    for name, array in state_dict(network).items():
        if name.endswith("bias"):
            assert not array.any()
        else:
            deviation = np.sqrt(2 / np.prod(array.shape[1:]))
            assert np.std(array) == pytest.approx(deviation, rel=6 / np.sqrt(2 * array.size)), name


def test_levels_are_from_a_64th_of_the_size_to_a_quarter_rounded_up(network, frames):
    levels = network.levels(tuple(frames))
    assert [tuple(level.shape[1:3]) for level in levels] == [(2, 2), (3, 3), (5, 6), (9, 12), (18, 23)]


def test_one_graph_takes_frames_of_any_size(network, frames):
    any_size = tf.TensorSpec((None, None, None, 3))
    graph = tf.function(lambda first, second: network((first, second)), input_signature=[any_size, any_size])
    for height, width in ((1, 1), (3, 65), (64, 64), (70, 33)):
        first, second = frames[:, :, :height, :width]
        flow = network((first, second))
        assert flow.shape == (1, height, width, 2)
        np.testing.assert_allclose(graph(first, second), flow, atol=1e-3)


def test_flow_is_in_pixels_of_the_full_size(network, frames):
    for variable in network.variables:
        variable.assign(np.zeros(variable.shape))
    network.predict_flow["2"].bias.assign([0.5, -0.25])
    expected = np.broadcast_to([10, -5], (1, 70, 90, 2))
    np.testing.assert_allclose(network(tuple(frames)), expected, rtol=1e-6)
