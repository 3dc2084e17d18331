"""Bilinear sampling at arbitrary positions: what warping and the deformable operations share.

No tensor here has more than five dimensions: runtimes of exported graphs refuse more. So that those graphs stay
small, rows and columns go through the same nodes.
"""

import keras
import numpy as np
from keras import ops

from ascendcv.ops import registry

# Of the four neighbors of a sample: top left, top right, bottom left, bottom right.
_NEIGHBOR_ROWS, _NEIGHBOR_COLUMNS = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], np.int32)

# Zeros around the image that stand for all that is outside, so that no sample needs a condition of its own.
_BORDER = 2


def sample_bilinear(x, positions, factor=None, *, groups: int = 1):
    """Samples `x` at the given positions; what lies outside the image is 0.

    A sample is 0 unless -1 < row < H and -1 < column < W, and of its four neighbors those outside the image count
    as 0. Positions that are infinite or not numbers lie outside, so no position reads astray.

    Args:
        x: [N, H, W, C].
        positions: [..., G * K * 2] in pixels, float32 at least: at each of N * P points, the first P of them of the
            first image, (row, column) of the K samples of group 0, then of group 1, and so on. Group g reads the
            channels g * C / G to (g + 1) * C / G.
        factor: [..., G * K] in the dtype of `positions`, what each sample is multiplied by, or None.
        groups: G.

    Returns [N, P, G * K, C / G] in the dtype of `x`. The derivative by a position is the one-sided one towards
    the next pixel, and 0 outside.
    """
    given = registry.substitute("sample_bilinear")  # not in the condition, for AutoGraph
    if given is not None:
        return given(x, positions, factor, groups=groups)

    @ops.custom_gradient
    def sample(x, positions, factor=None):
        # The gradient is written out because automatic differentiation would keep the four neighbors of every
        # sample in memory, each as large as the samples, and takes half as long again.
        def gradient(*arguments, upstream=None):  # PyTorch's convention of Keras passes it by name, others' alone
            upstream = arguments[0] if upstream is None else upstream
            return _gradient(x, positions, factor, groups, upstream)

        return _sample(x, positions, factor, groups), gradient

    return sample(x, positions) if factor is None else sample(x, positions, factor)


def on_grid(offset, rows, columns, taps):
    """Positions of samples from their offsets to a grid.

    Args:
        offset: [N, Ho, Wo, G * K * 2], (down, right) of each of K samples in each of G groups.
        rows, columns: int32 [Ho] and [Wo], where the grid's points lie.
        taps: int [K, 2], where the samples of a point lie beside it.

    Returns [N * Ho, Wo, G * K * 2] for `sample_bilinear`, in the dtype of `offset`.
    """
    samples = offset.shape[-1] // 2
    taps = np.tile(np.asarray(taps, np.int32).reshape(-1), samples // len(taps))
    is_row, is_column = np.tile(np.array([[1, 0], [0, 1]], np.int32), samples)
    rows, columns = rows[:, None, None] * is_row + taps, columns[:, None] * is_column
    # By one sum in each shape: of two in the same, TensorFlow would make a constant as large as the offsets.
    positions = ops.reshape(offset + ops.cast(rows, offset.dtype), (-1, *ops.shape(offset)[2:]))
    return positions + ops.cast(columns, offset.dtype)


def at_least_float32(tensor):
    """`tensor` in a dtype that holds positions: bfloat16 cannot tell pixel 257 from pixel 256."""
    return tensor if ops.dtype(tensor) == "float64" else ops.cast(tensor, "float32")


def _sample(x, positions, factor, groups: int):
    index, fraction = _locate(x, positions, groups)
    weights = ops.reshape(_weights(fraction, factor), (*ops.shape(index), 1))
    return ops.sum(_take(_pixels(x, groups), index) * ops.cast(weights, x.dtype), axis=0)


def _gradient(x, positions, factor, groups: int, upstream):
    """Of the samples' dot product with `upstream`, by each argument. It sums up in the dtype of positions."""
    batch, height, width, channels = ops.shape(x)
    dtype, depth = positions.dtype, channels // groups
    index, fraction = _locate(x, positions, groups)
    pixels = _pixels(x, groups)
    upstream = ops.reshape(ops.cast(upstream, dtype), (1, *ops.shape(index)[1:], depth))

    by_weight = ops.reshape(ops.sum(upstream * ops.cast(_take(pixels, index), dtype), axis=-1), (4, -1))
    top_left, top_right, bottom_left, bottom_right = (by_weight[neighbor] for neighbor in range(4))
    down, right = fraction[0, 0], fraction[1, 0]
    top, bottom = top_left * (1 - right) + top_right * right, bottom_left * (1 - right) + bottom_right * right
    by_column = (top_right - top_left) * (1 - down) + (bottom_right - bottom_left) * down
    by_position = ops.stack([bottom - top, by_column], axis=-1)
    if factor is not None:
        by_position = by_position * ops.reshape(factor, (-1, 1))
        by_factor = ops.reshape(top * (1 - down) + bottom * down, ops.shape(factor))
    by_position = ops.reshape(by_position, ops.shape(positions))

    # What all four neighbors of a sample get is added up in one row, that of the top left one.
    weights = ops.reshape(ops.transpose(_weights(fraction, factor)), (-1, 4, 1))
    by_neighbors = ops.reshape(ops.reshape(upstream, (-1, 1, depth)) * weights, (-1, 4 * depth))
    by_pixel = ops.segment_sum(by_neighbors, ops.reshape(index[0], (-1,)), ops.shape(pixels)[0])
    by_pixel = ops.reshape(by_pixel, (-1, 4, depth))
    by_x = 0.0
    for neighbor, (row, column) in enumerate(zip(_NEIGHBOR_ROWS, _NEIGHBOR_COLUMNS, strict=True)):
        part = ops.reshape(by_pixel[:, neighbor], (batch, height + 2 * _BORDER, width + 2 * _BORDER, channels))
        first_row, first_column = _BORDER - row, _BORDER - column
        by_x = by_x + part[:, first_row : first_row + height, first_column : first_column + width]
    by_x = ops.cast(by_x, x.dtype)
    return (by_x, by_position) if factor is None else (by_x, by_position, by_factor)


def _pixels(x, groups: int):
    """[N * (H + 4) * (W + 4) * G, C / G]: what a group reads at each pixel of the image and its border."""
    around = (_BORDER, _BORDER)
    return ops.reshape(ops.pad(x, ((0, 0), around, around, (0, 0))), (-1, x.shape[-1] // groups))


def _take(pixels, index):
    """`pixels[index]`. No index is negative; `ops.take` would add four nodes that care for those."""
    if keras.backend.backend() != "tensorflow":
        return ops.take(pixels, index, axis=0)
    import tensorflow as tf

    return tf.gather(pixels, index)


def _locate(x, positions, groups: int):
    """Where each sample's neighbors are in `_pixels`, and where the sample is between them.

    Returns int32 [4, N, P, G * K] (float32 cannot count beyond 2^24) and [2, 1, N * P * G * K].
    """
    batch, height, width, _ = ops.shape(x)
    samples = positions.shape[-1] // 2
    positions = ops.transpose(ops.reshape(positions, (-1, 1, 2)))  # all rows, then all columns
    # What is outside moves to where all four neighbors are in the border; this holds for NaN too.
    positions = ops.where(positions > -1, positions, -2.0)
    beyond = ops.reshape(ops.cast(ops.convert_to_tensor([height, width]), positions.dtype), (2, 1, 1))
    positions = ops.where(positions < beyond, positions, beyond)
    first = ops.floor(positions)

    height, width = height + 2 * _BORDER, width + 2 * _BORDER
    steps = ops.reshape(ops.convert_to_tensor([width * groups, groups]), (2, 1, 1))
    pixel = ops.reshape(ops.sum(ops.cast(first, "int32") * steps, axis=0), (1, batch, -1, samples))
    neighbors = (_NEIGHBOR_ROWS + _BORDER) * width + _NEIGHBOR_COLUMNS + _BORDER
    images = ops.arange(batch, dtype="int32") * (height * width)
    group = np.repeat(np.arange(groups, dtype=np.int32), samples // groups)
    beginning = (ops.reshape(neighbors, (4, 1, 1, 1)) + ops.reshape(images, (batch, 1, 1))) * groups + group
    return pixel + beginning, positions - first


def _weights(fraction, factor):
    """[4, N * P * G * K]: what the four neighbors count, times `factor`."""
    inverse = 1 - np.stack([_NEIGHBOR_ROWS, _NEIGHBOR_COLUMNS])[..., None]
    parts = ops.abs(ops.cast(inverse, fraction.dtype) - fraction)
    # Without its dtype, float64 would become float32 on PyTorch.
    weights = ops.prod(parts, axis=0, dtype=keras.backend.standardize_dtype(fraction.dtype))
    return weights if factor is None else weights * ops.reshape(factor, (1, -1))
