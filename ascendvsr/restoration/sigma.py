"""How noisy the input is, for networks that are told (non-blind denoising), and noise of that kind for tests.

A network with four input channels gets the noise's standard deviation, divided by 255, as the fourth one: the same
at every pixel, or a map.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.image import IMAGE_SUFFIXES, read_image
from ascendcv.utils.errors import InputError
from ascendvsr.models.card import Card

# In 8-bit levels (0 to 255): one for all, a map [H, W], or one for each clip by its name. None: not told.
Sigma = float | np.ndarray | dict[str, float] | None


def read_sigma(text: str) -> Sigma:
    """What `inference.sigma` says: a number, an image whose gray values are levels, or a text file; '' is None.

    A text file has lines `NAME SIGMA`, NAME being a clip's folder. A 16-bit image is read as levels with fractions,
    value / 257. Raises `InputError` for anything else, and for a deviation below 0.
    """
    if not text:
        return None
    if (level := _level(text)) is not None:
        return level
    path = Path(text)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        pixels = read_image(path)
        if pixels.shape[-1] > 2:
            raise InputError(f"{path} should be a gray image: each pixel's value is the noise's deviation there")
        return pixels[..., 0].astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max // 255)
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"inference.sigma is {text!r}; it should be a number (8-bit levels), a gray image, or a text file of "
            "lines NAME SIGMA"
        ) from None
    levels = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, _, value = line.strip().rpartition(" ")
        level = _level(value)
        if level is None or not name:
            raise InputError(f"{path} line {number} should be NAME SIGMA, not {line!r}")
        levels[name.strip()] = level
    return levels


def read_noise_level(cfg: CfgNode, card: Card) -> Sigma:
    """What `inference.sigma` says. Raises `InputError` where it is missing, or the network has no use for it."""
    sigma = read_sigma(cfg.inference.sigma)
    check_sigma(card.channels(cfg), sigma)
    return sigma


def validation_noise_level(cfg: CfgNode, card: Card) -> Sigma:
    """What `inference.sigma` says; where it says nothing, the middle of what training draws from (`data.sigma`).

    A network that is not told of noise has nothing to be told, whatever it is trained on.
    """
    if cfg.inference.sigma or not cfg.data.sigma or card.channels(cfg) != 4:
        return read_noise_level(cfg, card)
    return sum(cfg.data.sigma) / 2


def sigma_of(sigma: Sigma, clip: str) -> float | np.ndarray | None:
    """What holds for a clip. Raises `InputError` where a list of clips does not have it."""
    if not isinstance(sigma, dict):
        return sigma
    if clip not in sigma:
        raise InputError(f"inference.sigma names no deviation for clip {clip}: add a line `{clip} SIGMA`")
    return sigma[clip]


def check_sigma(channels: int, sigma: Sigma) -> None:
    """Raises `InputError` where a network with `channels` input channels lacks a deviation or has no use for it."""
    if channels == 4 and sigma is None:
        raise InputError(
            "this network must be told how strong the noise is: give its deviation in 8-bit levels, as in "
            "--sigma 30 (inference.sigma)"
        )
    if channels != 4 and sigma is not None:
        raise InputError("--sigma (inference.sigma) is given, but this network takes no noise level: leave it out")


def with_noise_level(frames: Iterable[np.ndarray], sigma: float | np.ndarray) -> Iterator[np.ndarray]:
    """Frames [H, W, 3] in [0, 1] with a fourth channel, sigma / 255, float32.

    Raises `InputError` for a map of another size than the frames.
    """
    for frame in frames:
        level = np.asarray(sigma, np.float32) / np.float32(255)
        if level.ndim and level.shape != frame.shape[:2]:
            raise InputError(
                f"the map of inference.sigma has {level.shape[1]}x{level.shape[0]} pixels, the frames have "
                f"{frame.shape[1]}x{frame.shape[0]}"
            )
        yield np.concatenate([frame, np.broadcast_to(level, frame.shape[:2])[..., np.newaxis]], axis=-1)


def with_noise(frames: Iterable[np.ndarray], sigma: float | np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Clean frames [H, W, 3] in [0, 1] with Gaussian noise of deviation sigma / 255, not clipped.

    The same `seed` gives a clip the same noise, whatever was restored before it. (RVRT's test program seeds each
    clip with 0 too, but PyTorch's generator gives other numbers.)
    """
    generator = np.random.default_rng(seed)
    level = np.asarray(sigma, np.float32)[..., np.newaxis] / np.float32(255)
    for frame in frames:
        yield frame + level * generator.standard_normal(frame.shape, np.float32)


def _level(text: str) -> float | None:
    """The number that a text is, or None. Raises `InputError` for one below 0."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not 0 <= value < np.inf:
        raise InputError(f"inference.sigma holds {text}; a deviation is 0 or more, in 8-bit levels")
    return value
