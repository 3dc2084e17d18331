"""Sizes that a network cannot take: padded, and the result cropped back."""

from keras import ops


def to_multiple(x, multiple: int, size: str = "pad"):
    """[N, T, H, W, C] with H and W multiples of `multiple`.

    Args:
        size: 'pad' repeats the last row and column at the bottom and right; 'crop' cuts there, as the original
            networks' callers did.
    """
    for axis in (2, 3):
        length = ops.shape(x)[axis]
        if isinstance(length, int) and length % multiple == 0:
            continue
        if size == "pad":
            padded = -(-length // multiple) * multiple
            x = ops.take(x, ops.minimum(ops.arange(padded, dtype="int32"), length - 1), axis=axis)
        else:
            x = (
                x[:, :, : length // multiple * multiple]
                if axis == 2
                else x[:, :, :, : length // multiple * multiple]
            )
    return x
