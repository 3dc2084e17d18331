"""The same 2-D convolution for every frame of a clip."""

import keras
from keras import ops


class FrameConv(keras.Layer):
    """Convolution of clips with kernels of one frame, padded with zeros on all sides alike.

    Args:
        filters: output channels.
        kernel_size: side of the kernel, odd.
        stride: in space.
        groups: as in torch.nn.Conv3d.

    [N, T, H, W, C] -> [N, T, Ho, Wo, filters] in the layer's compute dtype. Weights: `kernel`
    [1, k, k, C / groups, filters], which is torch.nn.Conv3d's of size (1, k, k), and `bias` [filters]; both start
    uniform in +-1 / sqrt(fan_in).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        kernel_initializer=None,
        bias_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.stride = stride
        self.groups = groups
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer

    def build(self, input_shape):
        channels = input_shape[-1] // self.groups
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

    def call(self, clip):
        batch, count, height, width, channels = ops.shape(clip)
        frames = ops.reshape(ops.cast(clip, self.compute_dtype), (batch * count, height, width, channels))
        mode = "same"
        if self.stride > 1:  # where 'same' would pad the end only
            side = self.kernel_size // 2
            frames, mode = ops.pad(frames, ((0, 0), (side, side), (side, side), (0, 0))), "valid"
        kernel = ops.cast(self.kernel[0], self.compute_dtype)
        # Group by group: on CPUs Keras leaves a grouped convolution to XLA, which takes several times as long.
        pairs = zip(ops.split(frames, self.groups, -1), ops.split(kernel, self.groups, -1), strict=True)
        y = [ops.conv(x, kernel, self.stride, mode, "channels_last") for x, kernel in pairs]
        y = (ops.concatenate(y, axis=-1) if self.groups > 1 else y[0]) + ops.cast(self.bias, self.compute_dtype)
        return ops.reshape(y, (batch, count, *ops.shape(y)[1:]))
