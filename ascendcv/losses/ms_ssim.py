"""Structural similarity at several scales, differentiable.

Source: Wang, Simoncelli, Bovik: "Multiscale structural similarity for image quality assessment" (Asilomar 2003), in
the arithmetic of pytorch-msssim 1.0.
"""

import keras
import numpy as np
from keras import ops

from ascendcv.ops.pool import avg_pool2d

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the paper, the finest scale first
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2  # for values in [0, 1]

# The coarsest scale has a sixteenth of the size and should hold a window.
MINIMUM_SIDE = (_WINDOW - 1) * 2 ** (len(_WEIGHTS) - 1) + 1


def ms_ssim(pred, target):
    """[N, C]: the similarity of images in [0, 1], channel by channel; 1 where they are equal.

    Args:
        pred, target: [N, H, W, C]; H and W of at least `MINIMUM_SIDE`, 161. C may hold several frames.

    Windows are Gaussian and lie inside the image; variances are biased; negative similarities count as 0. From
    scale to scale 2x2 pixels become their mean, an odd axis padded with zeros on both sides: there
    `tf.image.ssim_multiscale` differs.

    Raises ValueError for smaller images.

    >>> import numpy as np
    >>> image = np.random.default_rng(0).uniform(size=(1, 161, 161, 1)).astype("float32")
    >>> round(float(ms_ssim(image, image)[0, 0]), 4)
    1.0
    """
    _, height, width, _ = pred.shape
    if min(height, width) < MINIMUM_SIDE:
        raise ValueError(f"MS-SSIM needs sides of at least {MINIMUM_SIDE} pixels, not {height}x{width}")
    pred, target = _widened(pred, target)
    similarity = 1.0
    for scale, weight in enumerate(_WEIGHTS, start=1):
        luminance, contrast = _similarities(pred, target)
        if scale < len(_WEIGHTS):
            pred, target = _halved(pred), _halved(target)
        else:
            contrast = luminance * contrast
        similarity = similarity * _power(ops.mean(contrast, axis=(1, 2)), weight)
    return similarity


def similarity_map(pred, target):
    """[N, H - 10, W - 10, C]: the similarity at one scale, around each pixel of images [N, H, W, C] in [0, 1]."""
    luminance, contrast = _similarities(pred, target)
    return luminance * contrast


def _widened(pred, target):
    """Both in float32 at least."""
    dtype = keras.backend.result_type(pred.dtype, target.dtype, "float32")
    return ops.cast(pred, dtype), ops.cast(target, dtype)


def _similarities(pred, target):
    """Of luminance, and of contrast and structure together: [N, H - 10, W - 10, C] each."""
    images = (pred, target, pred * pred, target * target, pred * target)
    mean_p, mean_t, square_p, square_t, product = ops.split(_blurred(ops.concatenate(images, axis=-1)), 5, axis=-1)
    variances = square_p - mean_p * mean_p + square_t - mean_t * mean_t
    covariance = product - mean_p * mean_t
    luminance = (2 * mean_p * mean_t + _C1) / (mean_p * mean_p + mean_t * mean_t + _C1)
    return luminance, (2 * covariance + _C2) / (variances + _C2)


def _blurred(images):
    """Means over Gaussian windows, where the whole window lies inside: [N, H - 10, W - 10, C]."""
    window = np.exp(-np.square(np.arange(_WINDOW) - _WINDOW // 2) / (2 * _SIGMA**2))
    channels = images.shape[-1]
    line = ops.cast(np.repeat(window / window.sum(), channels), images.dtype)
    for shape in ((_WINDOW, 1), (1, _WINDOW)):
        images = ops.depthwise_conv(images, ops.reshape(line, (*shape, channels, 1)), 1, "valid", "channels_last")
    return images


def _halved(images):
    _, height, width, _ = images.shape
    rows, columns = height % 2, width % 2
    return avg_pool2d(ops.pad(images, ((0, 0), (rows, rows), (columns, columns), (0, 0))), 2, padding=0)


def _power(values, exponent: float):
    """max(values, 0) to the power, whose gradient at 0 is 0 instead of infinite."""
    positive = values > 0
    return ops.where(positive, ops.where(positive, values, 1.0) ** exponent, 0.0)
