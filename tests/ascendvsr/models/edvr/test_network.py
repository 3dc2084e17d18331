"""EDVR: the published variants, any size, precision, gradients, and configurations."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.layers.precision import computing_in
from ascendcv.ops.registry import implementation
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.edvr.network import EDVR
from tests.ascendvsr.models.clips import clip_of, shaken

TINY = {"num_feat": 8, "deformable_groups": 2, "num_extract_block": 1, "num_reconstruct_block": 1}
VARIANTS = {
    "x4": {},
    "x4 without TSA": {"with_tsa": False},
    "x4 of blurred frames": {"with_predeblur": True},
    "deblurring": {"with_predeblur": True, "hr_in": True},
    "7 frames": {"num_frame": 7},
    "narrow at output size": {"num_hr_feat": 4},
    "the last frame": {"center_frame_idx": 4},
}
# Published checkpoints have so many parameters.
PARAMETERS = {
    "edvr_m_x4_sr_reds": 3_300_131,
    "edvr_m_x4_sr_reds_wotsa": 2_996_259,
    "edvr_l_x4_sr_vimeo90k": 20_699_363,
    "edvr_l_deblurcomp_reds": 23_602_019,
}


@pytest.fixture(scope="module")
def tiny() -> EDVR:
    keras.utils.set_random_seed(1)
    return shaken(EDVR(**TINY))


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_published_variants_have_the_published_number_of_parameters(name):
    model = build_model(load_config(f"configs/edvr/{name}.yaml"))
    assert model.count_params() == PARAMETERS[name]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_restores_and_all_its_weights_learn(variant, photograph):
    model = shaken(EDVR(**TINY, **VARIANTS[variant]))
    clip = clip_of(photograph, frames=model.num_frame, height=32, width=32)
    with tf.GradientTape() as tape:
        restored = model(clip)
        loss = tf.reduce_sum(tf.square(restored))
    assert restored.shape == (1, 32 * model.scale, 32 * model.scale, 3)
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_weights), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.any(gradient), variable.path


@settings(max_examples=12, deadline=None)
@given(height=st.integers(1, 23), width=st.integers(1, 23), batch=st.integers(1, 2))
def test_any_size_is_taken(tiny, photograph, height, width, batch):
    restored = tiny(clip_of(photograph, height=height, width=width, batch=batch))
    assert restored.shape == (batch, 4 * height, 4 * width, 3)
    assert np.isfinite(restored).all()


def test_padding_repeats_the_last_row_and_column(tiny, photograph):
    clip = clip_of(photograph, height=13, width=18)
    padded = np.pad(clip, ((0, 0), (0, 0), (0, 3), (0, 2), (0, 0)), mode="edge")
    np.testing.assert_array_equal(tiny(clip), tiny(padded)[:, : 4 * 13, : 4 * 18])


def test_cropping_drops_what_the_original_could_not_take(photograph):
    model = EDVR(**TINY, size="crop")
    clip = clip_of(photograph, height=13, width=18)
    np.testing.assert_array_equal(model(clip), model(clip[:, :, :12, :16]))
    with pytest.raises(InputError, match="side of 3 pixels"):
        model(clip[:, :, :3])


def test_a_batch_is_its_clips_one_by_one(tiny, photograph):
    clips = clip_of(photograph, batch=3)
    one_by_one = np.concatenate([tiny(clip[None]) for clip in clips])
    np.testing.assert_allclose(tiny(clips), one_by_one, atol=1e-5)


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_a_graph_for_unknown_sizes_gives_the_same(tiny, photograph, compiled):
    signature = [tf.TensorSpec([None, 5, None, None, 3])]
    function = tf.function(lambda clip: tiny(clip), input_signature=signature, jit_compile=compiled)
    with implementation("tf"):
        for height, width in ((16, 20), (9, 14)):
            clip = clip_of(photograph, height=height, width=width)
            np.testing.assert_allclose(function(clip), tiny(clip), atol=1e-5)


def test_mixed_precision_gives_float32_frames_close_to_the_whole(tiny, photograph):
    with computing_in("bfloat16"):
        narrow = EDVR(**TINY)
    narrow.set_weights(tiny.get_weights())
    clip = clip_of(photograph)
    restored = narrow(clip)
    assert restored.dtype == "float32"
    assert all(weight.dtype == "float32" for weight in narrow.weights)
    difference = np.abs(restored - tiny(clip))
    assert 0 < difference.mean() < 0.02


def test_the_arguments_of_a_network_rebuild_it(tiny):
    again = EDVR.from_config(tiny.get_config())
    assert [w.shape for w in again.weights] == [w.shape for w in tiny.weights]


def test_channels_that_the_groups_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="num_feat=10 should be a multiple of deformable_groups=8"):
        EDVR(num_feat=10)


def test_networks_use_the_layers_of_this_project(tiny):
    for layer in tiny._flatten_layers():
        assert not type(layer).__module__.startswith("keras.src.layers.convolutional"), layer


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 8, 8, 3), r"restores one of num_frame=5 frames, and a tensor of shape \(1, 3, 8, 8, 3\) has 3"),
        ((5, 8, 8, 3), r"takes frames \[N, T, H, W, C\], not a tensor of shape \(5, 8, 8, 3\)"),
    ],
)
def test_what_is_no_window_is_refused_with_both_numbers(shape: tuple[int, ...], message: str):
    network = EDVR(num_feat=8, deformable_groups=2, num_extract_block=1, num_reconstruct_block=1)
    with pytest.raises(ValueError, match=message):
        network(np.zeros(shape, np.float32))
