"""Absolute difference."""

from ascendcv.losses.reduction import absolute, difference, reduce


def l1(pred, target, *, reduction: str = "mean", weight=None):
    """|pred - target|, whose gradient is 0 where they are equal. Arguments: see `ascendcv.losses`.

    >>> import numpy as np
    >>> pred, target = np.zeros((1, 2, 2, 3), "float32"), np.full((1, 2, 2, 3), 0.5, "float32")
    >>> round(float(l1(pred, target)), 6)
    0.5
    """
    return reduce(absolute(difference(pred, target)), reduction, weight)
