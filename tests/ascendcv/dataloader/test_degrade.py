"""The reduction that made the published low-resolution sets."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascendcv.dataloader.degrade import blur_downsample, duf_downsample, imresize
from ascendcv.dataloader.image import read_image

DATA = Path(__file__).parents[3].parent / "shared/data"
sizes, scales = st.integers(1, 20), st.sampled_from([1 / 4, 1 / 3, 1 / 2, 1.0, 2.0, 4.0])


@pytest.mark.parametrize("name", ["reds_7f", "vid4_foliage"])
def test_published_low_resolution_frames_are_reproduced_bit_for_bit(name: str):
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs the published frames in {folder}")
    for path in sorted((folder / "BIx4").iterdir()):
        np.testing.assert_array_equal(imresize(read_image(folder / "GT" / path.name), 1 / 4), read_image(path))


@given(height=sizes, width=sizes, scale=scales, value=st.integers(0, 255))
def test_a_flat_image_of_any_size_stays_flat(height: int, width: int, scale: float, value: int):
    resized = imresize(np.full((height, width, 3), value, np.uint8), scale)
    assert resized.shape == (int(np.ceil(height * scale)), int(np.ceil(width * scale)), 3)
    assert resized.dtype == np.uint8
    assert (resized == value).all()


@given(height=sizes, width=sizes, scale=scales)
def test_both_axes_and_all_channels_are_treated_alike(height: int, width: int, scale: float):
    image = np.random.default_rng(0).random((height, width, 3))
    resized = imresize(image, scale)
    np.testing.assert_allclose(imresize(image.transpose(1, 0, 2), scale), resized.transpose(1, 0, 2), atol=1e-12)
    if (height * scale).is_integer() and (width * scale).is_integer():  # else the grid starts at the top left
        np.testing.assert_allclose(imresize(image[::-1, ::-1], scale), resized[::-1, ::-1], atol=1e-12)
    np.testing.assert_array_equal(imresize(image[..., 1], scale), resized[..., 1])


def test_shrinking_by_4_weighs_16_pixels_by_the_stretched_kernel():
    impulse = np.zeros((1, 64))
    impulse[0, 32] = 1.0
    x = np.abs((np.arange(16) + 0.5) * 4 - 0.5 - 32) / 4
    kernel = np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    np.testing.assert_allclose(imresize(impulse, 1 / 4)[0], np.where(x < 2, kernel, 0) / 4, atol=1e-12)


def test_integers_are_rounded_and_clipped_and_floats_are_not(photograph: np.ndarray):
    edge = np.zeros((16, 16), np.uint8)
    edge[:, 8:] = 255
    as_float = imresize(edge / 255.0, 4)
    assert as_float.min() < 0
    assert as_float.max() > 1
    assert imresize(edge, 4).min() == 0
    assert imresize(edge, 4).max() == 255
    crop = photograph[:64, :64]
    once = np.round(np.clip(imresize(crop / 255.0, 1 / 4), 0, 1) * 255)
    assert np.abs(imresize(crop, 1 / 4) - once).max() == 1  # rounding twice, as the published sets do
    assert np.abs(imresize(crop.astype(np.uint16) * 257, 1 / 4) / 257 - once).max() < 0.51


@pytest.mark.parametrize("degrade", [blur_downsample, duf_downsample])
def test_a_blurred_reduction_keeps_type_range_and_flat_areas(degrade, photograph: np.ndarray):
    image = photograph[:48, :64]
    reduced = degrade(image)
    assert (reduced.shape, reduced.dtype) == ((12, 16, 3), np.uint8)
    exact = degrade(image.astype(np.float64))
    assert np.abs(reduced - exact).max() <= 0.5
    np.testing.assert_allclose(degrade(np.full((40, 40, 3), 0.3)), 0.3)


def test_the_two_blurred_reductions_lie_one_and_a_half_pixels_apart():
    """A slope of 1 a pixel tells where an output pixel has its center."""
    slope = np.arange(80.0)[np.newaxis, :, np.newaxis].repeat(80, axis=0)
    inner = np.arange(4, 16)
    np.testing.assert_allclose(duf_downsample(slope)[10, inner, 0], 4 * inner)
    np.testing.assert_allclose(blur_downsample(slope)[10, inner, 0], 4 * inner + 1.5)


def test_sizes_that_the_scale_does_not_divide():
    image = np.zeros((42, 47, 3), np.uint8)
    assert blur_downsample(image).shape == (10, 11, 3)  # cut
    assert duf_downsample(image).shape == (11, 12, 3)
