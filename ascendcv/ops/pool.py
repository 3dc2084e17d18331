"""Pooling with the padding of the published networks: on both sides."""

import keras
from keras import ops


def max_pool2d(x, size: int = 3, stride: int = 2, padding: int = 1):
    """[N, H, W, C] -> [N, Ho, Wo, C], the largest value of each window; what is padded never is the largest.

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(max_pool2d(x).shape)
    (1, 3, 4, 4)
    """
    lowest = -float("inf") if keras.backend.is_float_dtype(x.dtype) else 0
    x = ops.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=lowest)
    return ops.max_pool(x, size, stride, padding="valid", data_format="channels_last")


def avg_pool2d(x, size: int = 3, stride: int = 2, padding: int = 1):
    """[N, H, W, C] -> [N, Ho, Wo, C], the mean of each window; padded zeros count in it.

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(avg_pool2d(x).shape)
    (1, 3, 4, 4)
    """
    x = ops.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return ops.average_pool(x, size, stride, padding="valid", data_format="channels_last")
