"""PSNR after alignment: what brightness and position differ by does not count, and nothing else is forgiven."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.metrics.koehler import aligned_pair, brightness, displacement, psnr_searched
from ascendcv.metrics.psnr import psnr
from ascendcv.utils.errors import InputError

shifts = st.integers(-5, 5)


@pytest.fixture(scope="module")
def picture(photograph) -> np.ndarray:
    return photograph[100:164, 180:260].astype(np.float64)


def moved(photograph: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """What a camera sees that stands aside: the content of `picture` further down by `rows`, right by `columns`."""
    return photograph[100 - rows : 164 - rows, 180 - columns : 260 - columns].astype(np.float64)


def noisy(image: np.ndarray) -> np.ndarray:
    return image + 5 * np.random.default_rng(0).standard_normal(image.shape)


class TestAlignedPair:
    @settings(max_examples=15, deadline=None)
    @given(rows=shifts, columns=shifts)
    def test_the_displacement_is_found(self, photograph, picture, rows, columns):
        assert displacement(moved(photograph, rows, columns), picture) == (-rows, -columns)

    @given(factor=st.floats(0.2, 3))
    def test_so_is_the_factor_of_brightness(self, picture, factor):
        assert brightness(picture / factor, picture) == pytest.approx(factor)

    def test_only_the_border_that_was_left_is_empty(self, photograph, picture):
        result, truth = aligned_pair(0.5 * moved(photograph, 2, -3), picture)
        inside = np.s_[:-2, 3:]
        np.testing.assert_allclose(result[inside], truth[inside], rtol=0.05, atol=2)
        for plane in (result, truth):
            assert np.all(plane[-2:] == 0)
            assert np.all(plane[:, :3] == 0)
            assert plane[inside].min() > 0

    def test_the_empty_border_counts_in_the_mean(self, photograph, picture):
        result, truth = aligned_pair(noisy(moved(photograph, 4, 4)), picture)
        assert psnr(result, truth) > psnr(result[4:-4, 4:-4], truth[4:-4, 4:-4]) + 0.3

    def test_without_shift_and_factor_it_is_the_plain_psnr_of_luma(self, picture):
        result, truth = aligned_pair(picture, picture)
        np.testing.assert_allclose(result, picture @ [0.299, 0.587, 0.114])
        np.testing.assert_allclose(result, truth)

    def test_images_of_two_sizes_are_refused(self, picture):
        with pytest.raises(InputError, match="one shape"):
            aligned_pair(picture[:-1], picture)


class TestPsnrSearched:
    @settings(max_examples=10, deadline=None)
    @given(rows=shifts, columns=shifts)
    def test_a_shift_within_reach_does_not_count(self, photograph, picture, rows, columns):
        found = psnr_searched(moved(photograph, rows, columns), picture, optimize_scale=False)
        assert found == math.inf

    def test_one_beyond_does(self, photograph, picture):
        assert psnr_searched(moved(photograph, 0, 6), picture) < 40
        assert psnr_searched(moved(photograph, 0, 6), picture, reach=6, optimize_scale=False) == math.inf

    def test_without_options_it_is_the_plain_psnr(self, picture):
        options = {"optimize_scale": False, "optimize_shift": False}
        result = noisy(picture)
        assert psnr_searched(result, picture, gray=False, **options) == pytest.approx(psnr(result, picture))
        planes = (image @ [0.299, 0.587, 0.114] for image in (result, picture))
        assert psnr_searched(result, picture, **options) == pytest.approx(psnr(*planes))

    def test_the_factor_is_the_published_one(self, picture):
        """<result, truth> / <truth, truth>: a result that is too bright becomes brighter still."""
        found = psnr_searched(1.1 * picture, picture, gray=False, optimize_shift=False)
        assert found == pytest.approx(psnr(1.21 * picture, picture))

    def test_the_images_of_a_batch_share_a_shift_and_a_mean(self, picture):
        pair = np.stack([noisy(picture), picture + 1]), np.stack([picture, picture])
        options = {"optimize_scale": False, "optimize_shift": False, "gray": False}
        errors = [255**2 / 10 ** (psnr(a, b) / 10) for a, b in zip(*pair, strict=True)]
        expected = 10 * math.log10(255**2 / np.mean(errors))
        assert psnr_searched(*pair, **options) == pytest.approx(expected)

    def test_the_peak_scales_with_the_values(self, picture):
        result = noisy(picture)
        assert psnr_searched(result / 255, picture / 255, peak=1) == pytest.approx(psnr_searched(result, picture))
