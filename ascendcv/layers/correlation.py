"""Cost volumes as a layer."""

import keras
from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.ops.correlation import correlation


@serializable("ascendcv")
class Correlation(keras.layers.Layer):
    """How well each pixel of one feature map matches those around the same place in another.

    Args:
        max_displacement: d, how far the layer looks, in (strided) pixels to each side.
        strides: s: only every s-th row and column of either map takes part.
        impl: which implementation of the operation (see `ascendcv.ops.registry`).

    `call(first, second)`, or `call([first, second])`: [N, H, W, C] twice -> [N, ceil(H / s), ceil(W / s),
    (2d + 1)²] in the layer's compute dtype: see `ascendcv.ops.correlation.correlation`.

    Source: PWC-Net (Sun et al., CVPR 2018).

    >>> import numpy as np
    >>> from ascendcv.layers import Correlation
    >>> first, second = np.ones((2, 1, 12, 16, 8), "float32")
    >>> tuple(Correlation(max_displacement=4)(first, second).shape)
    (1, 12, 16, 81)
    """

    def __init__(self, max_displacement: int = 4, strides: int = 1, impl: str = "auto", **kwargs):
        super().__init__(**kwargs)
        if max_displacement < 0 or strides < 1:
            raise ValueError(
                f"max_displacement is {max_displacement} and strides {strides}; they should be at least 0 and 1"
            )
        self.max_displacement = max_displacement
        self.strides = strides
        self.impl = impl

    def build(self, first_shape, second_shape=None):
        """Nothing: there are no weights."""

    def compute_output_shape(self, first_shape, second_shape=None):
        batch, *sides, _ = first_shape if second_shape is not None else first_shape[0]
        volume = (2 * self.max_displacement + 1) ** 2
        return (batch, *(side and -(-side // self.strides) for side in sides), volume)

    def call(self, first, second=None):
        if second is None:
            first, second = first
        first, second = (ops.cast(features, self.compute_dtype) for features in (first, second))
        return correlation(
            first, second, max_displacement=self.max_displacement, stride=self.strides, impl=self.impl
        )
