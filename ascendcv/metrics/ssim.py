"""Structural similarity."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ascendcv.metrics.images import cropped_pair
from ascendcv.utils.errors import InputError

WINDOW, RADIUS = 11, 5
_SIGMA = 1.5
_BORDER = WINDOW - 1
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

    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    >>> round(ssim(image, image), 6)
    1.0
    """
    a, b = cropped_pair(a, b, crop_border)
    if min(a.shape[:2]) < WINDOW:
        raise InputError(f"SSIM needs 11x11 pixels after cropping, not {a.shape[1]}x{a.shape[0]}")
    a, b = (np.moveaxis(np.atleast_3d(image), -1, 0) for image in (a, b))
    return similarity_of_tiles(a, b)


def similarity_of_tiles(a: np.ndarray, b: np.ndarray, over_channels: np.ndarray | None = None) -> float:
    """The mean of the map of [C, H, W], in tiles that stay in the cache; see `contrast_and_similarity`."""
    total = sum(_maps(a[tile], b[tile], over_channels)[1].sum() for tile in _tiles(*a.shape[1:]))
    return float(total / (len(a) * (a.shape[1] - _BORDER) * (a.shape[2] - _BORDER)))


def contrast_and_similarity(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of [C, H, W], the means per channel [C] of contrast with structure, and of the whole similarity."""
    sums = [np.zeros(len(a)), np.zeros(len(a))]
    for tile in _tiles(*a.shape[1:]):
        for total, values in zip(sums, _maps(a[tile], b[tile]), strict=True):
            total += values.sum((1, 2))
    count = (a.shape[1] - _BORDER) * (a.shape[2] - _BORDER)
    return sums[0] / count, sums[1] / count


def _tiles(height: int, width: int) -> Iterator[tuple[Any, slice, slice]]:
    """Rectangles whose valid regions tile the valid region of [C, height, width]."""
    for top in range(0, height - _BORDER, _TILE):
        for left in range(0, width - _BORDER, _TILE):
            yield ..., slice(top, top + _TILE + _BORDER), slice(left, left + _TILE + _BORDER)


def _maps(a: np.ndarray, b: np.ndarray, over_channels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The maps [C, h-10, w-10] of [C, h, w]: contrast with structure, and that times luminance.

    `over_channels` [C, C] smooths over channels too.
    """
    moments = np.stack([a, b, a * a + b * b, a * b])
    if over_channels is not None:
        moments = np.einsum("cd,mdhw->mchw", over_channels, moments)
    mean_a, mean_b, squares, product = _smooth(moments)
    means = mean_a * mean_b
    mean_squares = mean_a * mean_a + mean_b * mean_b
    contrast = (2 * (product - means) + _C2) / (squares - mean_squares + _C2)
    return contrast, contrast * (2 * means + _C1) / (mean_squares + _C1)


def _smooth(x: np.ndarray) -> np.ndarray:
    """[..., h, w] under the Gaussian, valid region: two products with banded matrices."""
    return _filter_matrix(x.shape[-2]) @ x @ _filter_matrix(x.shape[-1]).T


def gaussian() -> np.ndarray:
    """The window's 11 taps along an axis, whose sum is 1."""
    taps = np.exp(-((np.arange(WINDOW) - RADIUS) ** 2) / (2 * _SIGMA**2))
    return taps / taps.sum()


@functools.cache
def _filter_matrix(length: int) -> np.ndarray:
    """[length - 10, length]: row i holds the Gaussian's taps from column i on."""
    matrix = np.zeros((length - _BORDER, length))
    for row, line in enumerate(matrix):
        line[row : row + WINDOW] = gaussian()
    return matrix
