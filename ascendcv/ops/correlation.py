"""Cost volumes: how well each pixel of one feature map matches the pixels around the same place in another.

Used by PWC-Net (Sun et al., CVPR 2018), LiteFlowNet (Hui et al., CVPR 2018) and, as the spatial correlation
sampler, by FlowNet and "Deep Video Deblurring: The Devil is in the Details" (Gast and Roth, 2019).
"""

from collections.abc import Sequence

import keras
from keras import ops

from ascendcv.ops import registry


def correlation(first, second, *, max_displacement: int = 4, stride: int = 1, impl: str = "auto"):
    """The cost volume of PWC-Net (stride 1) and LiteFlowNet (stride 1 or 2): means over the channels.

    volume[n, y, x, (i + d) * (2d + 1) + j + d] = mean_c first[n, sy, sx, c] * second[n, s(y + i), s(x + j), c] for
    displacements i (down) and j (right) of -d to d, with d = max_displacement and s = stride; outside, `second`
    is 0.

    Args:
        first, second: [N, H, W, C].
        impl: 'auto', 'tf', 'fused' or 'npu' (see `ascendcv.ops.registry`).

    Returns [N, ceil(H / s), ceil(W / s), (2d + 1)²], before the networks' leaky ReLU.

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(correlation(x, x, max_displacement=3).shape)
    (1, 6, 8, 49)
    """
    # Positions and displacements are multiples of the stride alike, so the pixels between take no part.
    first, second = first[:, ::stride, ::stride], second[:, ::stride, ::stride]
    volume = registry.resolve("correlation", impl, ops.dtype(first))
    patch_size = (2 * max_displacement + 1,) * 2
    return volume(first, second, patch_size=patch_size, dilation=(1, 1), scale=1 / first.shape[-1])


def spatial_correlation(
    first,
    second,
    *,
    kernel_size: int | Sequence[int] = 1,
    patch_size: int | Sequence[int] = 9,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation_patch: int | Sequence[int] = 1,
    impl: str = "auto",
):
    """The spatial correlation sampler: sums over the channels and a window of kernel_size pixels.

    volume[n, y, x, i * Q + j] = sum over c, u, v of first[n, p + u, q + v, c]
    * second[n, p + u + (i - (P - 1) // 2) * D, q + v + (j - (Q - 1) // 2) * E, c], where p = y * stride - padding,
    q likewise with x, (P, Q) = patch_size and (D, E) = dilation_patch. What lies outside either map is 0.

    Args:
        first, second: [N, H, W, C].
        kernel_size, patch_size, stride, padding, dilation_patch: (y, x), or one number for both.
        impl: 'auto', 'tf', 'fused' or 'npu' (see `ascendcv.ops.registry`).

    Returns [N, (H + 2 padding - kernel_size) // stride + 1, the same of W, P * Q].

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(spatial_correlation(x, x, patch_size=5).shape)
    (1, 6, 8, 25)
    """
    kernel, patch, steps, edges, dilation = map(_pair, (kernel_size, patch_size, stride, padding, dilation_patch))
    volume = registry.resolve("correlation", impl, ops.dtype(first))
    volume = volume(first, second, patch_size=patch, dilation=dilation, scale=1.0)
    if (kernel, steps, edges) == ((1, 1), (1, 1), (0, 0)):
        return volume
    volume = ops.pad(volume, ((0, 0), (edges[0], edges[0]), (edges[1], edges[1]), (0, 0)))
    _, height, width, _ = ops.shape(volume)
    rows, columns = height - kernel[0] + 1, width - kernel[1] + 1  # where a window fits
    return sum(
        volume[:, u : u + rows : steps[0], v : v + columns : steps[1]]
        for u in range(kernel[0])
        for v in range(kernel[1])
    )


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    y, x = value
    return y, x


def composed(first, second, *, patch_size: tuple[int, int], dilation: tuple[int, int], scale: float):
    """What the functions above share, by one shifted product for each displacement.

    volume[n, y, x, i * Q + j] = scale * sum_c first[n, y, x, c]
    * second[n, y + (i - (P - 1) // 2) * D, x + (j - (Q - 1) // 2) * E, c] with (P, Q) = patch_size and
    (D, E) = dilation.
    """
    _, height, width, _ = ops.shape(first)
    before = [(length - 1) // 2 * step for length, step in zip(patch_size, dilation, strict=True)]
    after = [length // 2 * step for length, step in zip(patch_size, dilation, strict=True)]
    second = ops.pad(second, ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)))
    if keras.backend.backend() == "jax":
        return row_by_row(first, second, patch_size, dilation) * scale
    shifts = [(i * dilation[0], j * dilation[1]) for i in range(patch_size[0]) for j in range(patch_size[1])]
    products = [ops.sum(first * second[:, i : i + height, j : j + width], axis=-1) for i, j in shifts]
    return ops.stack(products, axis=-1) * scale


def row_by_row(first, padded, patch_size: tuple[int, int], dilation: tuple[int, int]):
    """The volume of `composed`, not scaled and of a padded `second`, by one product for each row of displacements.

    It takes twice the time, but XLA compiles it in a tenth: the 81 products of each of PWC-Net's five volumes took
    minutes, and with their gradients there was no end.
    """
    batch, height, width, channels = ops.shape(first)
    rows, columns = patch_size
    padded_width = ops.shape(padded)[2]
    step = dilation[1] if columns > 1 else 0
    products = []
    for i in range(0, rows * dilation[0], dilation[0]):
        row = padded[:, i : i + height]
        # Copies one after another, read in lines that are `step` longer: line j begins at column j * step.
        lines = ops.reshape(ops.tile(row, (1, 1, columns + 2, 1)), (batch, height, -1, channels))
        lines = lines[:, :, : columns * (padded_width + step)]
        lines = ops.reshape(lines, (batch, height, columns, padded_width + step, channels))[:, :, :, :width]
        products.append(ops.sum(first[:, :, None] * lines, axis=-1))
    return ops.swapaxes(ops.concatenate(products, axis=2), 2, 3)
