"""Bilinear sampling at arbitrary positions: what warping and the deformable operations share.

No tensor here has more than five dimensions: runtimes of exported graphs refuse more.
"""

import numpy as np
from keras import ops

from ascendcv.ops import registry


def sample_bilinear(x, rows, columns, factor=None, *, groups: int = 1):
    """Samples `x` at the given positions; what lies outside the image is 0.

    A sample is 0 unless -1 < row < H and -1 < column < W, and of its four neighbors those outside the image count
    as 0. Positions that are infinite or not numbers lie outside, so no position reads astray.

    Args:
        x: [N, H, W, C].
        rows, columns: [N, Ho, Wo, G * K] in pixels, float32 at least: the K samples of group 0, those of group 1,
            and so on. Group g reads the channels g * C / G to (g + 1) * C / G.
        factor: [N, Ho, Wo, G * K] in the dtype of `rows`, what each sample is multiplied by, or None.
        groups: G.

    Returns [N, Ho, Wo, G * K, C / G] in the dtype of `x`. The derivative by a position is the one-sided one towards
    the next pixel, and 0 outside.
    """
    given = registry.substitute("sample_bilinear")  # not in the condition, for AutoGraph
    if given is not None:
        return given(x, rows, columns, factor, groups=groups)
    factor = ops.ones_like(rows) if factor is None else factor

    @ops.custom_gradient
    def sample(x, rows, columns, factor):
        # The gradient is written out because automatic differentiation would keep the four neighbors of every
        # sample in memory, each as large as the samples, and takes half as long again.
        def gradient(*arguments, upstream=None):  # PyTorch's convention of Keras passes it by name, others' alone
            upstream = arguments[0] if upstream is None else upstream
            return _gradient(x, rows, columns, factor, groups, upstream)

        return _sample(x, rows, columns, factor, groups), gradient

    return sample(x, rows, columns, factor)


def at_least_float32(tensor):
    """`tensor` in a dtype that holds positions: bfloat16 cannot tell pixel 257 from pixel 256."""
    return tensor if ops.dtype(tensor) == "float64" else ops.cast(tensor, "float32")


def _sample(x, rows, columns, factor, groups: int):
    index, row_fraction, column_fraction = _locate(x, rows, columns, groups)
    weights = ops.cast(_weights(row_fraction, column_fraction, ops.reshape(factor, (-1,))), x.dtype)
    neighbors = ops.take(_quads(x, groups), index, axis=0)  # [samples, 4, C / G]
    samples = ops.sum(neighbors * weights[..., None], axis=1)
    return ops.reshape(samples, (*ops.shape(rows), x.shape[-1] // groups))


def _gradient(x, rows, columns, factor, groups: int, upstream):
    """Of the samples' dot product with `upstream`, by each argument. It sums up in the dtype of positions."""
    batch, height, width, channels = ops.shape(x)
    place, dtype = ops.shape(rows), rows.dtype
    index, down, right = _locate(x, rows, columns, groups)
    factor, quads = ops.reshape(factor, (-1,)), _quads(x, groups)
    upstream = ops.reshape(ops.cast(upstream, dtype), (-1, 1, channels // groups))

    by_weight = ops.sum(upstream * ops.cast(ops.take(quads, index, axis=0), dtype), axis=-1)
    top_left, top_right, bottom_left, bottom_right = (by_weight[:, corner] for corner in range(4))
    top, bottom = top_left * (1 - right) + top_right * right, bottom_left * (1 - right) + bottom_right * right
    by_factor = top * (1 - down) + bottom * down
    by_row = (bottom - top) * factor
    by_column = ((top_right - top_left) * (1 - down) + (bottom_right - bottom_left) * down) * factor

    by_neighbor = upstream * _weights(down, right, factor)[..., None]
    by_quad = ops.segment_sum(ops.reshape(by_neighbor, (-1, 4 * channels // groups)), index, ops.shape(quads)[0])
    by_quad = ops.reshape(by_quad, (-1, 4, channels // groups))
    # A pixel is the top left corner of one quad, the top right one of the quad to its left, and so on.
    corners = [ops.reshape(by_quad[:, corner], (batch, height + 3, width + 3, channels)) for corner in range(4)]
    by_x = corners[0][:, 2:-1, 2:-1] + corners[1][:, 2:-1, 1:-2] + corners[2][:, 1:-2, 2:-1]
    by_x = by_x + corners[3][:, 1:-2, 1:-2]
    return ops.cast(by_x, x.dtype), *(ops.reshape(part, place) for part in (by_row, by_column, by_factor))


def _quads(x, groups: int):
    """[N * (H + 3) * (W + 3) * G, 4, C / G]: what a group reads around a pixel, in one piece of memory.

    The pixel itself, the one to its right, and the two below them. A border of zeros, two pixels wide, stands for
    all that is outside, so that no sample needs a condition of its own.
    """
    x = ops.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    corners = [x[:, :-1, :-1], x[:, :-1, 1:], x[:, 1:, :-1], x[:, 1:, 1:]]
    return ops.concatenate([ops.reshape(corner, (-1, 1, x.shape[-1] // groups)) for corner in corners], axis=1)


def _locate(x, rows, columns, groups: int):
    """For each sample its quad, as int32 (float32 cannot count beyond 2^24), and where in it; [samples] each."""
    batch, height, width, _ = ops.shape(x)
    # What is outside moves to where all four neighbors are in the border; this holds for NaN too.
    # Not by `minimum`, which makes float64 float32 on PyTorch.
    rows, columns = ops.where(rows > -1, rows, -2.0), ops.where(columns > -1, columns, -2.0)
    below, right = ops.cast(height, rows.dtype), ops.cast(width, rows.dtype)
    rows, columns = ops.where(rows < below, rows, below), ops.where(columns < right, columns, right)
    top, left = ops.floor(rows), ops.floor(columns)
    image = ops.arange(batch, dtype="int32") * ((height + 3) * (width + 3)) + 2 * (width + 3) + 2
    pixel = ops.cast(top, "int32") * (width + 3) + ops.cast(left, "int32") + ops.reshape(image, (batch, 1, 1, 1))
    group = np.repeat(np.arange(groups, dtype=np.int32), rows.shape[3] // groups)
    return tuple(ops.reshape(part, (-1,)) for part in (pixel * groups + group, rows - top, columns - left))


def _weights(row_fraction, column_fraction, factor):
    """[samples, 4]: what the corners of a quad count, times `factor`."""
    bottom = row_fraction * factor
    top, left = factor - bottom, 1 - column_fraction
    corners = [top * left, top * column_fraction, bottom * left, bottom * column_fraction]
    return ops.transpose(ops.stack(corners))
