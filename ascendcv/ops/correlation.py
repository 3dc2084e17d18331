"""Cost volumes: how well each pixel of one feature map matches the pixels around the same place in another.

Used by PWC-Net (Sun et al., CVPR 2018), LiteFlowNet (Hui et al., CVPR 2018) and, as the spatial correlation
sampler, by FlowNet and "Deep Video Deblurring: The Devil is in the Details" (Gast and Roth, 2019).
"""

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
    """
    # Positions and displacements are multiples of the stride alike, so the pixels between take no part.
    first, second = first[:, ::stride, ::stride], second[:, ::stride, ::stride]
    volume = registry.resolve("correlation", impl, ops.dtype(first))
    return volume(first, second, patch_size=2 * max_displacement + 1, dilation=1, scale=1 / first.shape[-1])


def spatial_correlation(
    first,
    second,
    *,
    kernel_size: int = 1,
    patch_size: int = 9,
    stride: int = 1,
    padding: int = 0,
    dilation_patch: int = 1,
    impl: str = "auto",
):
    """The spatial correlation sampler: sums over the channels and a window of kernel_size².

    volume[n, y, x, i * P + j] = sum over c, u, v of first[n, p + u, q + v, c]
    * second[n, p + u + (i - r) * D, q + v + (j - r) * D, c], where p = y * stride - padding, q likewise with x,
    P = patch_size, r = (P - 1) // 2 and D = dilation_patch. What lies outside either map is 0.

    Args:
        first, second: [N, H, W, C].
        impl: 'auto', 'tf', 'fused' or 'npu' (see `ascendcv.ops.registry`).

    Returns [N, (H + 2 padding - kernel_size) // stride + 1, the same of W, P²].
    """
    volume = registry.resolve("correlation", impl, ops.dtype(first))
    volume = volume(first, second, patch_size=patch_size, dilation=dilation_patch, scale=1.0)
    if (kernel_size, stride, padding) == (1, 1, 0):
        return volume
    volume = ops.pad(volume, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    _, height, width, _ = ops.shape(volume)
    rows, columns = height - kernel_size + 1, width - kernel_size + 1  # where a window fits
    return sum(
        volume[:, u : u + rows : stride, v : v + columns : stride]
        for u in range(kernel_size)
        for v in range(kernel_size)
    )


def composed(first, second, *, patch_size: int, dilation: int, scale: float):
    """What the functions above share, by one shifted product for each displacement.

    volume[n, y, x, i * P + j] = scale * sum_c first[n, y, x, c] * second[n, y + (i - r) * D, x + (j - r) * D, c]
    with P = patch_size, r = (P - 1) // 2 and D = dilation.
    """
    _, height, width, _ = ops.shape(first)
    before = (patch_size - 1) // 2 * dilation
    after = (patch_size - 1) * dilation - before
    second = ops.pad(second, ((0, 0), (before, after), (before, after), (0, 0)))
    shifts = [(i * dilation, j * dilation) for i in range(patch_size) for j in range(patch_size)]
    products = [ops.sum(first * second[:, i : i + height, j : j + width], axis=-1) for i, j in shifts]
    return ops.stack(products, axis=-1) * scale
