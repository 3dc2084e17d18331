"""Random affine changes of frames and flow."""

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.dataloader.affine_flow import (
    GLOBAL,
    compose,
    random_affine_flow,
    random_map,
    stays_inside,
    transform_flow,
    transform_image,
)
from ascendcv.ops.warp import warp

IDENTITY = np.array([1, 0, 0, 0, 1, 0], np.float32)
MIRROR = np.array([-1, 0, 0, 0, 1, 0], np.float32)
ZOOM = np.array([2, 0, 0, 0, 2, 0], np.float32)


@pytest.fixture(scope="module")
def image(photograph) -> np.ndarray:
    return photograph[np.newaxis, 80:144, 200:296].astype(np.float32) / 255


def test_the_identity_changes_nothing_and_a_mirror_mirrors(image):
    np.testing.assert_allclose(transform_image(image, IDENTITY), image, atol=1e-5)
    np.testing.assert_allclose(transform_image(image, MIRROR), image[:, :, ::-1], atol=1e-4)


def test_maps_are_composed_in_order():
    shift = np.array([1, 0, 0.25, 0, 1, 0], np.float32)
    np.testing.assert_allclose(compose(ZOOM, shift), [2, 0, 0.25, 0, 2, 0])
    np.testing.assert_allclose(compose(shift, ZOOM), [2, 0, 0.5, 0, 2, 0])


def test_flow_is_mirrored_and_enlarged_with_its_frames(image):
    flow = np.broadcast_to(np.float32([3, -2]), (1, 64, 96, 2))
    np.testing.assert_allclose(transform_flow(flow, MIRROR, MIRROR), -flow * [1, -1], atol=1e-4)
    np.testing.assert_allclose(transform_flow(flow, ZOOM, ZOOM), 2 * flow, atol=1e-4)


def test_only_maps_that_show_nothing_beyond_the_image_stay_inside():
    assert stays_inside(tf.constant(ZOOM), (64, 96))
    assert not stays_inside(tf.constant(IDENTITY * np.float32(0.9)), (64, 96))
    for seed in range(20):
        theta = random_map(tf.constant(IDENTITY), GLOBAL, (64, 96), tf.constant([1, seed]))
        assert stays_inside(theta, (64, 96))


def test_equal_seeds_give_equal_maps_and_others_other_ones():
    maps = [random_map(tf.constant(IDENTITY), GLOBAL, (64, 96), tf.constant([1, n])).numpy() for n in (5, 5, 6)]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() > 0.01


@pytest.mark.parametrize("seed", range(4))
def test_the_changed_flow_still_leads_from_one_frame_to_the_other(photograph, seed):
    """The second frame, warped by the changed flow, looks like the first one, as it did before."""
    first = photograph[80:208, 180:340].astype(np.float32) / 255
    second = photograph[78:206, 183:343].astype(np.float32) / 255
    flow = np.broadcast_to(np.float32([-3, 2]), (128, 160, 2))
    changed = random_affine_flow(*map(tf.constant, (first, second, flow)), tf.constant([7, seed]))
    assert float(tf.reduce_mean(tf.abs(changed[0] - first))) > 0.05
    warped = warp(changed[1][tf.newaxis], changed[2][tf.newaxis], padding="border")[0]
    inner = slice(12, -12)
    error = tf.reduce_mean(tf.abs(warped - changed[0])[inner, inner])
    unwarped = tf.reduce_mean(tf.abs(changed[1] - changed[0])[inner, inner])
    assert error < 0.3 * unwarped
