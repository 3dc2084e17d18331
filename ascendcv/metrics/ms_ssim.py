"""Structural similarity at several scales."""

import numpy as np

from ascendcv.metrics.images import cropped_pair
from ascendcv.metrics.ssim import WINDOW, contrast_and_similarity
from ascendcv.utils.errors import InputError

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first


def ms_ssim(a: np.ndarray, b: np.ndarray, *, crop_border: int = 0) -> float:
    """The product over five scales, each half as large, of contrast and structure, and of SSIM at the coarsest.

    Each scale is that of `ssim`: an 11x11 Gaussian (sigma 1.5), inside the image only, in float64. Images are
    halved by the mean of 2x2 pixels; of odd sizes the last row or column is repeated first. Channels are averaged
    at the end; negative factors count as 0.

    Args:
        a, b: images [H, W] or [H, W, C] of any dtype, in 0..255.
        crop_border: pixels left out on all four sides.
    Raises:
        InputError: shapes differ, or fewer than 161 pixels are left on a side after cropping.

    Source: Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality assessment", 2003;
    TensorFlow's `tf.image.ssim_multiscale`.

    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 256, (176, 176, 3))
    >>> round(ms_ssim(image, image), 6)
    1.0
    """
    a, b = cropped_pair(a, b, crop_border)
    smallest = (WINDOW - 1) * 2 ** (len(_WEIGHTS) - 1) + 1
    if min(a.shape[:2]) < smallest:
        raise InputError(f"MS-SSIM needs {smallest} pixels on each side, not {a.shape[1]}x{a.shape[0]}")
    a, b = (np.moveaxis(np.atleast_3d(image), -1, 0) for image in (a, b))  # (C, H, W)
    product = np.ones(len(a))
    for scale, weight in enumerate(_WEIGHTS):
        if scale:
            a, b = _halved(a), _halved(b)
        contrast, similarity = contrast_and_similarity(a, b)
        product *= np.maximum(similarity if scale == len(_WEIGHTS) - 1 else contrast, 0) ** weight
    return float(product.mean())


def _halved(image: np.ndarray) -> np.ndarray:
    """[C, H, W] -> [C, ceil(H/2), ceil(W/2)]."""
    height, width = image.shape[1:]
    image = np.pad(image, [(0, 0), (0, height % 2), (0, width % 2)], "symmetric")
    return image.reshape(len(image), (height + 1) // 2, 2, (width + 1) // 2, 2).mean((2, 4))
