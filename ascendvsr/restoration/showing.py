"""Frames of any kind as 8-bit pictures for a screen."""

import numpy as np

from ascendcv.dataloader.footage import Color
from ascendcv.dataloader.image import to_rgb

_PQ, _HLG, _BT2020 = 16, 18, 9  # code points of ITU-T H.273
_HDR_WHITE = 203.0  # cd/m2 of white paper in HDR, ITU-R BT.2408
_HLG_PEAK = 1000.0  # cd/m2, of the screen for which the exponent 1.2 of BT.2100 is
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_KNEE = 0.5


def for_showing(pixels: np.ndarray, color: Color | None = None) -> np.ndarray:
    """[H, W, 1 to 4] uint8 or uint16 -> [H, W, 3] uint8 for a screen.

    16 bits are rounded to 8, what is transparent lies on middle gray. PQ and HLG (ITU-R BT.2100) are converted to
    sRGB: white paper at 203 cd/m2, highlights compressed. Other colors are shown as if they were sRGB.
    """
    peak = np.iinfo(pixels.dtype).max
    if pixels.shape[-1] in (2, 4):
        opacity = pixels[..., -1:] / np.float32(peak)
        background = np.float32(peak // 2 + 1)
        pixels = np.rint(background + (to_rgb(pixels) - background) * opacity).astype(pixels.dtype)
    pixels = to_rgb(pixels)
    if color is not None and color.transfer in (_PQ, _HLG):
        return _hdr_to_srgb(pixels / np.float32(peak), color)
    return pixels if pixels.dtype == np.uint8 else ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _hdr_to_srgb(signal: np.ndarray, color: Color) -> np.ndarray:
    """[H, W, 3] float32 in [0, 1] -> uint8."""
    light = (_pq_light(signal) if color.transfer == _PQ else _hlg_light(signal)) / _HDR_WHITE
    # The curve acts on the brightest channel and dims the others with it, which keeps the hue.
    brightest = np.maximum(light.max(-1, keepdims=True), 1e-6)
    light = light * (_compressed(brightest) / brightest)
    if color.primaries == _BT2020:
        light = light @ _BT2020_TO_BT709.T
    light = np.clip(light, 0, 1)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * srgb).astype(np.uint8)


def _pq_light(signal: np.ndarray) -> np.ndarray:
    """cd/m2 by SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = signal ** (1 / m2)
    return 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg_light(signal: np.ndarray) -> np.ndarray:
    """cd/m2 on a screen of 1000 cd/m2 by ITU-R BT.2100."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return _HLG_PEAK * (scene @ _LUMINANCE)[..., np.newaxis] ** 0.2 * scene


def _compressed(light: np.ndarray) -> np.ndarray:
    """As it is up to the knee; above, it approaches 1 without a kink."""
    above = 1 - (1 - _KNEE) * np.exp(-(np.maximum(light, _KNEE) - _KNEE) / (1 - _KNEE))
    return np.where(light <= _KNEE, light, above)
