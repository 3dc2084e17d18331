"""PSNR and SSIM of a deblurred image once its brightness and position are those of the ground truth.

A blurred image does not tell where the sharp one was to the pixel, nor exactly how bright. Koehler et al.,
"Recording and playback of camera shake" (ECCV 2012), measure after undoing both. Two papers do so in two ways:
`aligned_pair` is PVDNet's, `psnr_searched` that of "Deep Video Deblurring: The Devil is in the Details".
"""

import itertools
import math
from typing import Any

import numpy as np

from ascendcv.metrics.images import cropped_pair

_GRAY = np.array([0.299, 0.587, 0.114])


def aligned_pair(result: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both images as planes Y [H, W], float64, ready for `psnr` and `ssim`: the result aligned, the truth masked.

    The result is multiplied by what brings it closest to the truth and moved by whole pixels. Where it has nothing
    then, both are 0, and these pixels count.

    Args:
        result, truth: RGB images [H, W, 3] of any dtype, in 0..255.
    Raises:
        InputError: shapes differ.

    Source: codeslake/PVDNet `evaluation/evaluation.m`, with one step a pixel (`dftregistration(..., 1)`).

    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    >>> result, truth = aligned_pair(image, image)
    >>> result.shape
    (16, 16)
    """
    result, truth = cropped_pair(result, truth, 0)
    result = brightness(result, truth) * result
    shift = displacement(result, truth)
    inside = _moved(np.ones_like(truth), shift)
    return _moved(result, shift) @ _GRAY, (truth * inside) @ _GRAY


def brightness(result: np.ndarray, truth: np.ndarray) -> float:
    """The factor of `result` with the least squared error."""
    return float(np.sum(truth * result) / np.sum(result * result))


def displacement(result: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """(rows, columns), whole pixels, by which [H, W, C] `result` is to be moved: where correlation is highest."""
    spectra = np.fft.fft2(truth.mean(axis=-1)), np.fft.fft2(result.mean(axis=-1))
    correlation = np.fft.ifft2(spectra[0] * np.conj(spectra[1]))
    # MATLAB runs down the columns: of equal values it takes the first in that order.
    column, row = np.unravel_index(np.argmax(np.abs(correlation).T), correlation.T.shape)
    height, width = correlation.shape
    rows = row - height if row + 1 > height // 2 else row
    columns = column - width if column + 1 > width // 2 else column
    return int(rows), int(columns)


def _moved(image: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """`image` [H, W, C] moved down and right, 0 where it leaves."""
    moved = np.zeros_like(image)
    (to_y, from_y), (to_x, from_x) = (_overlap(step) for step in shift)
    moved[to_y, to_x] = image[from_y, from_x]
    return moved


def _overlap(step: int) -> tuple[slice, slice]:
    """Where an axis moved by `step` overlaps the one that stays, and which of its places lie there."""
    ahead, behind = slice(abs(step), None), slice(None, -abs(step) or None)
    return (ahead, behind) if step >= 0 else (behind, ahead)


def psnr_searched(
    result: np.ndarray,
    truth: np.ndarray,
    *,
    gray: bool = True,
    optimize_scale: bool = True,
    optimize_shift: bool = True,
    reach: int = 5,
    peak: float = 255.0,
) -> float:
    """The best PSNR in dB over all shifts by up to `reach` whole pixels, where the images overlap.

    Args:
        result, truth: RGB images [H, W, 3], or batches of them [N, H, W, 3], which share a shift and a mean error.
        gray: compare luma (BT.601), not the three channels.
        optimize_scale: multiply each result by <result, truth> / <truth, truth>. (Least squares would divide by
            <result, result>; published numbers are by this one.)
        optimize_shift: whether to search.
        peak: the largest possible value.
    Returns:
        The ratio; inf for identical images.

    Source: visinf/deblur-devil `contrib/koehler_psnr.py`.

    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    >>> psnr_searched(image, image)
    inf
    """
    result, truth = (image.astype(np.float64) for image in (result, truth))
    if gray:
        result, truth = (np.expand_dims(image @ _GRAY, -1) for image in (result, truth))
    if optimize_scale:
        of_image: dict[str, Any] = {"axis": (-3, -2, -1), "keepdims": True}
        result = np.sum(result * truth, **of_image) / np.sum(truth * truth, **of_image) * result
    steps = range(-reach, reach + 1) if optimize_shift else (0,)
    error = min(_shifted_error(result, truth, shift) for shift in itertools.product(steps, steps))
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def _shifted_error(result: np.ndarray, truth: np.ndarray, shift: tuple[int, int]) -> float:
    (to_y, from_y), (to_x, from_x) = (_overlap(step) for step in shift)
    return float(np.mean((result[..., to_y, to_x, :] - truth[..., from_y, from_x, :]) ** 2))
