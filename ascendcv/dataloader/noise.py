"""Noise on training input: the kinds of the TensorFlow EDVR release, and those of PVDNet and of RVRT's training.

Each of the release's kinds takes frames float32 in [0, 1] of any shape, the settings `data.noise.*` and a
stateless seed [2], and draws independently for every value: frames, pixels and channels do not share noise.
The same seed gives the same noise on any machine and in any order.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf


def add_noise(frames: tf.Tensor, settings: Mapping[str, Any], seed: tf.Tensor) -> tf.Tensor:
    """`frames` with the noise that `settings`, `noise_type` and its parameters, describe, within [0, 1]."""
    noisy = KINDS[settings["noise_type"]](frames, settings, seed)
    return tf.clip_by_value(noisy, 0.0, 1.0)


def frame_noise(frames: tf.Tensor, std: float, seed: tf.Tensor) -> tf.Tensor:
    """Frames [T, h, w, 3], each by a coin with Gaussian noise of `std`, within [0, 1].

    Source: PVDNet `data_loader.datasets`, whose 1e-4 is of the range [-1, 1]: 5e-5 here.
    """
    coin_seed, noise_seed = tf.unstack(tf.random.split(seed, 2))
    coins = tf.random.stateless_uniform([tf.shape(frames)[0], 1, 1, 1], coin_seed, alg="philox")
    noisy = tf.clip_by_value(frames + std * _normal(frames, noise_seed), 0.0, 1.0)
    return tf.where(coins < 0.5, noisy, frames)


def sigma_noise(frames: tf.Tensor, low: float, high: float, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`frames` with Gaussian noise, not clipped, and its deviation [], evenly drawn of `low`..`high` and / 255.

    Source: KAIR `VideoRecurrentTrainNonblindDenoisingDataset`.
    """
    sigma_seed, noise_seed = tf.unstack(tf.random.split(seed, 2))
    sigma = (low + (high - low) * tf.random.stateless_uniform([], sigma_seed, alg="philox")) / 255.0
    return frames + sigma * _normal(frames, noise_seed), sigma


def _clean(frames, settings, seed):
    return frames


def _gaussian(frames, settings, seed):
    """Additive, of `mean` and `std`."""
    return frames + settings["mean"] + settings["std"] * _normal(frames, seed)


def _gaussian_process(frames, settings, seed):
    """Additive, of `mean`, its deviation drawn for every value between `min_std` and `max_std`."""
    deviation_seed, noise_seed = tf.unstack(tf.random.split(seed, 2))
    share = _uniform(frames, deviation_seed)
    deviation = settings["min_std"] + (settings["max_std"] - settings["min_std"]) * share
    return frames + settings["mean"] + deviation * _normal(frames, noise_seed)


def _speckle(frames, settings, seed):
    """Multiplicative, of deviation 1."""
    return frames + frames * _normal(frames, seed)


def _salt_pepper(frames, settings, seed):
    """A share `amount` of all values is replaced: `salt_ratio` of them by 1, the others by 0."""
    draw = _uniform(frames, seed)
    salt = settings["amount"] * settings["salt_ratio"]
    frames = tf.where(draw < settings["amount"], tf.zeros_like(frames), frames)
    return tf.where(draw < salt, tf.ones_like(frames), frames)


def _normal(frames, seed):
    return tf.random.stateless_normal(tf.shape(frames), seed, alg="philox")


def _uniform(frames, seed):
    return tf.random.stateless_uniform(tf.shape(frames), seed, alg="philox")


KINDS = {
    "clean": _clean,
    "gaussian": _gaussian,
    "gaussian process": _gaussian_process,
    "speckle": _speckle,
    "salt-pepper": _salt_pepper,
}
