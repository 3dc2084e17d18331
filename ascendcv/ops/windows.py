"""Windows of video features, and what shifted windows need, as in Video Swin Transformer (Liu et al., CVPR 2022).

Self-attention goes on inside windows of `window` = (frames, rows, columns) tokens that tile the features. Every
other layer shifts the tiling by half a window: the features are rolled by that much towards the top left (a cyclic
shift), cut into the same windows, and rolled back. What comes in over the edge lies in the last windows beside
tokens that were far away before, and a mask keeps these apart.
"""

import numpy as np
from keras import ops

from ascendcv.ops.resize import next_multiple


def window_partition(x, window: tuple[int, int, int]):
    """[B, D, H, W, C] -> [B * D/d * H/h * W/w, d * h * w, C]: tokens by window, in row-major order both.

    `window` is (d, h, w); D, H and W should be multiples of it.
    """
    batch, frames, height, width, channels = ops.shape(x)
    d, h, w = window
    # Rows to their windows, then columns: runtimes of exported graphs refuse tensors of seven dimensions.
    x = ops.reshape(x, (batch * (frames // d), d, height // h, h * width * channels))
    x = ops.reshape(ops.swapaxes(x, 1, 2), (-1, d * h, width // w, w * channels))
    return ops.reshape(ops.swapaxes(x, 1, 2), (-1, d * h * w, channels))


def window_reverse(windows, window: tuple[int, int, int], frames: int, height, width):
    """[B * D/d * H/h * W/w, d * h * w, C] -> [B, D, H, W, C], the inverse of `window_partition`."""
    d, h, w = window
    channels = windows.shape[-1]
    x = ops.reshape(windows, (-1, width // w, d * h, w * channels))
    x = ops.reshape(ops.swapaxes(x, 1, 2), (-1, height // h, d, h * width * channels))
    return ops.reshape(ops.swapaxes(x, 1, 2), (-1, frames, height, width, channels))


def pad_to_windows(x, window: tuple[int, int, int]):
    """[B, D, H, W, C] with zeros at the bottom and right, so that H and W are multiples of the window's."""
    _, _, height, width, _ = ops.shape(x)
    bottom, right = next_multiple(height, window[1]) - height, next_multiple(width, window[2]) - width
    if isinstance(bottom, int) and isinstance(right, int) and bottom == right == 0:
        return x
    return ops.pad(x, ((0, 0), (0, 0), (0, bottom), (0, right), (0, 0)))


def cyclic_shift(x, down: int, right: int):
    """[B, D, H, W, C] moved by whole pixels, none of them 0: what leaves at an edge comes in at the opposite one.

    (Not by `roll`, which runtimes of exported graphs lack.)
    """
    x = ops.concatenate([x[:, :, -down:], x[:, :, :-down]], axis=2)
    return ops.concatenate([x[:, :, :, -right:], x[:, :, :, :-right]], axis=3)


def shifted_window_mask(height, width, window: tuple[int, int, int], dtype: str = "float32"):
    """What to add to the attention scores inside windows that are shifted by half of their height and width.

    After the cyclic shift the rows make three regions: those in whole windows, the rest of what was there, and what
    came in over the edge; the columns too. Tokens of different regions do not attend to each other.

    Args:
        height, width: of the features, whole numbers or scalar tensors; padded to windows they are H and W.
        window: (d, h, w).

    Returns [H/h * W/w, 1, d*h*w, d*h*w]: 0 within a region, -100 between regions, in the order of
    `window_partition`. All layers at one size of features can share it.
    """
    d, h, w = window
    height, width = next_multiple(height, h), next_multiple(width, w)
    rows, columns = _regions(height, h), _regions(width, w)
    regions = ops.broadcast_to((3.0 * rows[:, None] + columns)[None, None, :, :, None], (1, d, height, width, 1))
    regions = window_partition(regions, window)[:, None, :, 0]
    apart = ops.not_equal(regions[:, :, :, None], regions[:, :, None, :])
    return ops.cast(apart, dtype) * -100.0


def _regions(size, window: int):
    """[size] float32: 0 before the last window, 1 in it, 2 in its part that came in over the edge."""
    position = ops.arange(size, dtype="int32")
    in_last = ops.cast(position >= size - window, "float32")
    return in_last + ops.cast(position >= size - window // 2, "float32")


def relative_position_index(window: tuple[int, int, int]) -> np.ndarray:
    """[d*h*w, d*h*w] int64: for each pair of tokens of a window the row of the table of relative position biases.

    The table has (2d-1) * (2h-1) * (2w-1) rows, one for each difference of places (dz, dy, dx), in row-major order.
    """
    d, h, w = window
    places = np.stack(np.meshgrid(np.arange(d), np.arange(h), np.arange(w), indexing="ij")).reshape(3, -1)
    difference = places[:, :, None] - places[:, None, :] + np.array([d - 1, h - 1, w - 1])[:, None, None]
    return (difference[0] * (2 * h - 1) + difference[1]) * (2 * w - 1) + difference[2]
