"""Pixel shuffle as a layer."""

import keras

from ascendcv.layers.saving import serializable
from ascendcv.ops.shuffle import pixel_shuffle


@serializable("ascendcv")
class PixelShuffle(keras.layers.Layer):
    """Channels become pixels: [N, H, W, C * scale²] -> [N, H * scale, W * scale, C].

    Channel c * scale² + dy * scale + dx goes to pixel (dy, dx), as in torch.nn.PixelShuffle.

    Args:
        scale: by how much height and width grow.

    >>> import numpy as np
    >>> from ascendcv.layers import PixelShuffle
    >>> np.squeeze(PixelShuffle(2)(np.arange(4, dtype="float32").reshape(1, 1, 1, 4))).tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """

    def __init__(self, scale: int = 2, **kwargs):
        super().__init__(**kwargs)
        if scale < 1:
            raise ValueError(f"scale is {scale}; it should be at least 1")
        self.scale = scale

    def build(self, x_shape):
        if x_shape[-1] % self.scale**2:
            raise ValueError(f"x has {x_shape[-1]} channels, which should be a multiple of {self.scale**2}")

    def compute_output_shape(self, x_shape):
        batch, *sides, channels = x_shape
        return (batch, *(side and side * self.scale for side in sides), channels // self.scale**2)

    def call(self, x):
        return pixel_shuffle(x, self.scale)
