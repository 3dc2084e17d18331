"""Residual blocks."""

import keras

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.saving import serializable


@serializable("ascendvsr")
class ResidualBlockNoBN(keras.Layer):
    """x + conv2(relu(conv1(x))), without batch normalization.

    Kernels start at a tenth of He's normal initialization and biases at 0, so that a fresh block is nearly the
    identity. Source: BasicSR `ResidualBlockNoBN`.
    """

    def __init__(self, num_feat: int = 64, **kwargs):
        super().__init__(**kwargs)
        self.conv1 = Conv2D(num_feat, activation="relu", **_initialization())
        self.conv2 = Conv2D(num_feat, **_initialization())

    def build(self, input_shape):
        self.conv1.build(input_shape)
        self.conv2.build(input_shape)

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, x):
        return self.conv2(self.conv1(x), residual=x)


def _initialization() -> dict:
    """A tenth of He's standard deviation is a hundredth of his variance, 2 / fan_in."""
    normal = keras.initializers.VarianceScaling(0.02, "fan_in", "untruncated_normal")
    return {"kernel_initializer": normal, "bias_initializer": "zeros"}
