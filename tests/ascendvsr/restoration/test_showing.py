"""Frames of any kind become pictures that a screen shows."""

import numpy as np
import pytest

from ascendcv.dataloader.footage import Color
from ascendvsr.restoration.showing import for_showing

PQ, HLG = Color(9, False, 16, 9), Color(9, False, 18, 9)


def flat(value: float, dtype: type = np.uint16, channels: int = 3) -> np.ndarray:
    """Two pixels of a part of the largest value."""
    return np.full((1, 2, channels), round(value * np.iinfo(dtype).max), dtype)


def test_eight_bits_of_color_are_shown_as_they_are(photograph: np.ndarray):
    np.testing.assert_array_equal(for_showing(photograph), photograph)


def test_sixteen_bits_are_rounded_to_eight(photograph: np.ndarray):
    deep = photograph.astype(np.uint16) * 257
    np.testing.assert_array_equal(for_showing(deep), photograph)
    np.testing.assert_array_equal(for_showing(np.clip(deep, 128, None) - 128), photograph)


def test_gray_is_shown_as_gray(photograph: np.ndarray):
    shown = for_showing(photograph[..., :1])
    np.testing.assert_array_equal(shown, np.repeat(photograph[..., :1], 3, axis=-1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_what_is_transparent_lies_on_middle_gray(channels: int, dtype: type):
    pixels = flat(1.0, dtype, channels)
    pixels[0, 1, -1] = 0
    np.testing.assert_array_equal(for_showing(pixels), [[[255] * 3, [128] * 3]])


def test_white_paper_is_equally_bright_in_both_kinds_of_hdr():
    # 203 cd/m2 are 58 % of the PQ signal and 75 % of the HLG signal: ITU-R BT.2408, table 1.
    shown = [int(for_showing(flat(value), color)[0, 0, 1]) for value, color in ((0.58, PQ), (0.75, HLG))]
    assert abs(shown[0] - shown[1]) <= 2
    assert 220 <= shown[0] <= 245


@pytest.mark.parametrize("color", [PQ, HLG])
def test_hdr_is_shown_from_black_to_white_without_a_step_back(color: Color):
    ramp = np.repeat(np.arange(0, 65536, 64, dtype=np.uint16)[np.newaxis, :, np.newaxis], 3, axis=-1)
    shown = for_showing(ramp, color)[0]
    assert (np.ptp(shown.astype(int), axis=-1) <= 1).all()  # gray stays gray
    assert (np.diff(shown[:, 0].astype(int)) >= 0).all()
    assert shown[0, 0] == 0
    assert shown[-1, 0] == 255


def test_colors_of_bt2020_become_those_of_the_screen():
    """BT.709 red of 100 cd/m2, in BT.2020's primaries and PQ."""
    red = np.array([0.6274, 0.0691, 0.0164]) * 100 / 10_000
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    signal = ((c1 + c2 * red**m1) / (1 + c3 * red**m1)) ** m2
    shown = for_showing(np.rint(signal * 65535).astype(np.uint16)[np.newaxis, np.newaxis], PQ)[0, 0]
    assert shown[0] > 170
    assert (shown[1:] < 12).all()
