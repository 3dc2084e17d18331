"""Between the source's layouts and this project's."""

import numpy as np


def channels_last(array: np.ndarray) -> np.ndarray:
    """[..., C, H, W] -> [..., H, W, C]."""
    return np.moveaxis(array, -3, -1)


def channels_first(array: np.ndarray) -> np.ndarray:
    """[..., H, W, C] -> [..., C, H, W]."""
    return np.moveaxis(array, -1, -3)


def kernel_last(weight: np.ndarray) -> np.ndarray:
    """[O, I, kh, kw] -> [kh, kw, I, O]."""
    return weight.transpose(2, 3, 1, 0)


def kernel_first(kernel: np.ndarray) -> np.ndarray:
    """[kh, kw, I, O] -> [O, I, kh, kw]."""
    return kernel.transpose(3, 2, 0, 1)


def channel_statistics(array: np.ndarray) -> np.ndarray:
    """[mean, population deviation] x C of [N, C, H, W], in float64."""
    array = array.astype(np.float64)
    return np.stack([array.mean(axis=(0, 2, 3)), array.std(axis=(0, 2, 3))])
