"""Structural similarity under a box."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from ascendcv.metrics.ssim_uniform import ssim_uniform
from ascendcv.utils.errors import InputError


def pair(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    a = np.random.default_rng(0).random(shape)
    return a, 0.7 * a + 0.3 * np.random.default_rng(1).random(shape)


@pytest.mark.parametrize("size", [(7, 7), (8, 20), (31, 24)])
def test_it_is_that_of_scikit_image(size):
    a, b = pair(*size, 3)
    expected = structural_similarity(a, b, win_size=7, data_range=1.0, channel_axis=-1)
    assert ssim_uniform(a, b, data_range=1.0) == pytest.approx(expected, abs=1e-12)


def test_the_range_scales_with_the_values():
    a, b = pair(12, 14, 3)
    assert ssim_uniform(255 * a, 255 * b) == pytest.approx(ssim_uniform(a, b, data_range=1))


def test_gray_images_are_one_channel():
    a, b = pair(12, 14)
    assert ssim_uniform(a, b) == pytest.approx(ssim_uniform(a[..., np.newaxis], b[..., np.newaxis]))


def test_identical_images_give_one(photograph):
    assert ssim_uniform(photograph, photograph) == pytest.approx(1)


def test_images_smaller_than_the_window_are_refused():
    with pytest.raises(InputError, match="7x7 pixels, not 20x6"):
        ssim_uniform(*pair(6, 20, 3))
