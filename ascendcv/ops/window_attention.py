"""Self-attention inside windows of video features, as in Video Swin Transformer (Liu et al., CVPR 2022)."""

from keras import ops

from ascendcv.ops import registry
from ascendcv.ops.layer_norm import layer_norm
from ascendcv.ops.linear import linear
from ascendcv.ops.windows import (
    cyclic_shift,
    pad_to_windows,
    relative_position_index,
    shifted_window_mask,
    window_partition,
    window_reverse,
)


def window_attention(
    x,
    norm,
    qkv,
    table,
    projection,
    *,
    window: tuple[int, int, int],
    heads: int,
    shifted: bool = False,
    scale: float | None = None,
    epsilon: float = 1e-5,
    impl: str = "auto",
):
    """The residual attention part of a Transformer layer: `x + projection(attention(norm(x)))`.

    Features are normalized over their channels and padded with zeros to whole windows; the padded tokens take part
    in the attention. Every token attends, with several heads, to the tokens of its window. Scores are
    scale * query . key plus a learned bias for each difference of places.

    Args:
        x: [B, D, H, W, C], D a multiple of the window's frames; H and W are free.
        norm: gamma and beta [C] of a layer normalization.
        qkv: kernel [C, 3C] and bias [3C] or None, of queries, keys and values side by side, each head by head.
        table: [(2d - 1) * (2h - 1) * (2w - 1), heads], the biases (see `windows.relative_position_index`).
        projection: kernel [C, C] and bias [C].
        window: (d, h, w): frames, rows and columns.
        heads: head h has the channels h * C / heads to (h + 1) * C / heads.
        shifted: whether the windows are shifted by half their height and width (see `ascendcv.ops.windows`).
        scale: None: 1 / sqrt(C / heads).
        epsilon: of the normalization.
        impl: 'auto', 'tf', 'fused' or 'npu' (see `ascendcv.ops.registry`). 'auto' takes the kernel for float32, and
            composes while Keras only asks for shapes.

    Returns [B, D, H, W, C] in the dtype of `x`. The kernel stores the scores of one head in one window, and nothing
    of all windows but the result; its gradient computes queries, keys and values once more.

    Raises `ValueError` for channels or frames that do not fit.

    >>> import numpy as np
    >>> x, table, vector = (np.ones(shape, "float32") for shape in ((1, 2, 6, 8, 4), (27, 2), 4))
    >>> norm, qkv, projection = (vector, vector), (np.ones((4, 12), "float32"), None), (np.eye(4), vector)
    >>> tuple(window_attention(x, norm, qkv, table, projection, window=(2, 2, 2), heads=2).shape)
    (1, 2, 6, 8, 4)
    """
    frames, channels = x.shape[1], x.shape[-1]
    d, h, w = window
    if channels % heads or tuple(table.shape) != ((2 * d - 1) * (2 * h - 1) * (2 * w - 1), heads):
        raise ValueError(
            f"{channels} channels and a table {tuple(table.shape)} do not fit {heads} heads and windows {window}"
        )
    if frames is not None and frames % d:
        raise ValueError(f"{frames} frames are no multiple of the {d} of a window")
    dtype = ops.dtype(x)
    worthwhile = dtype == "float32" and not registry.only_shapes()
    return registry.resolve("window_attention", impl, dtype, worthwhile=worthwhile)(
        x,
        norm,
        qkv,
        table,
        projection,
        window=window,
        heads=heads,
        shifted=shifted,
        scale=(channels // heads) ** -0.5 if scale is None else scale,
        epsilon=epsilon,
    )


def composed(x, norm, qkv, table, projection, *, window, heads, shifted, scale, epsilon):
    """`window_attention` by cutting the features into windows, with the scores of all of them."""
    _, frames, height, width, channels = ops.shape(x)
    features = pad_to_windows(layer_norm(x, norm[0], norm[1], epsilon), window)
    _, _, padded_height, padded_width, _ = ops.shape(features)
    down, right = window[1] // 2, window[2] // 2
    if shifted:
        features = cyclic_shift(features, -down, -right)

    rows = linear(window_partition(features, window), *qkv)  # [B * windows, tokens, 3C]
    tokens = rows.shape[1]
    rows = ops.reshape(rows, (-1, tokens, 3, heads, channels // heads))
    q, k, v = ops.unstack(ops.transpose(rows, (2, 0, 3, 1, 4)), 3)  # [B * windows, heads, tokens, C / heads] each
    # Not by `matmul`, which makes float64 float32 on PyTorch.
    scores = (q * scale) @ ops.swapaxes(k, -2, -1) + position_bias(table, window)
    if shifted:
        mask = ops.cast(shifted_window_mask(padded_height, padded_width, window), x.dtype)
        scores = ops.reshape(scores, (-1, ops.shape(mask)[0], heads, tokens, tokens)) + mask
        scores = ops.reshape(scores, (-1, heads, tokens, tokens))
    y = ops.transpose(ops.softmax(scores) @ v, (0, 2, 1, 3))
    y = linear(ops.reshape(y, (-1, tokens, channels)), *projection)

    y = window_reverse(y, window, frames, padded_height, padded_width)
    if shifted:
        y = cyclic_shift(y, down, right)
    return x + y[:, :, :height, :width]


def position_bias(table, window: tuple[int, int, int]):
    """[heads, tokens, tokens] of the table [differences of places, heads]."""
    index = relative_position_index(window)
    # Along axis 1, because TensorFlow's gradient of taking rows is sparse.
    return ops.reshape(ops.take(ops.transpose(table), index.ravel(), axis=1), (-1, *index.shape))
