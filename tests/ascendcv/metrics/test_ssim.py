"""Structural similarity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.metrics.ssim import ssim
from ascendcv.utils.errors import InputError


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """Weighted moments of every 11x11 window of [H, W], one window at a time."""
    distance = np.arange(-5, 6)
    window = np.exp(-(distance**2 + distance[:, np.newaxis] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            x, y = (image[top : top + 11, left : left + 11].astype(float) for image in (a, b))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            variances = (window * (x - mean_x) ** 2).sum() + (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            luminance = (2 * mean_x * mean_y + 6.5025) / (mean_x**2 + mean_y**2 + 6.5025)
            values.append(luminance * (2 * covariance + 58.5225) / (variances + 58.5225))
    return float(np.mean(values))


@settings(max_examples=8, deadline=None)
@given(st.integers(11, 14), st.integers(11, 90), st.booleans())
def test_it_is_the_definition(height, width, transposed):
    """Also across the blocks that it is computed in, of 16x32 pixels."""
    a = noise(height, width)
    b = (a // 2 + noise(height, width, seed=1) // 2).astype(np.uint8)
    if transposed:
        a, b = a.T, b.T
    assert ssim(a, b) == pytest.approx(by_definition(a, b), abs=1e-9)


def test_identical_images_give_one(photograph):
    assert ssim(photograph, photograph) == pytest.approx(1, abs=1e-12)


def test_channels_are_averaged():
    a, b = noise(20, 24, 3), noise(20, 24, 3, seed=1)
    assert ssim(a, b) == pytest.approx(np.mean([ssim(a[..., c], b[..., c]) for c in range(3)]))
    assert ssim(a[..., :1], b[..., :1]) == ssim(a[..., 0], b[..., 0])


def test_order_and_dtype_do_not_matter():
    a, b = noise(20, 24, 3), noise(20, 24, 3, seed=1)
    assert ssim(a, b) == pytest.approx(ssim(b.astype(np.float32), a.astype(np.float64)), abs=1e-15)


def test_more_noise_is_less_similar(photograph):
    image = photograph[:100, :120].astype(float)
    error = np.random.default_rng(0).standard_normal(image.shape)
    values = [ssim(image, image + strength * error) for strength in (0, 2, 8, 32)]
    assert values == sorted(values, reverse=True)


def test_the_border_does_not_count():
    a, b = noise(20, 24, 3), noise(20, 24, 3, seed=1)
    assert ssim(a, b, crop_border=4) == ssim(a[4:-4, 4:-4], b[4:-4, 4:-4])


def test_images_smaller_than_the_window_are_refused():
    with pytest.raises(InputError, match="11x11 pixels after cropping, not 20x10"):
        ssim(noise(14, 24), noise(14, 24), crop_border=2)


@pytest.mark.parametrize("shape", [(64, 80, 3), (11, 11, 1), (100, 137, 3), (70, 65)])
def test_it_is_scikit_images(photograph, shape):
    """With the settings that its documentation gives for Wang et al., to 1e-6."""
    from skimage.metrics import structural_similarity

    a, b = (photograph[top : top + shape[0], top : top + shape[1]] for top in (150, 152))
    if len(shape) == 2:
        a, b = a[..., 1], b[..., 1]
    elif shape[2] == 1:
        a, b = a[..., :1], b[..., :1]
    expected = structural_similarity(
        a,
        b,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=-1 if len(shape) == 3 else None,
    )
    assert ssim(a, b) == pytest.approx(expected, abs=1e-6)
