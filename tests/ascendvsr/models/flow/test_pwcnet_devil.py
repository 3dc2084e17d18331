"""PWC-Net of deblur-devil: its size, initialization, units, any frame size, and shared features."""

import keras
import numpy as np
import pytest

from ascendvsr.models.flow.pwcnet_devil import PWCNetDevil
from ascendvsr.weights.mapping import load_state_dict, state_dict
from tests.golden.case import Case
from tests.support import PROJECT


@pytest.fixture(scope="module")
def fresh() -> PWCNetDevil:
    keras.utils.set_random_seed(3)
    return PWCNetDevil()


@pytest.fixture(scope="module")
def initial(fresh) -> dict[str, np.ndarray]:
    return state_dict(fresh)


@pytest.fixture
def network(fresh, initial):
    """The network with weights by rule, with which flows are of a few pixels."""
    load_state_dict(fresh, Case(PROJECT / "tests/golden/vectors/deblur_devil/pwcnet.json").state_dict())
    return fresh


@pytest.fixture(scope="module")
def frames(photograph) -> np.ndarray:
    """[3, 70, 90, 3]: a pan over the photograph."""
    return np.stack([photograph[90 + t : 160 + t, 200 + 2 * t : 290 + 2 * t] for t in range(3)]) / np.float32(255)


def test_it_has_the_published_number_of_parameters(fresh):
    assert fresh.count_params() == 8_639_230


def test_kernels_begin_with_he_s_deviation_by_fan_in_and_biases_at_zero(initial):
    for name, array in initial.items():
        if name.endswith("bias"):
            assert not array.any()
        else:
            deviation = np.sqrt(2 / np.prod(array.shape[1:]))
            assert np.std(array) == pytest.approx(deviation, rel=6 / np.sqrt(2 * array.size)), name


def test_flow_is_in_pixels_of_the_full_size_at_every_level(network):
    for variable in network.variables:
        variable.assign(np.zeros(variable.shape))
    network.flow_estimators[-1].conv_last.bias.assign([0.5, -0.25])
    frame = np.zeros((1, 33, 50, 3), np.float32)
    np.testing.assert_allclose(network((frame, frame)), np.broadcast_to([10, -5], (1, 33, 50, 2)), rtol=1e-6)


def test_features_can_be_shared_between_flows(network, frames):
    pyramid = network.features(frames)
    reference = [keras.ops.repeat(level[1:2], 2, axis=0) for level in pyramid]
    others = [keras.ops.concatenate([level[:1], level[2:]]) for level in pyramid]
    together = network.flow_between(reference, others, frames.shape[1:3])
    alone = [network((frames[1:2], frames[t : t + 1])) for t in (0, 2)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-4)
    assert np.abs(together).mean() > 0.5


@pytest.mark.parametrize("size", [(1, 1), (3, 65), (70, 64)])
def test_frames_may_have_any_size(network, frames, size):
    height, width = size
    flow = network((frames[:1, :height, :width], frames[1:2, :height, :width]))
    assert flow.shape == (1, height, width, 2)
    assert np.isfinite(flow).all()
