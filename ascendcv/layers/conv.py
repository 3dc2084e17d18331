"""Convolution with PyTorch's padding and initialization."""

import keras
from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.ops.conv2d import check, conv2d, finish
from ascendcv.ops.conv2d_parts import dilated, dilated_serves, strided, strided_serves


@serializable("ascendcv")
class Conv2D(keras.Layer):
    """2-D convolution, padded with zeros on all sides alike.

    TensorFlow's 'same' pads a strided convolution of an even size at the end only, which moves all features by half
    a pixel from where the published networks have them.

    Args:
        filters: output channels.
        kernel_size: side of the kernel, or (height, width).
        stride, dilation, groups: as in torch.nn.Conv2d.
        padding: zeros on each side; None: as many as keep the size at stride 1.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: None: PyTorch's, uniform in +-1 / sqrt(fan_in).
        activation: None, 'relu', or the slope (0 to 1) of a leaky ReLU below 0.
        residual_place: whether `call`'s residual is added 'before' or 'after' the activation.

    `call(x, residual=None)`: [N, H, W, C] -> [N, Ho, Wo, filters] in the layer's compute dtype; the residual is
    shaped as the result. Weights: `kernel` [kh, kw, C / groups, filters] and `bias` [filters].

    >>> import numpy as np
    >>> from ascendcv.layers import Conv2D
    >>> tuple(Conv2D(5, stride=2, activation=0.1)(np.ones((1, 6, 8, 4), "float32")).shape)
    (1, 3, 4, 5)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int] = 3,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        use_bias: bool = True,
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
        self.kernel_shape = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        self.same_padding = tuple(dilation * (side - 1) // 2 for side in self.kernel_shape)
        self.padding = self.same_padding if padding is None else (padding, padding)
        self.dilation = dilation
        self.groups = groups
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.activation = activation
        self.residual_place = residual_place

    def build(self, x_shape, residual_shape=None):
        channels = x_shape[-1] // self.groups
        height, width = self.kernel_shape
        limit = (channels * height * width) ** -0.5
        uniform = keras.initializers.RandomUniform(-limit, limit)
        # Cast by hand in `call`: a float32 layer inside a narrower one would get narrow weights otherwise.
        self.kernel = self.add_weight(
            name="kernel",
            shape=(height, width, channels, self.filters),
            initializer=self.kernel_initializer or uniform,
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

    def compute_output_shape(self, x_shape, residual_shape=None):
        batch, *sides, _ = x_shape
        lengths = zip(sides, self.kernel_shape, self.padding, strict=True)
        sides = [
            side and (side + 2 * padding - self.dilation * (taps - 1) - 1) // self.stride + 1
            for side, taps, padding in lengths
        ]
        return (batch, *sides, self.filters)

    def call(self, x, residual=None):
        x = ops.cast(x, self.compute_dtype)
        kernel = ops.cast(self.kernel, self.compute_dtype)
        bias = ops.cast(self.bias, self.compute_dtype) if self.use_bias else None
        after = {"activation": self.activation, "residual": residual, "residual_place": self.residual_place}
        centered, step = self.padding == self.same_padding, (self.stride, self.dilation)
        if centered and self.groups == 1:
            sizes = x.shape, kernel.shape
            if step == (1, 1) and self.kernel_shape in ((3, 3), (5, 5)):
                return conv2d(x, kernel, bias, **after)
            if self.stride == 1 and dilated_serves(*sizes, self.dilation, self.compute_dtype):
                return dilated(x, kernel, bias, self.dilation, **after)
            if step == (2, 1) and strided_serves(*sizes, self.compute_dtype):
                return strided(x, kernel, bias, **after)
        same = centered and self.stride == 1
        if not same and any(self.padding):
            rows, columns = self.padding
            x = ops.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
        y = ops.conv(x, kernel, self.stride, "same" if same else "valid", "channels_last", self.dilation)
        return finish(y, bias, **after)
