"""Deformable convolution whose offsets come from another feature map."""

from typing import Any

import keras
from keras import ops

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.saving import serializable
from ascendcv.ops.deform_conv import deform_conv2d


@serializable("ascendcv")
class DCNv2Pack(keras.Layer):
    """Modulated deformable convolution with its own convolution for offsets and mask.

    Args:
        filters: output channels.
        kernel_size, stride, padding, dilation: of both convolutions.
        deformable_groups: groups of input channels with offsets of their own.
        impl: which implementation of the operation (see `ascendcv.ops.registry`).

    `call(x, feat)`: samples `x` [N, H, W, C] by offsets from `feat` [N, H, W, C']; gives [N, Ho, Wo, filters].
    Offsets and mask are computed in float32, whatever the layer's compute dtype. `conv_offset` starts at 0, so that
    a fresh layer is half a plain convolution.

    Source: BasicSR `DCNv2Pack`; weights `weight`, `bias`, `conv_offset.weight`, `conv_offset.bias`.

    >>> import numpy as np
    >>> from ascendcv.layers import DCNv2Pack
    >>> tuple(DCNv2Pack(5, deformable_groups=2)(*np.ones((2, 1, 6, 8, 4), "float32")).shape)
    (1, 6, 8, 5)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
        dilation: int = 1,
        deformable_groups: int = 1,
        impl: str = "auto",
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.grid: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
        self.deformable_groups = deformable_groups
        self.impl = impl
        self.offset_channels = 2 * deformable_groups * kernel_size**2
        self.conv_offset = Conv2D(
            self.offset_channels * 3 // 2,
            kernel_size,
            **self.grid,
            kernel_initializer="zeros",
            bias_initializer="zeros",
            dtype="float64" if self.compute_dtype == "float64" else "float32",
        )

    def build(self, x_shape, feat_shape):
        limit = (x_shape[-1] * self.kernel_size**2) ** -0.5
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, x_shape[-1], self.filters),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            autocast=False,
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros", autocast=False)
        self.conv_offset.build(feat_shape)

    def compute_output_shape(self, x_shape, feat_shape):
        return (*self.conv_offset.compute_output_shape(feat_shape)[:-1], self.filters)

    def call(self, x, feat):
        offset, mask = ops.split(self.conv_offset(feat), [self.offset_channels], axis=-1)
        return deform_conv2d(
            ops.cast(x, self.compute_dtype),
            offset,
            ops.cast(self.kernel, self.compute_dtype),
            ops.sigmoid(mask),
            ops.cast(self.bias, self.compute_dtype),
            **self.grid,
            deformable_groups=self.deformable_groups,
            impl=self.impl,
        )
