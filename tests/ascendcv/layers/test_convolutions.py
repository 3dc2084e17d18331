"""What layers do after a convolution: activation and residual, in Conv2D and FrameConv alike."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.frame_conv import FrameConv
from ascendcv.layers.precision import computing_in
from ascendcv.ops import registry


def random(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(len(shape)).standard_normal(shape), tf.float32)


def activated(y, activation):
    if activation == "relu":
        return tf.nn.relu(y)
    return y if activation is None else tf.nn.leaky_relu(y, activation)


LAYERS = [
    (Conv2D, {"kernel_size": 3}),
    (Conv2D, {"kernel_size": 5, "use_bias": False}),
    (Conv2D, {"kernel_size": 1}),
    (Conv2D, {"kernel_size": 3, "stride": 2}),
    (Conv2D, {"kernel_size": 3, "dilation": 2, "groups": 2}),
    (Conv2D, {"kernel_size": 3, "dilation": 2}),
    (Conv2D, {"kernel_size": 5, "stride": 2}),
    (Conv2D, {"kernel_size": 3, "padding": 0}),
    (FrameConv, {"kernel_size": 3}),
    (FrameConv, {"kernel_size": 1}),
    (FrameConv, {"kernel_size": 3, "stride": 2}),
    (FrameConv, {"kernel_size": 3, "groups": 2}),
]


def pair(layer_class, options, **more):
    """A layer, one of the same weights with more options, and an input."""
    x = random(2, 6, 9, 16) if layer_class is Conv2D else random(2, 3, 6, 9, 16)
    plain, layer = layer_class(12, **options), layer_class(12, **options, **more)
    for each in (plain, layer):
        each.build(x.shape)
    layer.set_weights(plain.get_weights())
    return plain, layer, x


@pytest.mark.parametrize("activation", [None, "relu", 0.1])
@pytest.mark.parametrize(("layer_class", "options"), LAYERS)
def test_activation_and_residual_are_what_they_would_be_apart(layer_class, options, activation):
    plain, before, x = pair(layer_class, options, activation=activation)
    y = plain(x)
    residual = tf.sin(3 * tf.cast(tf.reshape(tf.range(tf.size(y)), y.shape), tf.float32))
    np.testing.assert_allclose(before(x), activated(y, activation), atol=1e-5)
    np.testing.assert_allclose(before(x, residual), activated(y + residual, activation), atol=1e-5)
    _, after, _ = pair(layer_class, options, activation=activation, residual_place="after")
    after.set_weights(plain.get_weights())
    np.testing.assert_allclose(after(x, residual), activated(y, activation) + residual, atol=1e-5)


@pytest.mark.parametrize("layer_class", [Conv2D, FrameConv])
def test_a_first_call_with_a_residual_builds_the_layer(layer_class):
    x = random(2, 6, 9, 16) if layer_class is Conv2D else random(2, 3, 6, 9, 16)
    assert layer_class(16)(x, residual=x).shape == x.shape
    assert layer_class(16)(x, x).shape == x.shape
    assert layer_class(16)(*[keras.KerasTensor(x.shape)] * 2).shape == x.shape


@pytest.mark.parametrize("layer_class", [Conv2D, FrameConv])
def test_configurations_bring_the_layer_back(layer_class):
    layer = layer_class(8, 3, activation=0.2, residual_place="after")
    again = layer_class.from_config(layer.get_config())
    assert (again.activation, again.residual_place) == (0.2, "after")
    with pytest.raises(ValueError, match="activation is 'gelu'"):
        layer_class(8, activation="gelu")


@pytest.mark.parametrize("layer_class", [Conv2D, FrameConv])
def test_the_compiled_kernel_serves_float32_and_mixed_precision_stays_tensorflows(layer_class):
    if registry.available("conv2d")["fused"] is not None:
        pytest.skip("there is no compiled kernel here")
    shape = (1, 6, 9, 16) if layer_class is Conv2D else (1, 2, 6, 9, 16)
    for dtype in ("float32", "bfloat16"):
        with computing_in(dtype):
            layer = layer_class(16, activation="relu")
        assert ("Ascendcv>Conv2D" in kinds(layer, shape)) == (dtype == "float32")
        assert layer(tf.ones(shape)).dtype == dtype


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "dilation": 2},
        {"kernel_size": 5, "dilation": 3, "use_bias": False},
        {"kernel_size": 5, "stride": 2},
    ],
)
@pytest.mark.parametrize("size", [(9, 13), (12, 12)])
def test_dilated_and_strided_convolutions_are_computed_by_the_kernel_too(options, size):
    """With the values and gradients of TensorFlow's; the graph says so."""
    if registry.available("conv2d")["fused"] is not None:
        pytest.skip("there is no compiled kernel here")
    layer, x = Conv2D(14, activation=0.1, **options), random(2, *size, 32)
    layer.build(x.shape)
    results = {}
    for impl in ("fused", "tf"):
        with registry.implementation(impl), tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            results[impl] = [y, *tape.gradient(y, [x, *layer.trainable_variables], tf.cos(y))]
    for fused, composed in zip(results["fused"], results["tf"], strict=True):
        np.testing.assert_allclose(fused, composed, atol=1e-5 * np.abs(composed).max())
    assert "Ascendcv>Conv2D" in kinds(layer, x.shape)
    unknown = tf.function(layer).get_concrete_function(tf.TensorSpec([None, None, None, 32]))
    np.testing.assert_allclose(unknown(x), results["fused"][0], atol=1e-6)


def test_where_most_of_a_tile_would_be_empty_dilated_convolutions_stay_tensorflows():
    layer = Conv2D(14, dilation=4)
    assert "Ascendcv>Conv2D" not in kinds(layer, (1, 11, 40, 12))
    with registry.implementation("tf"):
        assert "Ascendcv>Conv2D" not in kinds(layer, (1, 40, 40, 12))


def kinds(layer, shape) -> set[str]:
    """The types of the operations in the graph of a layer."""
    graph = tf.function(lambda x: layer(x)).get_concrete_function(tf.ones(shape)).graph
    return {operation.type for operation in graph.get_operations()}
