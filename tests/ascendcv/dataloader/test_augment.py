"""Crops and turns that a clip, its ground truth and its flow share."""

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.dataloader.augment import augment, augment_flow, paired_crop, rotate
from ascendcv.dataloader.degrade import imresize

TURNS = [(h, v, t) for h in (False, True) for v in (False, True) for t in (False, True)]


@pytest.mark.parametrize(("hflip", "vflip", "transpose"), TURNS)
def test_mirrors_come_first_and_the_transpose_last(hflip: bool, vflip: bool, transpose: bool):
    frames = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    expected = frames[:, :, ::-1] if hflip else frames
    expected = expected[:, ::-1] if vflip else expected
    expected = expected.transpose(0, 2, 1, 3) if transpose else expected
    np.testing.assert_array_equal(augment(frames, hflip, vflip, transpose), expected)


@pytest.mark.parametrize("turns", TURNS)
def test_a_graph_with_drawn_flags_gives_the_same(turns: tuple[bool, bool, bool]):
    frames = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    drawn = tf.function(augment)(tf.constant(frames), *map(tf.constant, turns))
    np.testing.assert_array_equal(drawn, augment(frames, *turns))


@pytest.mark.parametrize("turns", TURNS)
def test_a_turned_flow_still_leads_from_frame_to_frame(turns: tuple[bool, bool, bool]):
    """Following the turned flow in the turned second frame finds the turned first frame."""
    generator = np.random.default_rng(0)
    second = generator.random((6, 6, 1)).astype(np.float32)
    y, x = np.mgrid[:6, :6]
    target = generator.integers(0, 6, (6, 6, 2))  # where every pixel goes: (x, y)
    first = second[target[..., 1], target[..., 0]]
    flow = (target - np.stack([x, y], -1)).astype(np.float32)
    turned = np.asarray(augment_flow(flow, *turns)).astype(int)
    followed = np.asarray(augment(second, *turns))[y + turned[..., 1], x + turned[..., 0]]
    np.testing.assert_array_equal(followed, augment(first, *turns))


def test_a_crop_and_its_ground_truth_show_the_same(photograph: np.ndarray):
    gt = np.stack([photograph[:128, :160], photograph[4:132, :160]])
    lq = np.stack([imresize(frame, 1 / 4) for frame in gt])
    lq_crop, gt_crop = paired_crop(lq, gt, top=5, left=7, size=(20, 24), scale=4)
    assert lq_crop.shape == (2, 20, 24, 3)
    assert gt_crop.shape == (2, 80, 96, 3)
    inner = np.s_[:, 2:-2, 2:-2]  # the reduction of a crop sees the crop's border
    reduced = np.stack([imresize(frame, 1 / 4) for frame in gt_crop])
    np.testing.assert_array_equal(reduced[inner], lq_crop[inner])


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_quarter_turns_are_counter_clockwise(quarters: int):
    frames = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    np.testing.assert_array_equal(rotate(frames, quarters), np.rot90(frames, quarters, axes=(1, 2)))
    square = frames[:, :, :4]
    drawn = tf.function(rotate)(tf.constant(square), tf.constant(quarters))
    np.testing.assert_array_equal(drawn, np.rot90(square, quarters, axes=(1, 2)))
