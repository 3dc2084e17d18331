"""Pixel volumes: for each pixel, the pixels of another frame that its neighbors' motion points to.

Source: Recurrent Video Deblurring with Blur-Invariant Motion Estimation and Pixel Volumes (Son et al., ACM TOG
2021), section 4.2, and `models.pixel_volume` of its code.
"""

from keras import ops

_GREY = (0.2989, 0.5870, 0.1140)  # of R, G, B


def pixel_volume(previous, flow, current, ksize: int = 5):
    """ksize² candidates for each pixel of `current`, in gray, taken from `previous`.

    With r = (ksize - 1) / 2, the candidate (i + r) * ksize + (j + r), -r <= i (right), j (down) <= r, of pixel p is
    what p's neighbor p - (i, j) points to, moved back: previous[trunc(q + flow[q]) + (i, j)] with q = p - (i, j).
    Positions are truncated toward zero. A position outside the frame, or in its outermost rows and columns, has the
    gray of current[p] instead; where the neighbor itself lies outside, the candidate is 0.

    Args:
        previous, current: [N, H, W, 3] RGB of any range.
        flow: [N, H, W, 2] in pixels, from `current` to `previous`. It receives no gradient.
        ksize: odd.

    Returns [N, H, W, ksize²] in the dtype of the frames.

    >>> import numpy as np
    >>> frame, flow = np.ones((1, 6, 8, 3), "float32"), np.zeros((1, 6, 8, 2), "float32")
    >>> tuple(pixel_volume(frame, flow, frame, ksize=3).shape)
    (1, 6, 8, 9)
    """
    batch, height, width, _ = ops.shape(previous)
    reach = ksize // 2
    # Around the pixels that count there is a frame of minus infinity, as wide as any candidate can reach; rows of
    # zeros below stand for what neighbors outside point to. So a candidate is where its neighbor points, plus a
    # constant.
    margin = 2 * reach
    table = ops.where(_inner(height, width)[..., None], gray(previous), float("-inf"))
    table = _padded(table, (margin, margin), (margin, margin), float("-inf"))
    table = _padded(table, (0, ksize), (0, 0), 0.0)
    columns = width + 2 * margin
    rows = height + 2 * margin + ksize

    pointed = _truncated(flow)
    x = ops.clip(pointed[..., 0], -reach, width - 1 + reach) + margin
    y = ops.clip(pointed[..., 1], -reach, height - 1 + reach) + margin
    outside = (rows - 1 - reach) * columns + reach
    index = _padded((y * columns + x - outside)[..., None], (reach, reach), (reach, reach), 0)[..., 0] + outside
    index = index + ops.reshape(ops.arange(batch, dtype="int32") * (rows * columns), (batch, 1, 1))

    offsets = range(-reach, reach + 1)
    candidates = [
        index[:, reach - j : reach - j + height, reach - i : reach - i + width] + (j * columns + i)
        for i in offsets
        for j in offsets
    ]
    volume = ops.take(ops.reshape(table, (-1,)), ops.stack(candidates, axis=-1), axis=0)
    return ops.where(ops.isinf(volume), gray(current), volume)


def gray(frames):
    """[N, H, W, 3] -> [N, H, W, 1]."""
    return sum(weight * frames[..., channel : channel + 1] for channel, weight in enumerate(_GREY))


def _truncated(flow):
    """The whole pixels that a flow points to, [N, H, W, 2] int32. As int32, no gradient passes."""
    _, height, width, _ = ops.shape(flow)
    flow = flow if ops.dtype(flow) == "float64" else ops.cast(flow, "float32")
    x = ops.cast(ops.arange(width, dtype="int32"), flow.dtype) + flow[..., 0]
    y = ops.cast(ops.arange(height, dtype="int32"), flow.dtype)[:, None] + flow[..., 1]
    return ops.cast(ops.stack([x, y], axis=-1), "int32")


def _inner(height, width):
    """[H, W] boolean: all but the outermost rows and columns."""
    y, x = ops.arange(height, dtype="int32")[:, None], ops.arange(width, dtype="int32")
    return (y > 0) & (y < height - 1) & (x > 0) & (x < width - 1)


def _padded(x, rows: tuple[int, int], columns: tuple[int, int], value: float):
    return ops.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=value)
