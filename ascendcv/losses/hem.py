"""Hard example mining: the absolute difference where it is large, and at some pixels besides."""

from keras import ops

from ascendcv.losses.reduction import absolute, difference, reduce


def hem(pred, target, chosen, *, hard_share: float = 0.5, reduction: str = "mean"):
    """|pred - target| where `hem_mask` is 1, and 0 elsewhere; 'mean' is over all pixels.

    Args:
        pred, target, reduction: see `ascendcv.losses`. Several frames side by side in C have one mask in common.
        chosen: [N, H, W, 1], not 0 at pixels that count in any case: see `random_pixels`.
        hard_share: share of the pixels of a sample that count because they are the hardest.

    Source: `HEM` of CDVD-TSP.

    >>> import numpy as np
    >>> pred, target = np.zeros((1, 2, 2, 3), "float32"), np.full((1, 2, 2, 3), 0.5, "float32")
    >>> round(float(hem(pred, target, np.ones((1, 2, 2, 1), "float32"))), 6)
    0.5
    """
    mask = hem_mask(pred, target, chosen, hard_share=hard_share)
    return reduce(absolute(difference(pred, target)) * mask, reduction)


def hem_mask(pred, target, chosen, *, hard_share: float = 0.5):
    """[N, H, W, 1] of zeros and ones, without a gradient: the pixels that `hem` counts."""
    residual = ops.sum(ops.abs(ops.stop_gradient(difference(pred, target))), axis=-1, keepdims=True)
    _, height, width, _ = residual.shape
    count = int(hard_share * width * height)
    values = ops.sort(ops.reshape(residual, (-1, height * width)), axis=-1)
    threshold = values[:, height * width - 1 - count]  # `count` values of distinct ones are larger
    hard = residual > threshold[:, None, None, None]
    return ops.cast(ops.logical_or(hard, chosen > 0), residual.dtype)


def random_pixels(noise, share: float = 0.1):
    """[N, H, W, 1] of zeros and ones: in each sample this share of the pixels, those with the smallest noise.

    `noise`: [N, H, W, 1] of independent random numbers, so that who calls decides what they follow from.

    >>> import numpy as np
    >>> noise = np.random.default_rng(0).uniform(size=(1, 10, 10, 1)).astype("float32")
    >>> float(np.sum(random_pixels(noise, 0.1)))
    10.0
    """
    _, height, width, _ = noise.shape
    count = int(share * width * height)
    values = ops.sort(ops.reshape(noise, (-1, height * width)), axis=-1)
    return ops.cast(noise < values[:, count][:, None, None, None], noise.dtype)
