"""MS-SSIM: its definition, written out with SciPy, its gradient, and its smallest size."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import correlate1d

from ascendcv.losses.ms_ssim import MINIMUM_SIDE, ms_ssim

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """Of two planes [H, W] in [0, 1], in float64."""
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))

    def mean(plane):
        for axis in (0, 1):
            plane = correlate1d(plane, taps / taps.sum(), axis=axis)
        return plane[5:-5, 5:-5]

    def halved(plane):
        plane = np.pad(plane, [(side % 2, side % 2) for side in plane.shape])
        height, width = (side // 2 for side in plane.shape)
        return plane[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))

    similarity = 1.0
    for scale, weight in enumerate(WEIGHTS):
        variances = mean(a * a) - mean(a) ** 2 + mean(b * b) - mean(b) ** 2
        structure = (2 * (mean(a * b) - mean(a) * mean(b)) + 0.03**2) / (variances + 0.03**2)
        if scale == 4:
            structure *= (2 * mean(a) * mean(b) + 0.01**2) / (mean(a) ** 2 + mean(b) ** 2 + 0.01**2)
        similarity *= max(structure.mean(), 0) ** weight
        a, b = halved(a), halved(b)
    return similarity


@pytest.fixture
def pair(photograph) -> tuple[np.ndarray, np.ndarray]:
    """A crop with odd sides at several scales, and the same with noise: [1, 165, 178, 3]."""
    sharp = photograph[None, 100:265, 150:328].astype(np.float32) / 255
    return sharp, np.clip(sharp + np.random.default_rng(0).normal(0, 0.1, sharp.shape), 0, 1).astype(np.float32)


def test_it_is_what_the_definition_says_channel_by_channel(pair):
    expected = [
        by_definition(*(image[0, ..., channel].astype(np.float64) for image in pair)) for channel in range(3)
    ]
    np.testing.assert_allclose(ms_ssim(*pair), [expected], atol=1e-5)


def test_frames_side_by_side_in_the_channels_are_those_frames_one_by_one(pair):
    stacked = [np.concatenate([image, image[:, ::-1], image[:, :, ::-1], image], axis=-1) for image in pair]
    flipped = [ms_ssim(*(image[:, ::step, ::turn] for image in pair)) for step, turn in ((1, 1), (-1, 1), (1, -1))]
    np.testing.assert_allclose(ms_ssim(*stacked), np.concatenate([*flipped, flipped[0]], axis=-1), atol=1e-5)


def test_equal_images_are_entirely_similar(pair):
    np.testing.assert_allclose(ms_ssim(pair[0], pair[0]), [[1, 1, 1]], atol=1e-6)


def test_opposite_structure_counts_as_nothing_and_has_a_finite_gradient(pair):
    sharp = tf.constant(pair[0])
    with tf.GradientTape() as tape:
        tape.watch(sharp)
        similarity = ms_ssim(sharp, 1 - pair[0])
    np.testing.assert_array_equal(similarity, [[0, 0, 0]])
    np.testing.assert_array_equal(tape.gradient(similarity, sharp), np.zeros_like(pair[0]))


def test_the_gradient_leads_to_more_similar_images(pair):
    sharp, noisy = pair[0], tf.constant(pair[1])
    with tf.GradientTape() as tape:
        tape.watch(noisy)
        before = tf.reduce_mean(ms_ssim(noisy, sharp))
    gradient = tape.gradient(before, noisy)
    step = 1e-2 / float(tf.norm(gradient))
    gain = float(tf.reduce_mean(ms_ssim(noisy + step * gradient, sharp)) - before)
    assert gain == pytest.approx(1e-2 * float(tf.norm(gradient)), rel=0.05)


@pytest.mark.parametrize("size", [(160, 200), (200, 160)])
def test_sides_below_161_are_refused(size):
    image = np.zeros((1, *size, 3), np.float32)
    with pytest.raises(ValueError, match=f"at least {MINIMUM_SIDE} pixels, not {size[0]}x{size[1]}"):
        ms_ssim(image, image)
    assert MINIMUM_SIDE == 161
