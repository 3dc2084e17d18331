"""Average pooling to a given size."""

from keras import ops


def adaptive_avg_pool2d(x, size: tuple):
    """[N, H, W, C] -> [N, size[0], size[1], C]: means over bins that divide the image, and overlap where it cannot.

    Along an axis bin i of n is made of the pixels floor(i L / n) to ceil((i + 1) L / n) - 1 of L. Source: PyTorch
    `adaptive_avg_pool2d`.

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(adaptive_avg_pool2d(x, (3, 5)).shape)
    (1, 3, 5, 4)
    """
    for axis in (1, 2):
        length, bins = ops.shape(x)[axis], size[axis - 1]
        if not (isinstance(length, int) and isinstance(bins, int) and length == bins):
            x = ops.moveaxis(ops.tensordot(_bins(length, bins, x.dtype), x, axes=(1, axis)), 0, axis)
    return x


def _bins(length, bins, dtype):
    """[bins, length]: what each pixel counts in each bin."""
    pixel = ops.arange(length, dtype="int32")
    number = ops.arange(bins, dtype="int32")[:, None]
    inside = (pixel >= number * length // bins) & (pixel < ((number + 1) * length + bins - 1) // bins)
    inside = ops.cast(inside, dtype)
    return inside / ops.sum(inside, axis=1, keepdims=True)
