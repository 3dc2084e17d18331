"""The same 2-D convolution for every frame of a clip."""

import keras
from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.ops.conv2d import check, conv2d, finish


@serializable("ascendcv")
class FrameConv(keras.Layer):
    """Convolution of clips with kernels of one frame, padded with zeros on all sides alike.

    Args:
        filters: output channels.
        kernel_size: side of the kernel, odd.
        stride: in space.
        groups: as in torch.nn.Conv3d.
        activation: None, 'relu', or the slope (0 to 1) of a leaky ReLU below 0.
        residual_place: whether `call`'s residual is added 'before' or 'after' the activation.

    `call(clip, residual=None)`: [N, T, H, W, C] -> [N, T, Ho, Wo, filters] in the layer's compute dtype; the
    residual is shaped as the result. Weights: `kernel` [1, k, k, C / groups, filters], which is torch.nn.Conv3d's
    of size (1, k, k), and `bias` [filters]; both start uniform in +-1 / sqrt(fan_in).

    >>> import numpy as np
    >>> from ascendcv.layers import FrameConv
    >>> tuple(FrameConv(5)(np.ones((1, 2, 6, 8, 4), "float32")).shape)
    (1, 2, 6, 8, 5)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        kernel_initializer=None,
        bias_initializer=None,
        activation: str | float | None = None,
        residual_place: str = "before",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check(activation, residual_place)
        self.filters = filters
        self.kernel_size = kernel_size
        self.stride = stride
        self.groups = groups
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.activation = activation
        self.residual_place = residual_place

    def build(self, clip_shape, residual_shape=None):
        channels = clip_shape[-1] // self.groups
        limit = (channels * self.kernel_size**2) ** -0.5
        uniform = keras.initializers.RandomUniform(-limit, limit)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(1, self.kernel_size, self.kernel_size, channels, self.filters),
            initializer=self.kernel_initializer or uniform,
            autocast=False,
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.filters,), initializer=self.bias_initializer or uniform, autocast=False
        )

    def compute_output_shape(self, clip_shape, residual_shape=None):
        batch, count, *sides, _ = clip_shape
        return (batch, count, *(side and (side - 1) // self.stride + 1 for side in sides), self.filters)

    def call(self, clip, residual=None):
        batch, count, height, width, channels = ops.shape(clip)
        frames = ops.reshape(ops.cast(clip, self.compute_dtype), (batch * count, height, width, channels))
        if residual is not None:
            residual = ops.reshape(residual, (-1, *ops.shape(residual)[2:]))
        kernel, bias = ops.cast(self.kernel[0], self.compute_dtype), ops.cast(self.bias, self.compute_dtype)
        after = {"activation": self.activation, "residual": residual, "residual_place": self.residual_place}
        if self.kernel_size in (3, 5) and self.stride == self.groups == 1:
            y = conv2d(frames, kernel, bias, **after)
        else:
            y = finish(self._convolved(frames, kernel), bias, **after)
        return ops.reshape(y, (batch, count, *ops.shape(y)[1:]))

    def _convolved(self, frames, kernel):
        mode = "same"
        if self.stride > 1:  # where 'same' would pad the end only
            side = self.kernel_size // 2
            frames, mode = ops.pad(frames, ((0, 0), (side, side), (side, side), (0, 0))), "valid"
        # Group by group: on CPUs Keras leaves a grouped convolution to XLA, which takes several times as long.
        pairs = zip(ops.split(frames, self.groups, -1), ops.split(kernel, self.groups, -1), strict=True)
        y = [ops.conv(x, kernel, self.stride, mode, "channels_last") for x, kernel in pairs]
        return ops.concatenate(y, axis=-1) if self.groups > 1 else y[0]
