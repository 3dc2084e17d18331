"""Products of features with weights."""

from keras import ops


def linear(x, kernel, bias=None):
    """x @ kernel + bias on the last axis, as one product of matrices whatever the rank.

    [..., C] by `kernel` [C, K] and `bias` [K] or None -> [..., K].

    >>> import numpy as np
    >>> from ascendcv.ops.linear import linear
    >>> tuple(linear(np.ones((1, 6, 8, 4), "float32"), np.ones((4, 5), "float32")).shape)
    (1, 6, 8, 5)
    """
    shape = ops.shape(x)
    y = ops.reshape(x, (-1, shape[-1])) @ kernel  # not `matmul`, which makes float64 float32 on PyTorch
    if bias is not None:
        y = y + bias
    return ops.reshape(y, (*shape[:-1], kernel.shape[-1]))
