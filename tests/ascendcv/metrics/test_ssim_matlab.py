"""Structural similarity of color images as MATLAB computes it."""

import numpy as np
import pytest
from scipy import ndimage

from ascendcv.metrics.ssim import ssim
from ascendcv.metrics.ssim_matlab import ssim_matlab
from ascendcv.utils.errors import InputError


def by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """As the documentation of MATLAB's `ssim` says of a volume: Gaussian weights, edges replicated, C1 and C2."""

    def smooth(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, 1.5, mode="nearest", radius=5)

    a, b = a.astype(float), b.astype(float)
    mean_a, mean_b = smooth(a), smooth(b)
    variance_a, variance_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float(np.mean(luminance * (2 * covariance + c2) / (variance_a + variance_b + c2)))


@pytest.mark.parametrize("shape", [(30, 41, 3), (130, 75, 3), (12, 12, 1), (40, 30), (3, 5, 3), (1, 1, 3)])
def test_it_is_the_definition(photograph, shape):
    a = photograph[100 : 100 + shape[0], 100 : 100 + shape[1]]
    b = photograph[103 : 103 + shape[0], 102 : 102 + shape[1]]
    if len(shape) == 2:
        a, b = a[..., 0], b[..., 0]
    elif shape[2] == 1:
        a, b = a[..., :1], b[..., :1]
    assert ssim_matlab(a, b) == pytest.approx(by_definition(a, b), abs=1e-10)


def test_it_is_another_number_than_that_of_the_papers_of_super_resolution(photograph):
    a, b = (
        photograph[:200, :200],
        np.clip(photograph[:200, :200] + np.random.default_rng(0).normal(0, 20, 3), 0, 255),
    )
    noisy = np.clip(b + np.random.default_rng(1).normal(0, 15, a.shape), 0, 255)
    assert abs(ssim_matlab(a, noisy) - ssim(a, noisy)) > 0.01


def test_identical_images_give_one_and_others_are_refused(photograph):
    assert ssim_matlab(photograph, photograph) == pytest.approx(1, abs=1e-12)
    with pytest.raises(InputError, match="one shape"):
        ssim_matlab(photograph, photograph[1:])
    with pytest.raises(InputError, match="crop_border"):
        ssim_matlab(photograph[:9], photograph[:9], crop_border=5)


def test_a_border_is_cut_off_first(photograph):
    a, b = photograph[:60, :60], photograph[2:62, 2:62]
    assert ssim_matlab(a, b, crop_border=7) == ssim_matlab(a[7:-7, 7:-7], b[7:-7, 7:-7])
