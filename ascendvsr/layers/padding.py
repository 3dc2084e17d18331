"""Sizes that a network cannot take: padded, and the result cropped back; or cropped."""

from keras import ops

from ascendcv.ops.resize import next_multiple
from ascendcv.utils.errors import InputError


def to_multiple(x, multiple: int, size: str = "pad", at_least: int = 0):
    """[N, T, H, W, C] with H and W multiples of `multiple`.

    Args:
        size: 'pad' repeats the last row and column at the bottom and right; 'crop' cuts there, as the original
            networks' callers did.
        at_least: a multiple of `multiple`: shorter sides are padded to it, whatever `size` says.

    Raises `InputError` where cropping leaves nothing.
    """
    for axis in (2, 3):
        length = ops.shape(x)[axis]
        if isinstance(length, int) and length % multiple == 0 and length >= at_least:
            continue
        new_length = next_multiple(length, multiple) if size == "pad" else length // multiple * multiple
        if at_least:
            new_length = max(new_length, at_least) if isinstance(length, int) else ops.maximum(new_length, at_least)
        if isinstance(length, int) and new_length == 0:
            raise InputError(
                f"frames with a side of {length} pixels cannot become multiples of {multiple}: use size 'pad'"
            )
        lines = ops.minimum(ops.arange(new_length, dtype="int32"), length - 1)
        x = ops.take(x, lines, axis=axis)
    return x
