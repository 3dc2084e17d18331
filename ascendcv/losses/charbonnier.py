"""The differentiable relative of the absolute difference that restoration networks are trained with."""

from keras import ops

from ascendcv.losses.reduction import difference, reduce


def charbonnier(pred, target, *, eps: float = 1e-12, reduction: str = "mean", weight=None):
    """sqrt((pred - target)^2 + eps). Other arguments: see `ascendcv.losses`.

    `eps` is added as it is, not squared: 1e-12 in BasicSR (EDVR, with reduction 'sum'), 1e-9 in KAIR and
    RVRT, 1e-6 (`loss_margin`) in the TensorFlow EDVR release. The gradient is 0 where both are equal.

    Source: Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for computed
    imaging", 1994.

    >>> import numpy as np
    >>> pred, target = np.zeros((1, 2, 2, 3), "float32"), np.full((1, 2, 2, 3), 0.5, "float32")
    >>> round(float(charbonnier(pred, target)), 6)
    0.5
    """
    return reduce(ops.sqrt(ops.square(difference(pred, target)) + eps), reduction, weight)
