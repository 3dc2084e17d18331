"""The temporal sharpness prior, and Sobel's gradient."""

import numpy as np
import tensorflow as tf

from ascendcv.ops.sharpness_prior import box_mean, sharpness_prior
from ascendcv.ops.sobel import sobel

INSIDE = np.ones((1, 8, 9, 1), np.float32)


def frame(photograph: np.ndarray, column: int) -> np.ndarray:
    return photograph[None, 100:108, column : column + 9].astype(np.float32) / 255


def test_frames_that_agree_have_a_prior_of_one(photograph):
    same = frame(photograph, 200)
    np.testing.assert_allclose(sharpness_prior(same, same, same, INSIDE), INSIDE, atol=1e-6)


def test_it_falls_with_the_distance_of_both_neighbors(photograph):
    before, middle, after = (frame(photograph, column) for column in (198, 200, 203))
    distance = np.sqrt((((before - middle) ** 2 + (after - middle) ** 2) / 2).sum(axis=-1, keepdims=True))
    prior = sharpness_prior(before, middle, after, INSIDE, filtered=False)
    np.testing.assert_allclose(prior, np.exp(-distance), atol=1e-6)
    filtered = sharpness_prior(*map(box_mean, (before, middle, after)), INSIDE, filtered=False)
    np.testing.assert_allclose(sharpness_prior(before, middle, after, INSIDE), filtered, atol=1e-6)


def test_it_is_nothing_where_a_neighbor_has_nothing_to_show(photograph):
    same, inside = frame(photograph, 200), INSIDE.copy()
    inside[0, :, 3] = 0
    np.testing.assert_allclose(sharpness_prior(same, same, same, inside), inside, atol=1e-6)


def test_it_has_no_gradient(photograph):
    frames = [tf.constant(frame(photograph, column)) for column in (198, 200, 203)]
    with tf.GradientTape() as tape:
        tape.watch(frames)
        prior = sharpness_prior(*frames, INSIDE)
    assert tape.gradient(prior, frames) == [None, None, None]


def test_a_box_counts_zeros_outside_the_image():
    mean = np.asarray(box_mean(np.ones((1, 8, 9, 2), np.float32)))
    np.testing.assert_allclose(
        [mean[0, 0, 0, 0], mean[0, 0, 4, 1], mean[0, 4, 4, 0]], [9 / 25, 15 / 25, 1], rtol=1e-6
    )


def test_sobel_measures_slopes():
    rows, columns = np.mgrid[:8.0, :9.0]
    brightness = (3 * columns - 4 * rows).astype(np.float32)
    x, y, magnitude = sobel(np.stack([brightness - 1, brightness + 1], axis=-1)[None])
    inner = np.s_[0, 1:-1, 1:-1, 0]
    np.testing.assert_allclose(np.asarray(x)[inner], -8 * 3)
    np.testing.assert_allclose(np.asarray(y)[inner], 8 * 4)
    np.testing.assert_allclose(np.asarray(magnitude)[inner], 8 * 5)
