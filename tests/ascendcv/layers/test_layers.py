"""Convolution layers: padding, initialization, precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.deform_conv import DCNv2Pack


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("kernel_size", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (5, 2, 1), (3, 1, 2), (1, 1, 1)]
)
@pytest.mark.parametrize("height", [6, 7])
def test_a_convolution_pads_all_sides_alike(kernel_size, stride, dilation, height):
    layer, x = Conv2D(4, kernel_size, stride, dilation=dilation), random(2, height, 8, 3)
    y = layer(x)
    side = dilation * (kernel_size - 1) // 2
    padded = np.pad(x, ((0, 0), (side, side), (side, side), (0, 0)))
    expected = tf.nn.conv2d(padded, layer.kernel, stride, "VALID", dilations=dilation) + layer.bias
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_a_kernel_need_not_be_square():
    layer, x = Conv2D(4, (5, 1)), random(2, 6, 8, 3)
    y = layer(x)
    padded = np.pad(x, ((0, 0), (2, 2), (0, 0), (0, 0)))
    np.testing.assert_allclose(y, tf.nn.conv2d(padded, layer.kernel, 1, "VALID") + layer.bias, atol=1e-5)


def test_the_default_initialization_is_that_of_pytorch():
    keras.utils.set_random_seed(0)
    layer = Conv2D(64, 3)
    layer.build((None, None, None, 32))
    limit = 1 / np.sqrt(32 * 9)
    for weight in (layer.kernel, layer.bias):
        values = np.asarray(weight)
        assert abs(values).max() <= limit
        assert abs(values).max() > 0.9 * limit
    assert abs(np.asarray(layer.kernel).mean()) < 0.02 * limit


def test_a_fresh_deformable_convolution_is_half_a_plain_one():
    layer, x = DCNv2Pack(6, deformable_groups=2), random(1, 5, 6, 4)
    y = layer(x, random(1, 5, 6, 3))
    np.testing.assert_allclose(y, 0.5 * tf.nn.conv2d(x, layer.kernel, 1, "SAME"), atol=1e-5)
    assert not np.asarray(layer.bias).any()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_offsets_are_computed_in_float32_whatever_the_policy(policy):
    seen = []
    layer = DCNv2Pack(4, deformable_groups=2, dtype=policy)
    call = layer.conv_offset.call
    layer.conv_offset.call = lambda x: seen.append(call(x)) or seen[-1]
    y = layer(random(1, 5, 6, 4), tf.cast(random(1, 5, 6, 4), layer.compute_dtype))
    assert seen[0].dtype == "float32"
    assert y.dtype == layer.compute_dtype
    assert layer.kernel.dtype == "float32"


def test_a_float32_layer_inside_a_narrow_one_keeps_its_weights_whole():
    class Outer(keras.Layer):
        def __init__(self):
            super().__init__(dtype="mixed_bfloat16")
            self.inner = Conv2D(2, 1, dtype="float32")

        def call(self, x):
            return self.inner(x)

    outer = Outer()
    x = np.ones((1, 2, 2, 1), np.float32)
    y = outer(x)
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y[0, 0, 0], outer.inner.kernel[0, 0, 0] + outer.inner.bias)
