"""Transposed convolution: what it computes, sizes, initialization."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.layers.conv_transpose import Conv2DTranspose
from ascendcv.ops import registry


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def by_definition(x: np.ndarray, layer: Conv2DTranspose) -> np.ndarray:
    """Every input pixel adds its value times the kernel to the output, `stride` pixels from its neighbor's."""
    kernel, side, stride, padding = np.asarray(layer.kernel), layer.kernel_size, layer.stride, layer.padding
    batch, height, width, channels = x.shape
    size = [(length - 1) * stride + side + layer.output_padding for length in (height, width)]
    y = np.zeros((batch, *size, layer.groups, layer.filters // layer.groups))
    for i, j, c in np.ndindex(height, width, channels):
        group = c * layer.groups // channels
        window = y[:, i * stride : i * stride + side, j * stride : j * stride + side, group]
        window += x[:, i, j, c, None, None, None] * kernel[:, :, :, c]
    y = y.reshape(batch, *size, layer.filters) + np.asarray(layer.bias)
    return y[:, padding : size[0] - padding, padding : size[1] - padding]


@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding", "output_padding", "groups"),
    [
        (4, 2, 1, 0, 1),
        (3, 2, 1, 1, 1),
        (3, 1, 1, 0, 2),
        (5, 3, 2, 2, 2),
        (2, 2, 0, 1, 1),
        (4, 2, 1, 0, 8),
        (3, 2, 1, 1, 8),
    ],
)
def test_it_is_what_the_definition_says(kernel_size, stride, padding, output_padding, groups):
    layer, x = Conv2DTranspose(8, kernel_size, stride, padding, output_padding, groups), random(2, 4, 5, 8)
    np.testing.assert_allclose(layer(x), by_definition(x, layer), atol=1e-5)


def test_the_default_initialization_is_that_of_pytorch():
    """Its fan_in counts the output channels of a transposed convolution."""
    keras.utils.set_random_seed(0)
    layer = Conv2DTranspose(128, 3, groups=2)
    layer.build((None, None, None, 64))
    limit = 1 / np.sqrt(64 * 9)
    for weight in (layer.kernel, layer.bias):
        assert 0.9 * limit < abs(np.asarray(weight)).max() <= limit


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_unknown_sizes_in_a_graph(compiled):
    layer = Conv2DTranspose(4, 3, 2, 1, 1)
    layer.build((None, None, None, 6))
    function = tf.function(lambda x: layer(x), jit_compile=compiled)
    function = function.get_concrete_function(tf.TensorSpec([None, None, None, 6]))
    for shape in ((1, 3, 5, 6), (2, 4, 2, 6)):
        x = tf.constant(random(*shape))
        np.testing.assert_allclose(function(x), layer(x), atol=1e-5)


def test_size_4_and_stride_2_are_a_convolution_of_phases_where_the_kernel_serves():
    """As the compiled kernel makes faster, with the same values and gradients; the layer says so by its graph."""
    if registry.available("conv2d")["fused"] is not None:
        pytest.skip("there is no compiled kernel here")
    layer, x = Conv2DTranspose(12, 4, 2, 1), tf.constant(random(2, 4, 5, 16))
    results = {}
    for impl in ("fused", "tf"):
        with registry.implementation(impl), tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            gradients = tape.gradient(y, [x, layer.kernel.value, layer.bias.value], tf.cos(y))
        results[impl] = [y, *gradients]
    for fused, composed in zip(results["fused"], results["tf"], strict=True):
        np.testing.assert_allclose(fused, composed, atol=1e-5 * np.abs(composed).max())
    np.testing.assert_allclose(results["fused"][0], by_definition(x.numpy(), layer), atol=1e-5)
    graph = tf.function(layer).get_concrete_function(x).graph
    assert "Ascendcv>Conv2D" in {operation.type for operation in graph.get_operations()}
