"""RVRT's start near the identity: pixels reach the last convolution, and nothing is added to the input."""

import keras
import numpy as np
import pytest

from ascendvsr.models.rvrt.network import RVRT
from ascendvsr.models.rvrt.start import start_near_identity
from tests.golden.record import recorded

NARROW = {
    "num_blocks": (1, 1, 1),
    "depths": (2, 2, 2),
    "embed_dims": (48, 48, 48),
    "num_heads": (3, 3, 3),
    "deformable_groups": 4,
    "attention_heads": 4,
}


@pytest.fixture
def clip(photograph: np.ndarray) -> np.ndarray:
    """[1, 2, 32, 32, 3], two frames of a pan."""
    frames = [photograph[100:132, 200 + left : 232 + left] for left in (0, 2)]
    return np.stack(frames)[np.newaxis].astype(np.float32) / 255


@pytest.fixture(scope="module")
def started() -> dict[int, RVRT]:
    """Networks that restore at the input's size and at four times that, near the identity."""
    return {upscale: near_identity(upscale) for upscale in (1, 4)}


def near_identity(upscale: int, **arguments: object) -> RVRT:
    keras.utils.set_random_seed(7)
    model = RVRT(**NARROW | arguments, upscale=upscale)
    start_near_identity(model)
    return model


@pytest.mark.parametrize("upscale", [1, 4])
def test_the_pixels_reach_the_last_layers_past_all_norms(started, clip: np.ndarray, upscale: int):
    small = clip[:, :, ::upscale, ::upscale]
    _, calls = recorded(started[upscale], ["upsampler.10:0"], small)
    pixels = calls["upsampler.10:0"][0][:, :, ::upscale, ::upscale, :3]
    np.testing.assert_allclose(pixels, small, atol=0.15)
    assert np.corrcoef(pixels.ravel(), small.ravel())[0, 1] > 0.98


def test_the_last_convolution_sees_no_brightness(started):
    flat = np.full((1, 2, 32, 32, 3), 0.75, np.float32)
    _, calls = recorded(started[1], ["upsampler.10"], flat)
    inside = calls["upsampler.10"][0][:, :, 9:-9, 9:-9]
    np.testing.assert_allclose(inside.mean(axis=(2, 3)), 0.0, atol=0.1)


def test_without_upscaling_the_network_is_the_identity(started, clip: np.ndarray):
    np.testing.assert_array_equal(started[1](clip), clip)


def test_upscaling_begins_as_bilinear_enlargement(started, clip: np.ndarray):
    enlarged = keras.ops.image.resize(clip[0], (128, 128), interpolation="bilinear")
    np.testing.assert_allclose(started[4](clip)[0], enlarged, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embed_dims": (24, 24, 24)}, r"at least 48, not \[24, 24, 24\]"),
        ({"embed_dims": (48, 48, 72)}, "embed_dims that are equal"),
        ({"inputconv_groups": (1, 1, 1, 1, 1, 3)}, "a first and a last group of 1"),
    ],
)
def test_a_network_without_room_for_the_pixels_is_refused(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        near_identity(1, **arguments)
