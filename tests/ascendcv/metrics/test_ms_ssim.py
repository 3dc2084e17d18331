"""Structural similarity at several scales."""

import numpy as np
import pytest

from ascendcv.metrics.ms_ssim import ms_ssim
from ascendcv.utils.errors import InputError


@pytest.mark.parametrize("shape", [(176, 161), (191, 187), (256, 300)])
@pytest.mark.parametrize("change", ["noise", "shift", "brightness"])
def test_it_is_tensorflows(photograph, shape, change):
    import tensorflow as tf

    a = photograph[: shape[0], : shape[1]].astype(np.float32)
    b = {
        "noise": lambda: a + np.random.default_rng(0).normal(0, 25, a.shape).astype(np.float32),
        "shift": lambda: np.roll(a, (1, 2), (0, 1)),
        "brightness": lambda: 0.8 * a + 20,
    }[change]()
    assert ms_ssim(a, b) == pytest.approx(float(tf.image.ssim_multiscale(a, b, 255)), abs=1e-4)


def test_identical_images_give_one_and_opposite_ones_less_than_others(photograph):
    assert ms_ssim(photograph, photograph) == pytest.approx(1, abs=1e-12)
    assert 0 <= ms_ssim(photograph, 255 - photograph) < ms_ssim(photograph, photograph // 2)


@pytest.mark.parametrize("border", [0, 4])
def test_images_that_are_too_small_are_refused(photograph, border):
    small = photograph[: 160 + 2 * border, :300]
    with pytest.raises(InputError, match="MS-SSIM needs 161 pixels on each side, not"):
        ms_ssim(small, small, crop_border=border)
