"""Transposed convolution with PyTorch's arithmetic and initialization."""

import keras
import numpy as np
from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.ops.conv2d import conv2d, kernel_serves
from ascendcv.ops.shuffle import pixel_shuffle


@serializable("ascendcv")
class Conv2DTranspose(keras.Layer):
    """2-D transposed convolution: the transpose of a convolution that pads all sides alike.

    Args:
        filters: output channels.
        kernel_size: side of the kernel.
        stride: how far apart the input's pixels come to lie.
        padding: rows and columns cut from all sides of the result.
        output_padding: rows and columns added at the bottom and right of it.
        groups: the output channels of group q come from the input channels of group q.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: None: PyTorch's, uniform in +-1 / sqrt(k * k * filters / groups).

    [N, H, W, C] -> [N, Ho, Wo, filters], Ho = (H - 1) * stride - 2 * padding + kernel_size + output_padding, in the
    layer's compute dtype. Weights: `kernel` [k, k, filters / groups, C] and `bias` [filters].

    >>> import numpy as np
    >>> from ascendcv.layers import Conv2DTranspose
    >>> tuple(Conv2DTranspose(5, 4, stride=2, padding=1)(np.ones((1, 6, 8, 4), "float32")).shape)
    (1, 12, 16, 5)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        output_padding: int = 0,
        groups: int = 1,
        use_bias: bool = True,
        kernel_initializer=None,
        bias_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.output_padding = output_padding
        self.groups = groups
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer

    def build(self, input_shape):
        filters = self.filters // self.groups
        limit = (filters * self.kernel_size**2) ** -0.5
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, filters, input_shape[-1]),
            initializer=self.kernel_initializer or keras.initializers.RandomUniform(-limit, limit),
            autocast=False,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer or keras.initializers.RandomUniform(-limit, limit),
                autocast=False,
            )

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape
        more = self.kernel_size - 2 * self.padding + self.output_padding
        return (batch, *(side and (side - 1) * self.stride + more for side in sides), self.filters)

    def call(self, x):
        x = ops.cast(x, self.compute_dtype)
        kernel = ops.cast(self.kernel, self.compute_dtype)
        # Where the size becomes exactly `stride` times the input's, phases of the output can be interleaved.
        exact = self.kernel_size - 2 * self.padding + self.output_padding == self.stride
        if exact and self.groups == self.filters == x.shape[-1]:
            y = self._depthwise(x, kernel)
        elif exact and self.kernel_size == 4 and self.stride == 2 and self.groups == 1 and self._kernel_serves(x):
            y = self._by_phases(x, kernel)
        else:
            inputs, kernels = ops.split(x, self.groups, axis=-1), ops.split(kernel, self.groups, axis=-1)
            parts = [self._transposed(*pair) for pair in zip(inputs, kernels, strict=True)]
            y = ops.concatenate(parts, axis=-1)
        return y + ops.cast(self.bias, self.compute_dtype) if self.use_bias else y

    def _transposed(self, x, kernel):
        y = ops.conv_transpose(x, kernel, self.stride, "valid", self.output_padding, "channels_last")
        _, height, width, _ = ops.shape(y)
        return y[:, self.padding : height - self.padding, self.padding : width - self.padding]

    def _kernel_serves(self, x):
        return kernel_serves(x.shape, (3, 3, x.shape[-1], 4 * self.filters), self.compute_dtype)

    def _by_phases(self, x, kernel):
        """Of size 4 and stride 2: a 3 x 3 convolution gives the four phases of the output.

        It multiplies by more than twice as many weights, most of them 0, and the compiled kernel of `conv2d` makes
        up for it and more.
        """
        batch, height, width, channels = ops.shape(x)
        kernel = self._phases(kernel)  # [rows, phase, columns, phase, filters, C]
        kernel = ops.reshape(ops.transpose(kernel, (0, 2, 5, 1, 3, 4)), (3, 3, channels, 4 * self.filters))
        y = ops.reshape(conv2d(x, kernel), (batch, height, width, 2, 2 * self.filters))
        return ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4)), (batch, 2 * height, 2 * width, self.filters))

    def _phases(self, kernel):
        """The kernels of the stride² phases: [2 reach + 1, stride, 2 reach + 1, stride, ...] of [k, k, ...].

        Output row q * stride + phase is the sum of x[q - d] * kernel[phase + padding + d * stride] over the d for
        which the kernel has such a row.
        """
        side, stride, padding = self.kernel_size, self.stride, self.padding
        first, last = -((stride - 1 + padding) // stride), (side - 1 - padding) // stride
        reach = max(-first, last)
        phases = range(stride)
        rows = [[phase + padding + d * stride for phase in phases] for d in range(reach, -reach - 1, -1)]
        # Rows that the kernel does not have are rows of zeros, before it and after it.
        before, after = max(0, -min(map(min, rows))), max(0, max(map(max, rows)) - side + 1)
        kernel = ops.pad(kernel, ((before, after), (before, after), *[(0, 0)] * (len(kernel.shape) - 2)))
        taps = np.array(rows) + before  # [2 * reach + 1, stride]
        return ops.take(ops.take(kernel, taps, axis=0), taps, axis=2)

    def _depthwise(self, x, kernel):
        """Every channel by itself: one depthwise convolution gives the stride² phases of the output."""
        kernel = ops.transpose(self._phases(kernel[:, :, 0]), (0, 2, 4, 1, 3))  # [rows, columns, C, phase, phase]
        kernel = ops.reshape(kernel, (*kernel.shape[:3], self.stride**2))
        return pixel_shuffle(ops.depthwise_conv(x, kernel, 1, "same", "channels_last"), self.stride)
