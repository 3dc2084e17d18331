"""Modulated deformable convolution, version 2 (Zhu et al., CVPR 2019), composed of Keras operations.

Each tap of the kernel reads the input, at each output position and in each deformable group, not on the grid but
at a position moved by a learned offset, by bilinear interpolation, times a learned mask. The arithmetic is that
of the kernels which torchvision and BasicSR share.
"""

import numpy as np
from keras import ops

from ascendcv.ops import registry
from ascendcv.ops.sampling import at_least_float32, on_grid, sample_bilinear


def deform_conv2d(
    x,
    offset,
    kernel,
    mask=None,
    bias=None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 1,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    deformable_groups: int = 1,
    impl: str = "auto",
):
    """Modulated deformable convolution of `x`.

    Output (i, j) reads tap (a, b) at y = i * stride - padding + a * dilation + dy, and x likewise. A sample is 0
    unless -1 < y < H and -1 < x < W, and of its four neighbors those outside the image count as 0. A position
    that is infinite or not a number lies outside.

    Args:
        x: [N, H, W, C]; deformable group g reads the channels g * C / G to (g + 1) * C / G.
        offset: [N, Ho, Wo, G * taps * 2]: for each group and tap (row-major) the pair (dy, dx), in pixels of `x`.
        kernel: [kh, kw, C / groups, Co].
        mask: [N, Ho, Wo, G * taps], factors of the samples, after the sigmoid; None: all 1.
        bias: [Co] or None.
        stride, padding, dilation: of the grid: one number, or (rows, columns).
        groups: the output channels of group q read the input channels of group q.
        deformable_groups: G.
        impl: 'auto', 'tf', 'fused' or 'npu' (see `ascendcv.ops.registry`).

    Returns [N, Ho, Wo, Co] in the dtype of `x`. Positions are computed in float32 at least, whatever the dtype of
    `x`. The gradient of an offset is the one-sided derivative towards the next pixel, and 0 outside.

    Raises `ValueError` for channels that do not fit the groups.

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(deform_conv2d(x, np.zeros((1, 6, 8, 18), "float32"), np.ones((3, 3, 4, 5), "float32")).shape)
    (1, 6, 8, 5)
    """
    taps = kernel.shape[0] * kernel.shape[1]
    channels, out_channels = x.shape[-1], kernel.shape[-1]
    if channels % deformable_groups or channels != kernel.shape[2] * groups or out_channels % groups:
        raise ValueError(
            f"x has {channels} channels and kernel {tuple(kernel.shape)}: that does not fit groups={groups} and "
            f"deformable_groups={deformable_groups}"
        )
    if offset.shape[-1] != 2 * deformable_groups * taps:
        raise ValueError(
            f"offset has {offset.shape[-1]} channels; {deformable_groups} groups of {taps} taps need "
            f"{2 * deformable_groups * taps}"
        )
    return registry.resolve("deform_conv2d", impl, ops.dtype(x))(
        x,
        offset,
        kernel,
        mask,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        deformable_groups=deformable_groups,
    )


def composed(x, offset, kernel, mask, bias, *, stride, padding, dilation, groups, deformable_groups):
    """`deform_conv2d` as bilinear sampling and one matrix product."""
    kernel_height, kernel_width, _, out_channels = kernel.shape
    taps = kernel_height * kernel_width
    batch, out_height, out_width, _ = ops.shape(offset)
    offset = at_least_float32(offset)
    stride, padding, dilation = map(both_axes, (stride, padding, dilation))
    rows = ops.arange(out_height, dtype="int32") * stride[0] - padding[0]
    columns = ops.arange(out_width, dtype="int32") * stride[1] - padding[1]
    around = np.array(list(np.ndindex(kernel_height, kernel_width))) * dilation
    positions = on_grid(offset, rows, columns, around)
    factor = None if mask is None else ops.cast(mask, offset.dtype)
    samples = sample_bilinear(x, positions, factor, groups=deformable_groups)  # [N, Ho * Wo, G * taps, C / G]

    pixels, channels = batch * out_height * out_width, x.shape[-1]
    if groups == 1:
        samples = ops.reshape(samples, (pixels, taps * channels))
        kernel = ops.reshape(kernel, (taps, deformable_groups, -1, out_channels))
        kernel = ops.reshape(ops.transpose(kernel, (1, 0, 2, 3)), (taps * channels, out_channels))
        y = samples @ kernel  # not `matmul`, which makes float64 float32 on PyTorch
    else:
        samples = ops.reshape(samples, (pixels, deformable_groups, taps, -1))
        samples = ops.reshape(ops.transpose(samples, (0, 2, 1, 3)), (pixels, taps, groups, -1))
        kernel = ops.reshape(kernel, (taps, -1, groups, out_channels // groups))
        y = ops.einsum("ptqc,tcqo->pqo", samples, kernel)
    y = ops.reshape(y, (batch, out_height, out_width, out_channels))
    return y if bias is None else y + bias


def both_axes(number: int | tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of one number for both, or of two."""
    rows, columns = (number, number) if isinstance(number, int) else number
    return rows, columns
