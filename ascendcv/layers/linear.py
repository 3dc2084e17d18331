"""Fully connected layer with PyTorch's initialization."""

import keras
from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.ops.linear import linear


@serializable("ascendcv")
class Linear(keras.Layer):
    """x @ kernel + bias on the last axis, as torch.nn.Linear.

    [..., C] -> [..., units] in the layer's compute dtype, as one product of matrices whatever the rank. Weights:
    `kernel` [C, units] and `bias` [units], which start uniform in +-1 / sqrt(C).

    >>> import numpy as np
    >>> from ascendcv.layers import Linear
    >>> tuple(Linear(5)(np.ones((1, 6, 8, 4), "float32")).shape)
    (1, 6, 8, 5)
    """

    def __init__(self, units: int, use_bias: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.use_bias = use_bias

    def build(self, input_shape):
        channels = input_shape[-1]
        uniform = keras.initializers.RandomUniform(-(channels**-0.5), channels**-0.5)
        shape = (channels, self.units)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=uniform, autocast=False)
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer=uniform, autocast=False)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def call(self, x):
        return linear(ops.cast(x, self.compute_dtype), *self.weights_for(self.compute_dtype))

    def weights_for(self, dtype: str):
        """Kernel and bias (None without one) in `dtype`, as operations take them."""
        return ops.cast(self.kernel, dtype), ops.cast(self.bias, dtype) if self.use_bias else None
