"""YCbCr as MATLAB and the papers use it: ITU-R BT.601, studio range (Y in 16..235). NumPy only.

Source: MATLAB `rgb2ycbcr` and `ycbcr2rgb`, with the constants of BasicSR `utils/color_util.py`.
"""

import numpy as np

# What red, green and blue in 0..1 add to Y, Cb and Cr in 0..255.
_TO_YCBCR = np.array([[65.481, -37.797, 112.0], [128.553, -74.203, -93.786], [24.966, 112.0, -18.214]], np.float64)
_TO_YCBCR_OFFSET = np.array([16.0, 128.0, 128.0])
_TO_RGB = 255 * np.array(
    [[0.00456621, 0.00456621, 0.00456621], [0.0, -0.00153632, 0.00791071], [0.00625893, -0.00318811, 0.0]]
)
_TO_RGB_OFFSET = np.array([-222.921, 135.576, -276.836])


def rgb_to_ycbcr(image: np.ndarray) -> np.ndarray:
    """[..., 3] RGB, uint8 or float in 0..1 -> YCbCr: uint8 (rounded half to even) or float32 in 0..1."""
    return _as_given(_unit(image) @ _TO_YCBCR + _TO_YCBCR_OFFSET, image.dtype)


def ycbcr_to_rgb(image: np.ndarray) -> np.ndarray:
    """The inverse of `rgb_to_ycbcr`, up to rounding. Floats outside the RGB range are not clipped."""
    return _as_given(255 * _unit(image) @ _TO_RGB + _TO_RGB_OFFSET, image.dtype)


def luma(image: np.ndarray) -> np.ndarray:
    """The Y plane [H, W] float32, not rounded, of an RGB image [H, W, 3] in 0..255, for the papers' Y metrics.

    Each step is rounded to float32 as the papers' evaluation code does.
    """
    unit = image.astype(np.float32) / np.float32(255)
    return ((unit @ _TO_YCBCR[:, 0] + 16) / 255).astype(np.float32) * np.float32(255)


def _unit(image: np.ndarray) -> np.ndarray:
    """float32 in 0..1."""
    unit = image.astype(np.float32)
    return unit / np.float32(255) if image.dtype == np.uint8 else unit


def _as_given(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """0..255 in float64 -> uint8 or float32 in 0..1, as the input was."""
    if dtype == np.uint8:
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return (image / 255).astype(np.float32)
