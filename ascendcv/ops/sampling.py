"""Bilinear sampling at arbitrary positions: what warping and deformable convolution share."""

from keras import ops


def sample_bilinear(x, rows, columns, factor=None):
    """Samples `x` at the given positions; what lies outside the image is 0.

    A sample is 0 unless -1 < row < H and -1 < column < W, and of its four neighbours those outside the image count
    as 0. Positions that are infinite or not numbers lie outside, so no position reads astray.

    Args:
        x: [N, H, W, C].
        rows, columns: [N, Ho, Wo, G, K] in pixels, float32 at least; group g reads the channels g * C / G to
            (g + 1) * C / G.
        factor: [N, Ho, Wo, G, K], what each sample is multiplied by, or None.

    Returns [N, Ho, Wo, G, K, C / G] in the dtype of `x`. The derivative by a position is the one-sided one towards
    the next pixel, and 0 outside.
    """
    batch, height, width, channels = ops.shape(x)
    groups = rows.shape[3]
    # A border of zeros stands for all that is outside, so that no sample needs a condition of its own; samples
    # that are farther out than the border reaches are moved to its corner.
    inside = (rows > -1) & (rows < _like(height, rows)) & (columns > -1) & (columns < _like(width, rows))
    rows, columns = ops.where(inside, rows, -1.0), ops.where(inside, columns, -1.0)
    top, left = ops.floor(rows), ops.floor(columns)
    bottom_weight, right_weight = rows - top, columns - left
    top_weight, left_weight = 1 - bottom_weight, 1 - right_weight
    if factor is not None:
        top_weight, bottom_weight = top_weight * factor, bottom_weight * factor

    # One row of the table is what a group reads at a pixel: contiguous, and one index serves all its channels.
    height, width = height + 2, width + 2
    table = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    table = ops.reshape(table, (batch, height * width, groups, channels // groups))
    table = ops.reshape(ops.transpose(table, (0, 2, 1, 3)), (-1, channels // groups))
    image = ops.arange(batch * groups, dtype="int32") * (height * width)
    index = (ops.cast(top, "int32") + 1) * width + ops.cast(left, "int32") + 1
    index = index + ops.reshape(image, (batch, 1, 1, groups, 1))

    def corner(distance, weight):
        return ops.take(table, index + distance, axis=0) * ops.cast(weight, x.dtype)[..., None]

    samples = corner(0, top_weight * left_weight)
    samples = samples + corner(1, top_weight * right_weight)
    samples = samples + corner(width, bottom_weight * left_weight)
    return samples + corner(width + 1, bottom_weight * right_weight)


def at_least_float32(tensor):
    """`tensor` in a dtype that holds positions: bfloat16 cannot tell pixel 257 from pixel 256."""
    return tensor if ops.dtype(tensor) == "float64" else ops.cast(tensor, "float32")


def _like(size, tensor):
    return ops.cast(size, tensor.dtype)
