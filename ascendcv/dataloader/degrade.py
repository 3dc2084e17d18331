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


def blur_downsample(image: np.ndarray, scale: int = 4) -> np.ndarray:
    """KAIR's BD degradation of [H, W, C]: a Gaussian blur of deviation 1.6, every `scale`-th pixel of it.

    The 12x12 kernel is centered in each 4x4 block, edges are replicated, and the image is first cut at the right
    and bottom to a multiple of `scale`. The result has the image's dtype: integers are rounded once, at the end.

    Source: KAIR `generate_LR_Vimeo90K_BD.m` (`fspecial`, `imfilter(..., 'replicate')`), for a scale of 4.
    """
    height, width = (size - size % scale for size in image.shape[:2])
    taps = np.exp(-((np.arange(12) - 5.5) ** 2) / (2 * 1.6**2))
    blurred = image[:height, :width].astype(np.float64)
    for axis in (0, 1):
        padding = [(5, 6) if index == axis else (0, 0) for index in range(image.ndim)]
        padded = np.pad(blurred, padding, mode="edge")
        blurred = np.lib.stride_tricks.sliding_window_view(padded, 12, axis) @ (taps / taps.sum())
    return _as(blurred[1::scale, 1::scale], image.dtype)


def duf_downsample(image: np.ndarray, scale: int = 4) -> np.ndarray:
    """DUF's BD degradation of [H, W, C]: a Gaussian blur of deviation 0.4 `scale`, every `scale`-th pixel of it.

    The 13x13 kernel is centered on the pixels 0, `scale`, ..., at scale 4 that is 1.5 pixels from KAIR's; the image
    is reflected at its edges. The result has ceil(H / scale) x ceil(W / scale) pixels and the image's dtype:
    integers are rounded once, at the end.

    Source: DUF, BasicSR `duf_downsample`.
    """
    blurred = image.astype(np.float64)
    reach = int(4 * 0.4 * scale + 0.5)  # where the kernel is cut off
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * (0.4 * scale) ** 2))
    for axis in (0, 1):
        padding = [(reach, reach) if index == axis else (0, 0) for index in range(image.ndim)]
        padded = np.pad(blurred, padding, mode="reflect")
        blurred = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis) @ (taps / taps.sum())
    return _as(blurred[::scale, ::scale], image.dtype)


def _as(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`pixels` as `dtype`; integers rounded, halves away from zero as MATLAB does, and clipped."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        pixels = np.clip(np.floor(pixels + 0.5), limits.min, limits.max)
    return pixels.astype(dtype)


def _resize_axis(image: np.ndarray, scale: float, axis: int) -> np.ndarray:
    weights, indices = _contributions(image.shape[axis], scale)
    resized = np.zeros((weights.shape[0], *np.delete(image.shape, axis)))
    lines = np.moveaxis(image, axis, 0)
    for tap_weights, tap_indices in zip(weights.T, indices.T, strict=True):
        resized += tap_weights.reshape(-1, *[1] * (image.ndim - 1)) * lines[tap_indices]
    return np.moveaxis(_as(resized, image.dtype), 0, axis)


def _contributions(length: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and source indices [output length, taps] of one pass; the weights of an output sum to 1."""
    shrink = min(scale, 1.0)  # when shrinking, the kernel widens to cover what an output pixel stands for
    taps = math.ceil(4 / shrink) + 2
    centers = (np.arange(math.ceil(length * scale)) + 0.5) / scale - 0.5
    indices = np.floor(centers - 2 / shrink).astype(int)[:, np.newaxis] + 1 + np.arange(taps)
    weights = _cubic((centers[:, np.newaxis] - indices) * shrink)
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
