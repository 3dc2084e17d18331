"""How published low-resolution sets were made from their ground truth."""

import math

import numpy as np


def imresize(image: np.ndarray, scale: float) -> np.ndarray:
    """MATLAB's imresize(image, scale, 'bicubic') of [H, W, C] or [H, W]: antialiased when it shrinks.

    The result has ceil(H * scale) x ceil(W * scale) pixels and the image's dtype. Integer images are rounded
    and clipped after each of the two passes, height first, as MATLAB does and as REDS and the SOF-VSR version
    of Vid4 were made; float images are neither rounded nor clipped (KAIR and BasicSR round once, at the end).

    Source: MATLAB's imresize; agrees with BasicSR `matlab_functions.imresize` and, unlike it, takes images
    smaller than the kernel (borders are mirrored again and again).
    """
    for axis in (0, 1):
        image = _resize_axis(image, scale, axis)
    return image


def _resize_axis(image: np.ndarray, scale: float, axis: int) -> np.ndarray:
    weights, indices = _contributions(image.shape[axis], scale)
    resized = np.zeros((weights.shape[0], *np.delete(image.shape, axis)))
    lines = np.moveaxis(image, axis, 0)
    for tap_weights, tap_indices in zip(weights.T, indices.T, strict=True):
        resized += tap_weights.reshape(-1, *[1] * (image.ndim - 1)) * lines[tap_indices]
    if np.issubdtype(image.dtype, np.integer):
        limits = np.iinfo(image.dtype)
        # MATLAB rounds halves away from zero; negative values are clipped to 0 anyway.
        resized = np.clip(np.floor(resized + 0.5), limits.min, limits.max)
    return np.moveaxis(resized.astype(image.dtype), 0, axis)


def _contributions(length: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and source indices [output length, taps] of one pass; the weights of an output sum to 1."""
    shrink = min(scale, 1.0)  # when shrinking, the kernel widens to cover what an output pixel stands for
    taps = math.ceil(4 / shrink) + 2
    centres = (np.arange(math.ceil(length * scale)) + 0.5) / scale - 0.5
    indices = np.floor(centres - 2 / shrink).astype(int)[:, np.newaxis] + 1 + np.arange(taps)
    weights = _cubic((centres[:, np.newaxis] - indices) * shrink)
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = indices % (2 * length)  # the image, then its mirror image with the edge pixel repeated
    mirrored = np.where(mirrored < length, mirrored, 2 * length - 1 - mirrored)
    used = np.any(weights, axis=0)
    return weights[:, used], mirrored[:, used]


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic kernel with a = -0.5."""
    x = np.abs(x)
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    outer = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, inner, np.where(x <= 2, outer, 0.0))
