"""Residual blocks."""

import keras
from keras import ops

from ascendcv.layers.conv import Conv2D


class ResidualBlockNoBN(keras.Layer):
    """x + conv2(relu(conv1(x))), without batch normalisation.

    Kernels start at a tenth of He's normal initialisation and biases at 0, so that a fresh block is nearly the
    identity. Source: BasicSR `ResidualBlockNoBN`.
    """

    def __init__(self, num_feat: int = 64, **kwargs):
        super().__init__(**kwargs)
        self.conv1 = Conv2D(num_feat, **_initialisation())
        self.conv2 = Conv2D(num_feat, **_initialisation())

    def build(self, input_shape):
        self.conv1.build(input_shape)
        self.conv2.build(input_shape)

    def call(self, x):
        return x + self.conv2(ops.relu(self.conv1(x)))


def _initialisation() -> dict:
    """A tenth of He's standard deviation is a hundredth of his variance, 2 / fan_in."""
    normal = keras.initializers.VarianceScaling(0.02, "fan_in", "untruncated_normal")
    return {"kernel_initializer": normal, "bias_initializer": "zeros"}
