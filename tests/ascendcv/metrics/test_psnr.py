"""Peak signal-to-noise ratio."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascendcv.metrics.psnr import psnr
from ascendcv.utils.errors import InputError


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@given(st.floats(0.01, 255))
def test_a_constant_error(error):
    image = np.zeros((4, 5, 3))
    assert psnr(image + error, image) == pytest.approx(20 * math.log10(255 / error))


def test_identical_images_give_infinity(photograph):
    assert psnr(photograph, photograph.copy()) == math.inf


def test_one_squared_error_over_all_channels_not_a_mean_over_channels():
    error = np.zeros((4, 5, 3))
    error[..., 0] = 3
    assert psnr(error, 0 * error) == pytest.approx(10 * math.log10(255**2 / 3))


def test_order_and_dtype_do_not_matter():
    a, b = noise(6, 7, 3), noise(6, 7, 3, seed=1)
    assert psnr(a, b) == psnr(b, a) == psnr(a.astype(np.float32), b.astype(np.float64))


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 1), (9, 11, 3)])
def test_the_border_does_not_count(shape):
    a, b = noise(*shape), noise(*shape, seed=1)
    spoiled = b.copy()
    spoiled[:2] = spoiled[-2:] = spoiled[:, :2] = spoiled[:, -2:] = 0
    assert psnr(a, spoiled, crop_border=2) == psnr(a[2:-2, 2:-2], b[2:-2, 2:-2])


def test_the_variant_for_training_stays_finite():
    image = np.zeros((4, 5, 3), np.float32)
    assert psnr(image, image, peak=1, mse_offset=1e-8) == pytest.approx(80)


def test_images_of_two_sizes_are_refused():
    with pytest.raises(InputError, match=r"one shape, not \(4, 5, 3\) and \(4, 6, 3\)"):
        psnr(noise(4, 5, 3), noise(4, 6, 3))


def test_a_border_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match="crop_border 3 leaves nothing of 9x6 pixels"):
        psnr(noise(6, 9, 3), noise(6, 9, 3), crop_border=3)
