"""Resizing, shuffling and pooling: sizes, constants, gradients, unknown shapes."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.ops import registry
from ascendcv.ops.pool import avg_pool2d, max_pool2d
from ascendcv.ops.resize import resize, resize_flow, resize_matlab
from ascendcv.ops.shuffle import pixel_shuffle, pixel_unshuffle
from tests.ascendcv.ops.gradients import assert_gradients_match

METHODS = [("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True)]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(*[st.integers(1, 9)] * 4, st.sampled_from(METHODS))
def test_any_size_becomes_any_other_and_constants_stay(height, width, new_height, new_width, method):
    x = np.full((1, height, width, 2), 0.7, np.float32)
    y = resize(x, (new_height, new_width), method=method[0], align_corners=method[1])
    assert y.shape == (1, new_height, new_width, 2)
    np.testing.assert_allclose(y, 0.7, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_size_changes_nothing(method):
    x = random(1, 5, 6, 2)
    np.testing.assert_allclose(resize(x, (5, 6), method=method[0], align_corners=method[1]), x, atol=1e-6)


def test_aligned_corners_keep_the_corners():
    x = random(1, 4, 5, 1)
    y = resize(x, (7, 9), align_corners=True)
    np.testing.assert_allclose(y[:, ::6, ::8], x[:, ::3, ::4], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_those_of_the_function(method):
    x = np.random.default_rng(1).standard_normal((1, 3, 4, 2))
    assert_gradients_match(lambda x: resize(x, (5, 2), method=method[0], align_corners=method[1]), [x])


@pytest.mark.skipif(registry.available("resize_bilinear")["fused"] is not None, reason="not served here")
@settings(max_examples=25, deadline=None)
@given(*[st.integers(1, 9)] * 4, st.booleans())
def test_tensorflows_own_operation_computes_and_differentiates_the_same(
    height, width, new_height, new_width, align_corners
):
    x, upstream = tf.constant(random(2, height, width, 3)), random(2, new_height, new_width, 3, seed=1)
    results = []
    for impl in ("tf", "fused"):
        with registry.implementation(impl), tf.GradientTape() as tape:
            tape.watch(x)
            y = resize(x, (new_height, new_width), align_corners=align_corners)
        results.append((y, tape.gradient(y, x, upstream)))
    for composed, own in zip(*results, strict=True):
        np.testing.assert_allclose(own, composed, atol=5e-6)


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("method", METHODS)
def test_unknown_sizes_in_a_graph(method, compiled):
    def double(x):
        shape = tf.shape(x)
        return resize(x, (shape[1] * 2, shape[2] * 2), method=method[0], align_corners=method[1])

    x = random(2, 3, 5, 2)
    # XLA fixes sizes when it compiles.
    spec = tf.TensorSpec([2, 3, 5, 2] if compiled else [None, None, None, 2])
    function = tf.function(double, input_signature=[spec], jit_compile=compiled)
    np.testing.assert_allclose(function(x), double(x), atol=1e-6)


def test_a_flow_grows_with_its_image():
    flow = np.ones((1, 4, 6, 2), np.float32)
    y = resize_flow(flow, (8, 3))
    np.testing.assert_allclose(y[..., 0], 0.5)
    np.testing.assert_allclose(y[..., 1], 2.0)


@pytest.mark.parametrize("scale", [0.25, 0.5, 2, 4])
def test_matlab_resizing_equals_that_of_files(photograph, scale):
    from ascendcv.dataloader.degrade import imresize

    x = (photograph[:33, :46] / 255).astype(np.float32)
    np.testing.assert_allclose(resize_matlab(x[None], scale)[0], imresize(x, scale), atol=1e-5)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'bilinear' or 'bicubic'"):
        resize(random(1, 3, 3, 1), (2, 2), method="nearest")


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4))
def test_shuffling_and_back_is_the_identity(height, width, channels, scale):
    x = random(2, height, width, channels * scale * scale)
    np.testing.assert_array_equal(pixel_unshuffle(pixel_shuffle(x, scale), scale), x)


def test_channel_c_dy_dx_goes_to_its_pixel():
    x = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8)
    np.testing.assert_array_equal(pixel_shuffle(x, 2)[0, :, :, 0], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(pixel_shuffle(x, 2)[0, :, :, 1], [[4, 5], [6, 7]])


def test_pools_pad_both_sides_and_the_average_counts_the_padding():
    x = -np.ones((1, 4, 4, 1), np.float32)
    np.testing.assert_array_equal(max_pool2d(x)[0, :, :, 0], -np.ones((2, 2)))
    np.testing.assert_allclose(avg_pool2d(x)[0, :, :, 0], [[-4 / 9, -6 / 9], [-6 / 9, -1]], rtol=1e-6)
