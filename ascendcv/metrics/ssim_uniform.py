"""Structural similarity under a uniform window, as scikit-image computes it by default."""

import numpy as np

from ascendcv.metrics.images import cropped_pair
from ascendcv.utils.errors import InputError

_WINDOW = 7


def ssim_uniform(a: np.ndarray, b: np.ndarray, *, data_range: float = 255.0) -> float:
    """Mean structural similarity under a 7x7 box, inside the image only, in float64.

    Variances are those of samples (divided by 48, not 49). Channels are compared one by one and averaged.

    Args:
        a, b: images [H, W] or [H, W, C] of any dtype.
        data_range: the difference of the largest and the smallest possible value.
    Raises:
        InputError: shapes differ, or there are fewer than 7 x 7 pixels.

    Source: scikit-image 0.18 `structural_similarity` (`multichannel=True`), by which PVDNet's `eval.py` measures.

    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    >>> round(ssim_uniform(image, image), 6)
    1.0
    """
    a, b = cropped_pair(a, b, 0)
    if min(a.shape[:2]) < _WINDOW:
        raise InputError(f"SSIM needs 7x7 pixels, not {a.shape[1]}x{a.shape[0]}")
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_a, mean_b = _box(a), _box(b)
    sample = _WINDOW**2 / (_WINDOW**2 - 1)
    variances = sample * (_box(a * a) - mean_a**2 + _box(b * b) - mean_b**2)
    covariance = sample * (_box(a * b) - mean_a * mean_b)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float(np.mean(luminance * (2 * covariance + c2) / (variances + c2)))


def _box(x: np.ndarray) -> np.ndarray:
    """Means over 7x7 pixels of [H, W] or [H, W, C], where the window is inside."""
    for axis in (0, 1):
        count = x.shape[axis] - _WINDOW + 1
        taps = (np.take(x, range(first, first + count), axis=axis) for first in range(_WINDOW))
        x = sum(taps, np.zeros((), x.dtype))
    return x / _WINDOW**2
