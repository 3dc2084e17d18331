"""The temporal sharpness prior.

Source: Pan, Bai, Tang: "Cascaded Deep Video Deblurring Using Temporal Sharpness Prior" (CVPR 2020).
"""

from keras import ops

from ascendcv.ops.pool import avg_pool2d


def sharpness_prior(previous, middle, following, inside, *, filtered: bool = True):
    """Where three aligned frames agree: exp(-d), with d their distance from the middle one; 0 outside.

    Pixels that agree are sharp ones, as blur differs from frame to frame. d² is the sum over frames and channels of
    half the squared difference.

    Args:
        previous, middle, following: [N, H, W, C] in [0, 1], the neighbors warped to the middle one.
        inside: [N, H, W, 1] or [N, H, W, C], not 0 where both neighbors have something to show.
        filtered: compare means over 5x5 pixels (zeros outside the image count) instead of single pixels.

    Returns [N, H, W, 1] in [0, 1], without a gradient.

    Source: `CDVD_TSP.get_masks`; its deviation of 1 and filter of 5 are those of all published weights.

    >>> import numpy as np
    >>> frame, inside = np.ones((1, 6, 8, 3), "float32"), np.ones((1, 6, 8, 1), "float32")
    >>> float(np.min(sharpness_prior(frame, frame, frame, inside)))
    1.0
    """
    frames = [ops.stop_gradient(frame) for frame in (previous, middle, following)]
    if filtered:
        frames = [box_mean(frame) for frame in frames]
    before, center, after = frames
    squares = ops.square(before - center) + ops.square(after - center)
    distance = ops.sqrt(ops.sum(squares / 2, axis=-1, keepdims=True))
    inside = ops.max(ops.stop_gradient(inside), axis=-1, keepdims=True) > 0
    return ops.where(inside, ops.exp(-distance), 0.0)


def box_mean(frames, size: int = 5):
    """[N, H, W, C] -> the mean over size x size pixels around each; zeros outside the image count."""
    return avg_pool2d(frames, size, stride=1, padding=size // 2)
