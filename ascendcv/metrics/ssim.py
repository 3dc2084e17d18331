"""Structural similarity."""

import functools
from collections.abc import Iterator

import numpy as np

from ascendcv.metrics.images import cropped_pair
from ascendcv.utils.errors import InputError

_WINDOW, _SIGMA = 11, 1.5
_BORDER = _WINDOW - 1
_TILE = 64  # output pixels: small enough for the cache, large enough for matrix products
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(a: np.ndarray, b: np.ndarray, *, crop_border: int = 0) -> float:
    """Mean structural similarity under an 11x11 Gaussian (sigma 1.5), inside the image only, in float64.

    Channels are compared one by one and averaged.

    Args:
        a, b: images [H, W] or [H, W, C] of any dtype, in 0..255.
        crop_border: pixels left out on all four sides.
    Raises:
        InputError: shapes differ, or fewer than 11 x 11 pixels are left after cropping.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004;
    BasicSR `metrics/psnr_ssim.py`, whose PyTorch variant is the same on images in 0..1, multiplied by 255.
    """
    a, b = cropped_pair(a, b, crop_border)
    if min(a.shape[:2]) < _WINDOW:
        raise InputError(f"SSIM needs 11x11 pixels after cropping, not {a.shape[1]}x{a.shape[0]}")
    a, b = (np.moveaxis(np.atleast_3d(image), -1, 0) for image in (a, b))  # (C, H, W)
    total = sum(_similarity(a[tile], b[tile]).sum() for tile in _tiles(*a.shape[1:]))
    return float(total / (len(a) * (a.shape[1] - _BORDER) * (a.shape[2] - _BORDER)))


def _tiles(height: int, width: int) -> Iterator[tuple[object, slice, slice]]:
    """Rectangles whose valid regions tile the valid region of [C, height, width]."""
    for top in range(0, height - _BORDER, _TILE):
        for left in range(0, width - _BORDER, _TILE):
            yield ..., slice(top, top + _TILE + _BORDER), slice(left, left + _TILE + _BORDER)


def _similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The map [C, h-10, w-10] of [C, h, w]."""
    mean_a, mean_b, squares, product = _smooth(np.stack([a, b, a * a + b * b, a * b]))
    means = mean_a * mean_b
    mean_squares = mean_a * mean_a + mean_b * mean_b
    return ((2 * means + _C1) * (2 * (product - means) + _C2)) / (
        (mean_squares + _C1) * (squares - mean_squares + _C2)
    )


def _smooth(x: np.ndarray) -> np.ndarray:
    """[..., h, w] under the Gaussian, valid region: two products with banded matrices."""
    return _filter_matrix(x.shape[-2]) @ x @ _filter_matrix(x.shape[-1]).T


@functools.cache
def _filter_matrix(length: int) -> np.ndarray:
    """[length - 10, length]: row i holds the Gaussian's taps from column i on."""
    taps = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _SIGMA**2))
    matrix = np.zeros((length - _BORDER, length))
    for row, line in enumerate(matrix):
        line[row : row + _WINDOW] = taps / taps.sum()
    return matrix
