"""Squared difference."""

from keras import ops

from ascendcv.losses.reduction import difference, reduce


def l2(pred, target, *, reduction: str = "mean", weight=None):
    """(pred - target)^2. Arguments: see `ascendcv.losses`."""
    return reduce(ops.square(difference(pred, target)), reduction, weight)
