"""FlowDBN: prewarping by either flow network, which stays as it is; windows of a video share features."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.ops.warp import warp
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.deblur_devil.flowdbn import FlowDBN
from tests.ascendvsr.models.blurred_clips import clip_of, parameters
from tests.ascendvsr.models.clips import shaken

TINY = {"num_feat": 4, "num_frame": 3}


@pytest.fixture(scope="module", params=["pwcnet", pytest.param("flownet1s", marks=pytest.mark.slow)])
def tiny(request) -> FlowDBN:
    keras.utils.set_random_seed(3)
    model = shaken(FlowDBN(**TINY, prewarping=request.param, init_type="fan_in"), deviation=0.1)
    # So that flows of an untrained network are some pixels long.
    for variable in model.flow_network.variables:
        variable.assign(0.6 * variable)
    return model


def without_motion(model: FlowDBN) -> FlowDBN:
    for variable in model.flow_network.variables:
        variable.assign(tf.zeros_like(variable))
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "trainable", "total"),
    [
        ("flowdbn_pwcnet_128_5_nah", 15_326_869, 23_966_099),
        ("flowdbn_pwcnet_192_7_su", 15_353_329, 23_992_559),
        ("flowdbn_flownet1s_128_5_su", 15_326_869, 54_002_415),
        ("flowdbn_flownet1s_192_7_nah", 15_353_329, 54_028_875),
    ],
)
def test_the_published_configurations_have_the_published_number_of_parameters(name, trainable, total):
    model = build_model(load_config(f"configs/deblur_devil/{name}.yaml"))
    assert parameters(model.trainable_variables) == trainable
    assert trainable + parameters(model.flow_network.variables) == total


def test_neighbors_are_warped_onto_the_middle_frame_by_the_networks_flow(tiny, photograph):
    clip = clip_of(photograph, frames=3, batch=2, height=32, width=40)
    before, after = tiny.warped_neighbors([tiny.features(clip[:, t]) for t in range(3)])
    for warped, neighbor in ((before, clip[:, 0]), (after, clip[:, 2])):
        flow = tiny.flow_network((clip[:, 1], neighbor))
        assert np.abs(flow).max() > 0.2
        np.testing.assert_allclose(warped, warp(neighbor, flow, padding="border"), atol=1e-4)


@pytest.mark.parametrize("size", ["pad", "crop"])
def test_a_stream_restores_as_single_windows_do(tiny, photograph, request, size: str):
    tiny.size = size
    request.addfinalizer(lambda: setattr(tiny, "size", "pad"))
    video = clip_of(photograph, frames=4, height=19, width=34)
    restore_next, kept = tiny.stream(lambda function: function), {}
    for position in range(4):
        indices = [min(max(index, 0), 3) for index in range(position - 1, position + 2)]
        window = video[:, indices]
        np.testing.assert_allclose(restore_next(indices, window, kept), tiny(window), atol=1e-5)


def test_a_stream_computes_the_features_of_a_frame_once_and_forgets_them(tiny, photograph):
    video = clip_of(photograph, frames=6)
    calls = []

    def counting(function):
        def call(*arguments):
            calls.append(function.__name__)
            return function(*arguments)

        return call

    restore_next, kept = tiny.stream(counting), {}
    for position in range(6):
        indices = [min(max(index, 0), 5) for index in range(position - 1, position + 2)]
        restore_next(indices, video[:, indices], kept)
    assert (calls.count("features"), calls.count("restore")) == (6, 6)
    restore_next([0, 1, 2], video[:, :3], kept)
    assert calls.count("features") == 9


def test_the_flow_network_is_frozen(tiny, photograph):
    clip = clip_of(photograph, frames=3, batch=2)
    frozen = {id(variable) for variable in tiny.flow_network.variables}
    assert not frozen & {id(variable) for variable in tiny.trainable_variables}
    watched = [variable.value for variable in tiny.flow_network.variables]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(watched)
        loss = tf.reduce_sum(tf.square(tiny(clip, training=True)))
    assert all(gradient is None for gradient in tape.gradient(loss, watched))
    for gradient, variable in zip(tape.gradient(loss, tiny.trainable_weights), tiny.trainable_weights, strict=True):
        assert np.any(gradient), variable.path


def test_the_flow_network_has_one_mode(tiny, photograph):
    """Training does not change its flows: what is warped is the same."""
    clip = clip_of(photograph, frames=3)
    seen = []
    original = tiny.dbn_net.call

    def call(x, training=False):
        seen.append(x)
        return original(x, training=training)

    object.__setattr__(tiny.dbn_net, "call", call)
    try:
        tiny(clip, training=True)
        tiny(clip, training=False)
    finally:
        object.__delattr__(tiny.dbn_net, "call")
    np.testing.assert_array_equal(*seen)
    assert seen[0].shape[-1] == 3 * (2 * 3 - 1)


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (17, 8)])
def test_any_size_is_taken(tiny, photograph, shape):
    restored = tiny(clip_of(photograph, frames=3, height=shape[0], width=shape[1], batch=2))
    assert restored.shape == (2, *shape, 3)
    assert np.isfinite(restored).all()


def test_without_motion_it_sees_the_frames_twice(photograph):
    model = without_motion(FlowDBN(**TINY, init_type="fan_in"))
    clip = clip_of(photograph, frames=3)
    warped = model.warped_neighbors([model.features(clip[:, t]) for t in range(3)])
    np.testing.assert_allclose(warped, [clip[:, 0], clip[:, 2]], atol=1e-6)


def test_impossible_options_are_named():
    with pytest.raises(InputError, match="num_frame is 4"):
        FlowDBN(num_frame=4, num_feat=4)
    with pytest.raises(InputError, match=r"'spynet'.*pwcnet, flownet1s"):
        FlowDBN(prewarping="spynet", num_feat=4)
