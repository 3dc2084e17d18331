"""Photometric augmentation: the changes of deblur-devil, shared by input and ground truth where it shares them."""

import inspect

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance

from ascendcv.dataloader import photometric as changes
from ascendcv.dataloader.photometric import photometric

CHANGES = [name for name, kind in inspect.signature(photometric).parameters.items() if kind.default is False]
SHARED = [name for name in CHANGES if name != "noise"]


@pytest.fixture(scope="module")
def frame(photograph) -> np.ndarray:
    return photograph[100:132, 200:240].astype(np.float32) / np.float32(255)


@pytest.fixture(scope="module")
def changed(frame):
    """A maker of changed samples: three equal input frames and their ground truth, which is that frame too."""
    compiled = {}

    def make(seed: int, *names: str):
        if names not in compiled:
            chosen = dict.fromkeys(names, True)
            compiled[names] = tf.function(lambda seed: photometric(np.stack([frame] * 3), frame, seed, **chosen))
        lq, gt = compiled[names](tf.constant([7, seed]))
        return lq.numpy(), gt.numpy()

    return make


def test_nothing_is_changed_unless_chosen(changed, frame):
    lq, gt = changed(0)
    np.testing.assert_array_equal(lq, np.stack([frame] * 3))
    np.testing.assert_array_equal(gt, frame)


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_drawn_by_the_seed_and_stays_in_range(changed, frame, name: str):
    first, again, other = (changed(seed, name)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], frame)
    for lq in (first, other):
        assert 0 <= lq.min() <= lq.max() <= 1
        assert lq.dtype == np.float32


def test_input_and_ground_truth_share_all_but_the_noise(changed):
    lq, gt = changed(3, *SHARED)
    np.testing.assert_array_equal(lq, np.stack([gt] * 3))
    noisy, clean = changed(3, *CHANGES)
    np.testing.assert_array_equal(clean, gt)
    assert 0 < np.std(noisy - gt) < 0.05
    assert not np.array_equal(noisy[0], noisy[1])


def test_brightness_and_contrast_come_in_either_order(frame):
    dark = frame * 0.25 + 0.3  # so that nothing is clipped in between
    orders = set()
    for number in range(12):
        seed = tf.constant([5, number])
        brightness = float(tf.reduce_mean(photometric(dark, dark, seed, brightness=True)[0]) / dark.mean())
        contrast = float(np.std(photometric(dark, dark, seed, contrast=True)[0]) / np.std(dark))
        both, _ = photometric(dark, dark, seed, brightness=True, contrast=True)
        first = changes.adjust_contrast(changes.adjust_brightness(dark, brightness), contrast)
        then = changes.adjust_brightness(changes.adjust_contrast(dark, contrast), brightness)
        fits = (np.allclose(both, first, atol=1e-4), np.allclose(both, then, atol=1e-4))
        assert any(fits)
        orders.add(fits)
    assert {(True, False), (False, True)} <= orders


def test_channels_are_permuted_alike_everywhere(changed, frame):
    orders = set()
    for seed in range(12):
        lq, _ = changed(seed, "channel_permutation")
        order = [next(c for c in range(3) if np.array_equal(lq[0, ..., k], frame[..., c])) for k in range(3)]
        assert sorted(order) == [0, 1, 2]
        orders.add(tuple(order))
    assert len(orders) > 3


@pytest.mark.parametrize("shift", [-0.5, -0.21, -0.004, 0.0, 0.1, 0.37, 0.5])
def test_hue_is_pillows(photograph, frame, shift: float):
    image = Image.fromarray(photograph[100:132, 200:240])
    hue, saturation, value = (np.array(channel) for channel in image.convert("HSV").split())
    hue = (hue.astype(int) + int(shift * 255)) % 256
    turned = Image.fromarray(np.stack([hue.astype(np.uint8), saturation, value], axis=-1), "HSV").convert("RGB")
    np.testing.assert_array_equal(np.rint(changes.adjust_hue(frame, shift) * 255), np.array(turned))


@pytest.mark.parametrize("factor", [0.5, 0.93, 1.0, 1.5])
def test_saturation_is_pillows(photograph, frame, factor: float):
    expected = ImageEnhance.Color(Image.fromarray(photograph[100:132, 200:240])).enhance(factor)
    np.testing.assert_array_equal(np.rint(changes.adjust_saturation(frame, factor) * 255), np.array(expected))
