"""Absolute difference above a margin."""

from keras import ops

from ascendcv.losses.reduction import absolute, difference, reduce


def marginal_l1(pred, target, *, margin: float = 1e-6, reduction: str = "mean", weight=None):
    """max(|pred - target|, margin): differences below the margin have no gradient.

    Other arguments: see `ascendcv.losses`. Source: the TensorFlow EDVR release (`loss_margin`).

    >>> import numpy as np
    >>> pred, target = np.zeros((1, 2, 2, 3), "float32"), np.full((1, 2, 2, 3), 0.5, "float32")
    >>> round(float(marginal_l1(pred, pred, margin=0.1)), 6)
    0.1
    """
    return reduce(ops.maximum(absolute(difference(pred, target)), margin), reduction, weight)
