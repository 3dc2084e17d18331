"""Hard example mining: which pixels count, and what the loss makes of them."""

import numpy as np
import tensorflow as tf

from ascendcv.losses.hem import hem, hem_mask, random_pixels

NONE = np.zeros((2, 8, 10, 1), np.float32)


def frames(seed: int, channels: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).random((2, 8, 10, channels), np.float32)


def test_half_of_the_pixels_are_hard_those_with_the_largest_difference_over_all_channels():
    pred, target = frames(0), frames(1)
    mask = np.asarray(hem_mask(pred, target, NONE))
    residual = np.abs(pred - target).sum(axis=-1, keepdims=True)
    assert mask.shape == (2, 8, 10, 1)
    for hard, values in zip(mask, residual, strict=True):
        assert hard.sum() == 40
        assert values[hard > 0].min() > values[hard == 0].max()


def test_another_share_can_be_asked_for():
    assert np.asarray(hem_mask(frames(0), frames(1), NONE, hard_share=0.25)).sum(axis=(1, 2, 3)).tolist() == [
        20,
        20,
    ]


def test_chosen_pixels_count_however_easy_they_are():
    pred, target = frames(0), frames(1)
    target[0, 3, 4] = pred[0, 3, 4]
    chosen = NONE.copy()
    chosen[0, 3, 4] = 1
    before, after = (np.asarray(hem_mask(pred, target, pixels)) for pixels in (NONE, chosen))
    assert np.argwhere(before != after).tolist() == [[0, 3, 4, 0]]


def test_pixels_without_a_difference_are_not_hard():
    pred = frames(0)
    assert not np.asarray(hem_mask(pred, pred, NONE)).any()


def test_pixels_that_do_not_count_are_zeros_in_the_mean():
    pred, target = frames(0), frames(1)
    mask = np.asarray(hem_mask(pred, target, NONE))
    expected = (np.abs(pred - target) * mask).sum() / pred.size
    np.testing.assert_allclose(hem(pred, target, NONE), expected, rtol=1e-6)
    np.testing.assert_allclose(hem(pred, target, NONE, reduction="none"), np.abs(pred - target) * mask, rtol=1e-6)


def test_the_gradient_is_that_of_the_pixels_that_count():
    pred, target = tf.constant(frames(0)), frames(1)
    with tf.GradientTape() as tape:
        tape.watch(pred)
        loss = hem(pred, target, NONE)
    expected = np.sign(pred - target) * np.asarray(hem_mask(pred, target, NONE)) / target.size
    np.testing.assert_allclose(tape.gradient(loss, pred), expected, atol=1e-9)


def test_random_pixels_are_a_tenth_of_each_sample():
    noise = np.random.default_rng(2).random((3, 8, 10, 1), np.float32)
    pixels = np.asarray(random_pixels(noise))
    assert pixels.sum(axis=(1, 2, 3)).tolist() == [8, 8, 8]
    assert noise[pixels > 0].max() < 0.5
    assert np.any(pixels[0] != pixels[1])
