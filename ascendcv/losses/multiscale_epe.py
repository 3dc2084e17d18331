"""The end-point error at several scales, which flow networks are trained with."""

from collections.abc import Sequence

from keras import ops

from ascendcv.ops.adaptive_pool import adaptive_avg_pool2d

# Of level 6 (a 64th of the size) down to level 2 (a quarter).
WEIGHTS = (0.32, 0.08, 0.02, 0.01, 0.005)


def end_point_error(flow, target):
    """[N, H, W, 2] twice -> [N, H, W]: the lengths of the differences. Where both are equal, the gradient is 0.

    >>> import numpy as np
    >>> flow = np.zeros((1, 1, 1, 2), "float32")
    >>> float(end_point_error(flow, flow + np.array([3, 4], "float32"))[0, 0, 0])
    5.0
    """
    squared = ops.sum(ops.square(target - flow), axis=-1)
    different = squared > 0
    return ops.where(different, ops.sqrt(ops.where(different, squared, 1.0)), 0.0)


def multiscale_epe(flows: Sequence, target, *, div_flow: float = 0.05):
    """The weighted sum of the end-point errors of all pixels of all levels and samples.

    Args:
        flows: of levels 6 to 2, [N, h, w, 2] in full-size pixels times `div_flow`.
        target: [N, H, W, 2] in pixels; averaged down to the size of each level.
        div_flow: the unit of the networks.

    Returns the loss, which is not divided by the number of samples, and the mean error of each level, in the unit
    of `flows`. Source: deblur-devil `MultiScaleEPE`.

    >>> import numpy as np
    >>> flows = [np.zeros((1, side, side, 2), "float32") for side in (1, 2, 4, 8, 16)]
    >>> round(float(multiscale_epe(flows, np.zeros((1, 64, 64, 2), "float32"))[0]), 6)
    0.0
    """
    target = target * div_flow
    total, means = 0.0, []
    for weight, flow in zip(WEIGHTS, flows, strict=True):
        error = end_point_error(flow, adaptive_avg_pool2d(target, ops.shape(flow)[1:3]))
        total = total + weight * ops.sum(error)
        means.append(ops.mean(error))
    return total, means
