"""DBN: the published sizes, the options that the paper studies, any frame size, training and evaluation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.layers.precision import computing_in
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.deblur_devil.dbn import DBN, KernelInitializer
from ascendvsr.weights import load_state_dict, state_dict
from tests.ascendvsr.models.blurred_clips import clip_of, parameters
from tests.ascendvsr.models.clips import shaken

TINY = {"num_feat": 4}


@pytest.fixture(scope="module")
def tiny() -> DBN:
    keras.utils.set_random_seed(1)
    return shaken(DBN(**TINY), deviation=0.1)


@pytest.mark.parametrize(
    ("name", "count"),
    [pytest.param("dbn_128_5_nah", 15_300_409, marks=pytest.mark.slow), ("dbn_192_7_su", 15_313_639)],
)
def test_the_published_configurations_have_the_published_number_of_parameters(name: str, count: int):
    model = build_model(load_config(f"configs/deblur_devil/{name}.yaml"))
    assert parameters(model.trainable_variables) == count
    assert model.num_frame == int(name.split("_")[2])


@pytest.mark.parametrize(
    ("num_frame", "options"), [(3, {}), (5, {"output_layer": "sigmoid"}), (7, {"color_space": "ycbcr"})]
)
def test_every_option_restores_and_all_weights_learn(num_frame: int, options: dict, photograph):
    model = shaken(DBN(num_frame, **TINY, **options), deviation=0.1)
    clip = clip_of(photograph, frames=num_frame, batch=2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(clip, training=True) - 0.5 * clip[:, num_frame // 2]))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_weights), strict=True
    ):
        assert np.any(gradient), variable.path
    restored = model(clip)
    assert restored.shape == (2, 24, 32, 3)
    assert restored.dtype == tf.float32


def test_told_of_noise_it_restores_by_the_level_of_the_middle_frame(photograph):
    model = shaken(DBN(3, **TINY, nonblind_denoising=True), deviation=0.1)
    clip = clip_of(photograph, frames=3)
    level = np.zeros_like(clip[..., :1])
    level[:, 1] = 0.1
    told = np.concatenate([clip, level], axis=-1)
    restored = model(told)
    assert restored.shape == (*clip.shape[:1], *clip.shape[2:])
    assert np.abs(restored - model(np.concatenate([clip, 0 * level], axis=-1))).max() > 1e-4
    told[:, 0, ..., 3] = 0.5
    np.testing.assert_array_equal(model(told), restored)


def test_told_of_noise_it_computes_in_rgb():
    with pytest.raises(InputError, match="nonblind_denoising is for color_space rgb, not ycbcr"):
        DBN(3, **TINY, nonblind_denoising=True, color_space="ycbcr")
    settings = {"model.name": "DBN", "model.scale": 1, "deblur_devil.nonblind_denoising": True}
    with pytest.raises(InputError, match=r"deblur_devil\.color_space is ycbcr.*should be rgb"):
        build_model(load_config(settings=settings | {"deblur_devil.color_space": "ycbcr"}))


@pytest.mark.parametrize("num_frame", [1, 2, 4])
def test_a_window_needs_a_middle_frame(num_frame: int):
    with pytest.raises(InputError, match=f"num_frame is {num_frame}"):
        DBN(num_frame, **TINY)


@settings(max_examples=6, deadline=None)
@given(height=st.integers(1, 19), width=st.integers(1, 19), batch=st.integers(1, 2))
def test_any_size_is_taken(tiny, photograph, height: int, width: int, batch: int):
    restored = tiny(clip_of(photograph, height=height, width=width, batch=batch))
    assert restored.shape == (batch, height, width, 3)
    assert np.isfinite(restored).all()


def test_padding_repeats_the_last_row_and_column_and_cropping_cuts_them(tiny, photograph):
    clip = clip_of(photograph, height=13, width=18)
    padded = np.pad(clip, ((0, 0), (0, 0), (0, 3), (0, 6), (0, 0)), mode="edge")
    np.testing.assert_array_equal(tiny(clip), tiny(padded)[:, :13, :18])
    cropping = DBN(**TINY, size="crop")
    load_state_dict(cropping, state_dict(tiny))
    np.testing.assert_array_equal(cropping(clip), tiny(clip[:, :, :8, :16]))


def test_only_evaluation_clips(tiny, photograph):
    clip = clip_of(photograph, batch=2)
    trained, evaluated = tiny(clip, training=True), tiny(clip)
    assert tf.reduce_min(trained) < 0
    assert tf.reduce_max(trained) > 1
    assert tf.reduce_min(evaluated) >= 0
    assert tf.reduce_max(evaluated) <= 1


def without_residual(model: DBN) -> DBN:
    """The model whose last normalization gives zeros."""
    norm = model.dbn_net.f15[1]
    norm.gamma.assign(np.zeros(3))
    norm.beta.assign(np.zeros(3))
    return model


@pytest.mark.parametrize("color_space", ["rgb", "ycbcr"])
def test_the_network_adds_to_the_middle_frame(color_space: str, photograph):
    clip = clip_of(photograph)
    restored = without_residual(DBN(**TINY, color_space=color_space))(clip, training=True)
    np.testing.assert_allclose(restored, clip[:, 2], atol=1e-6)
    sigmoid = without_residual(DBN(**TINY, color_space=color_space, output_layer="sigmoid"))
    if color_space == "rgb":
        np.testing.assert_allclose(sigmoid(clip), 1 / (1 + np.exp(-clip[:, 2])), atol=1e-6)


def test_in_ycbcr_a_residual_of_chroma_leaves_gray_alone(photograph):
    model = without_residual(DBN(**TINY, color_space="ycbcr"))
    model.dbn_net.f15[1].beta.assign([0, 0.05, -0.03])
    clip = clip_of(photograph)
    gray = np.array([0.299, 0.587, 0.114], np.float32)
    restored = model(clip, training=True).numpy()
    assert np.abs(restored - clip[:, 2]).max() > 0.03
    np.testing.assert_allclose(restored @ gray, clip[:, 2] @ gray, atol=1e-5)


@pytest.mark.parametrize("init_type", ["fan_max", "fan_in", "fan_out"])
def test_kernels_begin_with_the_deviation_of_their_initialization(init_type: str):
    model = DBN(num_feat=16, init_type=init_type)
    for convolution, norm in (model.dbn_net.f0, model.dbn_net.f7, model.dbn_net.u1):
        values = keras.ops.convert_to_numpy(convolution.kernel)
        expected = KernelInitializer(init_type).deviation(values.shape)
        assert values.std() == pytest.approx(expected, rel=0.05)
        assert abs(values.mean()) < 0.1 * expected
        assert np.all(norm.gamma == 1)


def test_deviations_by_fan():
    """Of 64 -> 128 channels, 3x3, and of a transposed convolution 64 -> 32 channels, 4x4."""
    deviation = {name: KernelInitializer(name).deviation for name in ("fan_max", "fan_in", "fan_out")}
    assert deviation["fan_max"]((3, 3, 64, 128)) == pytest.approx((2 * 9 / 128) ** 0.5)
    assert deviation["fan_in"]((3, 3, 64, 128)) == pytest.approx((2 / (9 * 64)) ** 0.5)
    assert deviation["fan_out"]((3, 3, 64, 128)) == pytest.approx((2 / (9 * 128)) ** 0.5)
    assert deviation["fan_in"]((4, 4, 32, 64)) == pytest.approx((2 / (16 * 32)) ** 0.5)
    with pytest.raises(ValueError, match="fan_max"):
        KernelInitializer("fan_min")


def test_mixed_precision_computes_narrower_and_adds_in_float32(photograph):
    clip = clip_of(photograph)
    keras.utils.set_random_seed(2)
    full = DBN(**TINY, init_type="fan_in")
    with computing_in("bfloat16"):
        narrow = DBN(**TINY, init_type="fan_in")
    load_state_dict(narrow, state_dict(full))
    assert narrow.dbn_net.compute_dtype == "bfloat16"
    assert narrow(clip).dtype == tf.float32
    np.testing.assert_allclose(narrow(clip), full(clip), atol=0.05)
    np.testing.assert_array_equal(without_residual(narrow)(clip), clip[:, 2])


def test_a_model_is_rebuilt_from_its_configuration(tiny, photograph):
    again = DBN.from_config(tiny.get_config())
    load_state_dict(again, state_dict(tiny))
    clip = clip_of(photograph)
    np.testing.assert_array_equal(again(clip), tiny(clip))
