"""Absolute difference above a margin."""

from keras import ops

from ascendcv.losses.reduction import absolute, difference, reduce


def marginal_l1(pred, target, *, margin: float = 1e-6, reduction: str = "mean", weight=None):
    """max(|pred - target|, margin): differences below the margin have no gradient.

    Other arguments: see `ascendcv.losses`. Source: the TensorFlow EDVR release (`loss_margin`).
    """
    return reduce(ops.maximum(absolute(difference(pred, target)), margin), reduction, weight)
