"""Transposed convolution with PyTorch's arithmetic and initialisation."""

import keras
from keras import ops


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

    [N, H, W, C] -> [N, Ho, Wo, filters], Ho = (H - 1) * stride - 2 * padding + kernel_size + output_padding, in the
    layer's compute dtype. Weights: `kernel` [k, k, filters / groups, C] and `bias` [filters], which start as in
    torch.nn.ConvTranspose2d: uniform in +-1 / sqrt(k * k * filters / groups).
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

    def build(self, input_shape):
        filters = self.filters // self.groups
        limit = (filters * self.kernel_size**2) ** -0.5
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, filters, input_shape[-1]),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            autocast=False,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=keras.initializers.RandomUniform(-limit, limit),
                autocast=False,
            )

    def call(self, x):
        x = ops.cast(x, self.compute_dtype)
        kernel = ops.cast(self.kernel, self.compute_dtype)
        inputs, kernels = ops.split(x, self.groups, axis=-1), ops.split(kernel, self.groups, axis=-1)
        y = ops.concatenate([self._transposed(*pair) for pair in zip(inputs, kernels, strict=True)], axis=-1)
        return y + ops.cast(self.bias, self.compute_dtype) if self.use_bias else y

    def _transposed(self, x, kernel):
        y = ops.conv_transpose(x, kernel, self.stride, "valid", self.output_padding, "channels_last")
        _, height, width, _ = ops.shape(y)
        return y[:, self.padding : height - self.padding, self.padding : width - self.padding]
