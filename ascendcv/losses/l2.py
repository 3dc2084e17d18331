"""Squared difference."""

from keras import ops

from ascendcv.losses.reduction import difference, reduce


def l2(pred, target, *, reduction: str = "mean", weight=None):
    """(pred - target)^2. Arguments: see `ascendcv.losses`.

    >>> import numpy as np
    >>> pred, target = np.zeros((1, 2, 2, 3), "float32"), np.full((1, 2, 2, 3), 0.5, "float32")
    >>> round(float(l2(pred, target)), 6)
    0.25
    """
    return reduce(ops.square(difference(pred, target)), reduction, weight)
