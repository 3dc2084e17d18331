"""Absolute difference."""

from ascendcv.losses.reduction import absolute, difference, reduce


def l1(pred, target, *, reduction: str = "mean", weight=None):
    """|pred - target|, whose gradient is 0 where they are equal. Arguments: see `ascendcv.losses`."""
    return reduce(absolute(difference(pred, target)), reduction, weight)
