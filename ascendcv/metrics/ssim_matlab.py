"""Structural similarity as MATLAB's `ssim` computes it of color images."""

import numpy as np

from ascendcv.metrics.images import cropped_pair
from ascendcv.metrics.ssim import RADIUS, gaussian, mean_similarity
from ascendcv.utils.errors import InputError


def ssim_matlab(a: np.ndarray, b: np.ndarray, *, crop_border: int = 0) -> float:
    """Mean structural similarity under an 11x11x11 Gaussian (sigma 1.5), edges repeated, in float64.

    Given an image of several channels MATLAB takes them as a volume and smooths over them too, and every pixel of
    the image counts. The tables of deblurring papers are made so; their numbers are higher than those of `ssim`.

    Args:
        a, b: images [H, W] or [H, W, C] of any dtype, in 0..255.
        crop_border: pixels left out on all four sides.
    Raises:
        InputError: shapes differ, or nothing is left after cropping.

    Source: MATLAB's documentation of `ssim` (Radius 1.5, Exponents 1, 1, 1; edges are replicated); BasicSR's fork
    in megvii-research/NAFNet computes the same as `_ssim_3d`.

    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    >>> round(ssim_matlab(image, image), 6)
    1.0
    """
    a, b = cropped_pair(a, b, crop_border)
    if 0 in a.shape:
        raise InputError("an image without pixels has no SSIM")
    edges = [(0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)]
    a, b = (np.pad(np.moveaxis(np.atleast_3d(image), -1, 0), edges, "edge") for image in (a, b))
    return mean_similarity(a, b, _over_channels(len(a)))


def _over_channels(count: int) -> np.ndarray:
    """[count, count]: the Gaussian over an axis of so many values, beyond which its ends are repeated."""
    matrix = np.zeros((count, count))
    for row in range(count):
        for tap, weight in enumerate(gaussian(), start=row - RADIUS):
            matrix[row, min(max(tap, 0), count - 1)] += weight
    return matrix
