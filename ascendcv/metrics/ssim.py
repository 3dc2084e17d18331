"""Structural similarity."""

import functools
from collections.abc import Iterator

import numpy as np

from ascendcv.metrics.images import cropped_pair
from ascendcv.utils.errors import InputError

WINDOW, RADIUS = 11, 5
_SIGMA = 1.5
_BORDER = WINDOW - 1
_ROWS, _COLUMNS = 16, 32  # of the map: what a matrix product makes at once
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
    return mean_similarity(a, b)


def mean_similarity(a: np.ndarray, b: np.ndarray, over_channels: np.ndarray | None = None) -> float:
    """The mean of the whole map of [C, H, W]; `over_channels` [C, C] smooths over channels too."""
    total = sum(similarity.sum() for _, similarity in _maps(a, b, over_channels))
    return float(total / (len(a) * (a.shape[1] - _BORDER) * (a.shape[2] - _BORDER)))


def contrast_and_similarity(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of [C, H, W], the means per channel [C] of contrast with structure, and of the whole similarity."""
    sums = np.zeros((2, len(a)))
    for maps in _maps(a, b):
        sums += [values.sum((1, 2)) for values in maps]
    contrast, similarity = sums / ((a.shape[1] - _BORDER) * (a.shape[2] - _BORDER))
    return contrast, similarity


def _maps(
    a: np.ndarray, b: np.ndarray, over_channels: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The maps [C, rows, W-10] of [C, H, W], a band of rows at a time, which stays in the cache.

    They are contrast with structure, and that times luminance.
    """
    for top in range(0, a.shape[1] - _BORDER, _ROWS):
        band = slice(top, top + _ROWS + _BORDER)
        moments = np.empty((4, *a[:, band].shape))
        moments[0], moments[1] = a[:, band], b[:, band]
        x, y, squares, product = moments
        np.multiply(x, x, out=squares)
        squares += np.multiply(y, y, out=product)
        np.multiply(x, y, out=product)
        if over_channels is not None:
            moments = np.einsum("cd,mdhw->mchw", over_channels, moments)
        mean_x, mean_y, squares, product = _smooth(moments)
        # In place from here on: memory is what takes the time.
        means = mean_x * mean_y
        mean_x *= mean_x
        mean_y *= mean_y
        mean_squares = np.add(mean_x, mean_y, out=mean_x)
        contrast = np.subtract(product, means, out=product)
        contrast *= 2
        contrast += _C2
        squares -= mean_squares
        squares += _C2
        contrast /= squares
        means *= 2
        means += _C1
        means *= contrast
        mean_squares += _C1
        means /= mean_squares
        yield contrast, means


def _smooth(moments: np.ndarray) -> np.ndarray:
    """[..., h, w] under the Gaussian, valid region: products with banded matrices, of columns block by block."""
    width = moments.shape[-1] - _BORDER
    bands = _filter_matrix(moments.shape[-2]) @ moments
    smooth = np.empty((*bands.shape[:-1], width))
    for left in range(0, width, _COLUMNS):
        block = slice(left, min(left + _COLUMNS, width))
        given = bands[..., block.start : block.stop + _BORDER]
        np.matmul(given, _filter_matrix(given.shape[-1]).T, out=smooth[..., block])
    return smooth


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
