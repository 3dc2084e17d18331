"""Dilated and strided convolutions as convolutions of stride 1, which the compiled kernel of `conv2d` computes.

Only where that kernel serves: it needs so many fewer multiplications that sorting the pixels pays.
"""

from keras import ops

from ascendcv.ops.conv2d import conv2d, kernel_serves
from ascendcv.ops.resize import next_multiple

# The kernel computes tiles of 4 x 4 pixels; smaller grids than 3 x 3 would leave most of a tile empty.
_SMALLEST_GRID = 3


def dilated_serves(x_shape, kernel_shape, dilation: int, dtype: str) -> bool:
    """Whether `dilated` is the faster way for a convolution of these."""
    small = any(side is not None and side < _SMALLEST_GRID * dilation for side in x_shape[1:3])
    return tuple(kernel_shape[:2]) in ((3, 3), (5, 5)) and not small and kernel_serves(x_shape, kernel_shape, dtype)


def dilated(x, kernel, bias, dilation: int, *, residual=None, **after):
    """The convolution whose taps are `dilation` pixels apart, padded to the size of `x`; else as `conv2d`.

    Every `dilation`-th row and column make a grid by themselves, of which this is a convolution of neighbors.
    """
    batch, height, width, _ = ops.shape(x)
    rows, columns = (next_multiple(side, dilation) // dilation for side in (height, width))

    def to_grids(pixels):
        bottom, right = rows * dilation - height, columns * dilation - width
        pixels = ops.pad(pixels, ((0, 0), (0, bottom), (0, right), (0, 0)))
        pixels = ops.reshape(pixels, (batch, rows, dilation, columns, dilation, pixels.shape[-1]))
        return ops.reshape(ops.transpose(pixels, (0, 2, 4, 1, 3, 5)), (-1, rows, columns, pixels.shape[-1]))

    residual = None if residual is None else to_grids(residual)
    y = conv2d(to_grids(x), kernel, bias, residual=residual, impl="fused", **after)
    y = ops.reshape(y, (batch, dilation, dilation, rows, columns, y.shape[-1]))
    y = ops.reshape(ops.transpose(y, (0, 3, 1, 4, 2, 5)), (batch, rows * dilation, columns * dilation, y.shape[-1]))
    return y[:, :height, :width]


def strided_serves(x_shape, kernel_shape, dtype: str) -> bool:
    """Whether `strided` is the faster way for a convolution of these."""
    height, width = (side and (side + 1) // 2 for side in x_shape[1:3])
    *sides, channels, outputs = kernel_shape
    return sides == [5, 5] and kernel_serves(
        (None, height, width, 4 * channels), (3, 3, 4 * channels, outputs), dtype
    )


def strided(x, kernel, bias, **after):
    """The convolution of stride 2 by a kernel of 5 x 5, padded with zeros on all sides alike; else as `conv2d`.

    Each 2 x 2 pixels are taken for one with four times the channels: then it is a convolution of stride 1 by a
    kernel of 3 x 3, some of whose weights are 0.
    """
    batch, height, width, channels = ops.shape(x)
    rows, columns = (next_multiple(side, 2) // 2 for side in (height, width))
    x = ops.pad(x, ((0, 0), (0, 2 * rows - height), (0, 2 * columns - width), (0, 0)))
    x = ops.transpose(ops.reshape(x, (batch * rows, 2, columns, 2 * channels)), (0, 2, 1, 3))
    kernel = ops.reshape(ops.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0))), (3, 2, 3, 2, channels, -1))
    kernel = ops.reshape(ops.transpose(kernel, (0, 2, 1, 3, 4, 5)), (3, 3, 4 * channels, -1))
    return conv2d(ops.reshape(x, (batch, rows, columns, 4 * channels)), kernel, bias, impl="fused", **after)
