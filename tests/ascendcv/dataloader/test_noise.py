"""Noise: the kinds of the TensorFlow EDVR release, of PVDNet and of RVRT."""

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.dataloader.noise import KINDS, add_noise, frame_noise, sigma_noise

SETTINGS = {"mean": 0.0, "std": 0.05, "amount": 0.02, "salt_ratio": 0.25, "min_std": 0.01, "max_std": 0.1}
GRAY = np.full((5, 64, 64, 3), 0.5, np.float32)


def noisy(kind: str, frames: np.ndarray = GRAY, seed: tuple[int, int] = (1, 2), **changes: float) -> np.ndarray:
    return add_noise(tf.constant(frames), SETTINGS | {"noise_type": kind} | changes, tf.constant(seed)).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_noise_depends_on_its_seed_alone_and_stays_in_range(kind: str):
    noise = noisy(kind)
    np.testing.assert_array_equal(noise, noisy(kind))
    assert noise.min() >= 0
    assert noise.max() <= 1
    assert kind == "clean" or (noise != noisy(kind, seed=(1, 3))).any()


def test_clean_is_clean():
    np.testing.assert_array_equal(noisy("clean"), GRAY)


def test_gaussian_noise_has_the_mean_and_deviation_asked_for():
    noise = noisy("gaussian", mean=0.1) - GRAY
    assert noise.mean() == pytest.approx(0.1, abs=1e-3)
    assert noise.std() == pytest.approx(0.05, rel=0.02)


def test_speckle_grows_with_the_signal():
    dark, bright = noisy("speckle", GRAY * 0 + 0.01), noisy("speckle", GRAY * 0 + 0.02)
    above = dark > 0.01  # half of the values, which 0 and 1 do not clip
    assert above.mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(bright[above], 2 * dark[above], rtol=1e-5)
    assert np.sqrt(np.mean((dark[above] / 0.01 - 1) ** 2)) == pytest.approx(1, rel=0.03)


def test_a_gaussian_process_draws_a_deviation_for_every_value():
    noise = noisy("gaussian process") - GRAY
    mean_square = (0.1**3 - 0.01**3) / (3 * (0.1 - 0.01))  # of a deviation even between 0.01 and 0.1
    assert noise.std() == pytest.approx(np.sqrt(mean_square), rel=0.02)
    kurtosis = np.mean(noise**4) / np.mean(noise**2) ** 2
    assert kurtosis > 3.5  # heavier tails than the 3 of one deviation for all


def test_salt_and_pepper_replace_the_shares_asked_for():
    noise = noisy("salt-pepper")
    assert (noise == 1).mean() == pytest.approx(0.02 * 0.25, rel=0.15)
    assert (noise == 0).mean() == pytest.approx(0.02 * 0.75, rel=0.15)
    assert ((noise == 0.5) | (noise == 0) | (noise == 1)).all()


def test_a_clip_s_sigma_is_drawn_evenly_and_its_noise_is_not_clipped():
    drawn = [sigma_noise(tf.constant(GRAY[:1]), 0.0, 50.0, tf.constant([1, n])) for n in range(40)]
    sigmas = np.array([float(sigma) for _, sigma in drawn]) * 255
    assert 0 <= sigmas.min() < 8
    assert 42 < sigmas.max() <= 50
    for frames, sigma in drawn[:5]:
        np.testing.assert_allclose(np.std(frames - GRAY[:1]), sigma, rtol=0.03)
    frames, sigma = sigma_noise(tf.zeros([1, 64, 64, 3]), 25.0, 25.0, tf.constant([1, 2]))
    assert float(sigma) == pytest.approx(25 / 255)
    assert 0.45 < (frames.numpy() < 0).mean() < 0.55


def test_frame_noise_falls_on_whole_frames_and_stays_in_range():
    frames = np.concatenate([GRAY] * 8)
    noise = frame_noise(tf.constant(frames), 0.01, tf.constant([3, 4])).numpy() - frames
    hit = noise.any((1, 2, 3))
    assert 10 <= hit.sum() <= 30
    np.testing.assert_allclose(noise[hit].std((1, 2, 3)), 0.01, rtol=0.05)
    assert frame_noise(tf.ones([2, 8, 8, 3]), 0.1, tf.constant([3, 4])).numpy().max() == 1.0
