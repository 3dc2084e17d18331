"""YCbCr and the Y plane of the papers' metrics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascendcv.utils.color import luma, rgb_to_ycbcr, ycbcr_to_rgb


@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((255, 0, 0), (81, 90, 240)),
        ((0, 255, 0), (145, 54, 34)),
        ((0, 0, 255), (41, 240, 110)),
    ],
)
def test_studio_range(rgb, ycbcr):
    """The color bars of BT.601."""
    image = np.array([[rgb]], np.uint8)
    assert rgb_to_ycbcr(image).tolist() == [[list(ycbcr)]]
    np.testing.assert_allclose(rgb_to_ycbcr(np.float32(image / 255)) * 255, [[ycbcr]], atol=0.5)


def test_there_and_back(photograph):
    unit = photograph.astype(np.float32) / 255
    np.testing.assert_allclose(ycbcr_to_rgb(rgb_to_ycbcr(unit)), unit, atol=2e-5)
    back = ycbcr_to_rgb(rgb_to_ycbcr(photograph)).astype(int)
    assert np.abs(back - photograph).max() <= 2


def test_dtypes_and_ranges(photograph):
    assert rgb_to_ycbcr(photograph).dtype == ycbcr_to_rgb(photograph).dtype == np.uint8
    unit = photograph / 255
    assert rgb_to_ycbcr(unit).dtype == ycbcr_to_rgb(unit).dtype == luma(photograph).dtype == np.float32


@given(st.integers(0, 255))
def test_luma_of_gray(level):
    gray = np.full((1, 1, 3), level, np.uint8)
    assert luma(gray)[0, 0] == pytest.approx(16 + 219 * level / 255, abs=1e-4)


def test_luma_is_not_rounded(photograph):
    plane = luma(photograph)
    assert plane.shape == photograph.shape[:2]
    np.testing.assert_allclose(plane, rgb_to_ycbcr(photograph)[..., 0], atol=0.5001)
    assert np.abs(plane - np.rint(plane)).max() > 0.4


def test_luma_of_floats_is_that_of_integers(photograph):
    np.testing.assert_array_equal(luma(photograph.astype(np.float64)), luma(photograph))
