"""CDVD-TSP: the published network, the cascade, any size, precision, and what a video's windows share."""

from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.dataloader.windows import window_indices
from ascendcv.layers.precision import computing_in
from ascendcv.ops.registry import implementation
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.cdvd_tsp.network import CDVDTSP, warped_inside
from tests.ascendvsr.models.clips import clip_of
from tests.support import TINY_CDVD_TSP

TINY = {"n_resblock": 1, "n_feat": 4}


@pytest.fixture(scope="module")
def tiny() -> CDVDTSP:
    """Five frames, with a flow of some pixels and weights of which none is zero."""
    keras.utils.set_random_seed(1)
    model = CDVDTSP(**TINY)
    rng = np.random.default_rng(0)
    for variable in model.recons_net.trainable_variables:
        variable.assign(variable + 0.02 * rng.standard_normal(variable.shape))
    model.flow_net.decoders["2"].estimator.conv_last.bias.assign([0.1, -0.05])  # of 20 pixels
    return model


@pytest.fixture(scope="module")
def one_stage(tiny) -> CDVDTSP:
    """Three frames, with the weights of `tiny`."""
    model = CDVDTSP(**TINY, n_sequence=3)
    model.set_weights(tiny.get_weights())
    return model


def test_the_published_variant_has_the_published_number_of_parameters():
    model = build_model(load_config("configs/cdvd_tsp/dvd_paper.yaml"))
    assert model.count_params() == 16_187_045
    assert (model.flow_net.count_params(), model.recons_net.count_params()) == (9_374_274, 6_812_771)


def test_a_cascade_is_one_stage_again_and_again(tiny, one_stage, photograph):
    clip = clip_of(photograph, batch=2)
    first, second = tiny.stages(clip)
    assert (len(first), len(second)) == (3, 1)
    for index, restored in enumerate(first):
        np.testing.assert_allclose(restored, one_stage(clip[:, index : index + 3]), atol=1e-5)
    np.testing.assert_allclose(second[0], one_stage(np.stack(first, axis=1)), atol=1e-5)
    np.testing.assert_array_equal(second[0], tiny(clip))


def test_seven_frames_are_three_stages(tiny, photograph):
    model = CDVDTSP(**TINY, n_sequence=7)
    model.set_weights(tiny.get_weights())
    clip = clip_of(photograph, frames=7)
    stages = model.stages(clip)
    assert [len(stage) for stage in stages] == [5, 3, 1]
    np.testing.assert_allclose(stages[1][0], tiny(clip[:, :5]), atol=1e-5)


def test_all_weights_learn_those_of_the_flow_network_too(one_stage, photograph):
    clip = clip_of(photograph, frames=3, height=64, width=64)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(one_stage(clip) - clip[:, 1]))
    variables = one_stage.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, [v.value for v in variables]), strict=True):
        assert gradient is not None, variable.path
        assert np.any(gradient), variable.path


@pytest.mark.parametrize("size", [(1, 1), (5, 23), (66, 18)])
def test_any_size_is_taken(one_stage, photograph, size):
    restored = one_stage(clip_of(photograph, frames=3, height=size[0], width=size[1], batch=2))
    assert restored.shape == (2, *size, 3)
    assert np.isfinite(restored).all()


def test_padding_repeats_the_last_row_and_column(one_stage, photograph):
    clip = clip_of(photograph, frames=3, height=13, width=18)
    padded = np.pad(clip, ((0, 0), (0, 0), (0, 3), (0, 2), (0, 0)), mode="edge")
    np.testing.assert_array_equal(one_stage(clip), one_stage(padded)[:, :13, :18])


def test_cropping_drops_what_the_original_could_not_take(one_stage, photograph):
    clip = clip_of(photograph, frames=3, height=13, width=18)
    whole = one_stage(clip[:, :, :12, :16])
    one_stage.size = "crop"
    try:
        np.testing.assert_array_equal(one_stage(clip), whole)
        with pytest.raises(InputError, match="side of 3 pixels"):
            one_stage(clip[:, :, :3])
    finally:
        one_stage.size = "pad"


def test_a_graph_for_unknown_sizes_gives_the_same(one_stage, photograph):
    function = tf.function(one_stage.call, input_signature=[tf.TensorSpec([None, 3, None, None, 3])])
    with implementation("tf"):
        for height, width in ((16, 20), (9, 66)):
            clip = clip_of(photograph, frames=3, height=height, width=width)
            np.testing.assert_allclose(function(clip), one_stage(clip), atol=1e-5)


@pytest.mark.slow
def test_xla_gives_the_same(tiny, photograph):
    with implementation("tf"):
        clip = clip_of(photograph)
        np.testing.assert_allclose(tf.function(tiny.call, jit_compile=True)(clip), tiny(clip), atol=1e-4)


def test_mixed_precision_gives_float32_frames_close_to_the_whole(one_stage, photograph):
    with computing_in("bfloat16"):
        narrow = CDVDTSP(**TINY, n_sequence=3)
    narrow.set_weights(one_stage.get_weights())
    clip = clip_of(photograph, frames=3)
    restored = narrow(clip)
    assert restored.dtype == "float32"
    assert all(weight.dtype == "float32" for weight in narrow.weights)
    assert 0 < np.abs(restored - one_stage(clip)).mean() < 0.02


def test_the_arguments_of_a_network_rebuild_it(one_stage):
    again = CDVDTSP.from_config(one_stage.get_config())
    assert again.num_frame == 3
    assert [w.shape for w in again.weights] == [w.shape for w in one_stage.weights]


@pytest.mark.parametrize(
    "arguments", [{"n_sequence": 4}, {"n_sequence": 9}, {"in_channels": 4}, {"out_channels": 1}]
)
def test_windows_and_frames_that_the_cascade_cannot_take_are_refused(arguments):
    with pytest.raises(ValueError, match=r"should be 3, 5 or 7|have 3 channels"):
        CDVDTSP(**arguments)


def test_a_configuration_of_four_frames_is_refused():
    config = load_config(settings=TINY_CDVD_TSP | {"model.num_frames": 4})
    with pytest.raises(InputError, match=r"model\.num_frames of CDVDTSP should be 3, 5 or 7, not 4"):
        build_model(config)


def test_networks_use_the_layers_of_this_project(one_stage):
    for layer in one_stage._flatten_layers():
        assert not type(layer).__module__.startswith("keras.src.layers.convolutional"), layer


def test_what_flow_brings_in_from_outside_is_black():
    frames = np.ones((1, 4, 6, 2), np.float32)
    flow = np.zeros((1, 4, 6, 2), np.float32)
    flow[0, :, 5, 0] = 0.5  # half a pixel beyond the right edge
    flow[0, 0, :, 1] = -0.0005  # next to nothing beyond the upper one
    warped, inside = warped_inside(frames, flow)
    expected = np.ones((1, 4, 6, 1), np.float32)
    expected[0, :, 5] = 0
    np.testing.assert_array_equal(inside, expected)
    np.testing.assert_allclose(warped, expected * frames, atol=1e-6)


# --- a video, window by window ------------------------------------------------------------------------------


def counting(calls: Counter):
    """What `stream` may wrap its functions in: it counts their calls."""

    def compiled(function):
        number = len(calls)
        calls[number] = 0

        def counted(*arguments):
            calls[number] += 1
            return function(*arguments)

        return counted

    return compiled


@pytest.mark.parametrize("ends", ["replicate", "reflection"])
def test_a_video_in_order_gives_what_its_windows_give(tiny, photograph, ends):
    video = clip_of(photograph, frames=6, height=18, width=21)
    restore_next, kept = tiny.stream(lambda function: function), {}
    for position in range(6):
        indices = window_indices(position, 6, 5, ends)
        window = video[:, indices]
        np.testing.assert_allclose(restore_next(indices, window, kept), tiny(window), atol=1e-5)


def test_windows_in_order_share_frames_flows_and_stages(tiny, photograph):
    video = clip_of(photograph, frames=8)
    calls = Counter()
    restore_next, kept = tiny.stream(counting(calls)), {}
    history = []
    for position in range(2, 6):
        before = calls.copy()
        indices = range(position - 2, position + 3)
        restore_next(indices, video[:, position - 2 : position + 3], kept)
        history.append([calls[number] - before[number] for number in (0, 1)])
    # Frames that are looked at (of the video, and restored ones), and frames that are restored.
    assert history == [[5 + 3, 3 + 1], [1 + 1, 1 + 1], [1 + 1, 1 + 1], [1 + 1, 1 + 1]]


def test_what_no_later_window_can_use_is_forgotten(tiny, photograph):
    video = clip_of(photograph, frames=10)
    calls = Counter()
    restore_next, kept = tiny.stream(counting(calls)), {}
    for first in (0, 5, 0):
        calls.update({0: -calls[0], 1: -calls[1]})
        restore_next(range(first, first + 5), video[:, first : first + 5], kept)
        assert [calls[0], calls[1]] == [8, 4]


def test_a_video_can_be_another_one_whose_frames_have_the_same_numbers(tiny, photograph):
    """One stream a video: what one knows, another does not."""
    clips = clip_of(photograph, batch=2)
    for clip in clips[:, None]:
        np.testing.assert_allclose(tiny.stream(lambda f: f)(range(5), clip, {}), tiny(clip), atol=1e-5)
