"""Pixel volumes: against the definition, at the borders, for flows of any kind, gradients."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.ops.pixel_volume import gray, pixel_volume
from tests.ascendcv.ops.gradients import assert_gradients_match


def by_definition(previous: np.ndarray, flow: np.ndarray, current: np.ndarray, ksize: int) -> np.ndarray:
    batch, height, width, _ = flow.shape
    reach = ksize // 2
    weights = np.array([0.2989, 0.5870, 0.1140])
    volume = np.zeros((batch, height, width, ksize**2))
    for n, y, x in np.ndindex(batch, height, width):
        for i in range(-reach, reach + 1):
            for j in range(-reach, reach + 1):
                neighbor_x, neighbor_y = x - i, y - j
                if not (0 <= neighbor_x < width and 0 <= neighbor_y < height):
                    continue
                right, down = flow[n, neighbor_y, neighbor_x]
                column, row = int(neighbor_x + right) + i, int(neighbor_y + down) + j  # int() truncates
                inside = 1 <= column <= width - 2 and 1 <= row <= height - 2
                pixel = previous[n, row, column] if inside else current[n, y, x]
                volume[n, y, x, (i + reach) * ksize + j + reach] = pixel @ weights
    return volume


def frames(height: int, width: int, batch: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return tuple(random.uniform(-1, 1, (2, batch, height, width, 3)).astype(np.float32))


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    batch=st.integers(1, 2),
    ksize=st.sampled_from([1, 3, 5]),
    strength=st.sampled_from([0.0, 0.7, 3.0, 50.0]),
    seed=st.integers(0, 1000),
)
def test_it_is_what_the_definition_says(height, width, batch, ksize, strength, seed):
    previous, current = frames(height, width, batch, seed)
    flow = (strength * np.random.default_rng(seed).standard_normal((batch, height, width, 2))).astype(np.float32)
    volume = pixel_volume(previous, flow, current, ksize)
    np.testing.assert_allclose(volume, by_definition(previous, flow, current, ksize), atol=1e-6)


def test_positions_are_truncated_toward_zero():
    """Pixel (1, 1) points to -0.9, which is column 0, of the border; of (3, 3), 4.9 is 4."""
    previous, current = frames(8, 8)
    flow = np.zeros((1, 8, 8, 2), np.float32)
    flow[0, 1, 1] = (-1.9, 0)
    flow[0, 3, 3] = (1.9, 0)
    volume = np.asarray(pixel_volume(previous, flow, current, 1))[..., 0]
    assert volume[0, 1, 1] == np.asarray(gray(current))[0, 1, 1, 0]
    assert volume[0, 3, 3] == np.asarray(gray(previous))[0, 3, 4, 0]


def test_without_motion_the_candidates_are_the_pixel_itself():
    """What a neighbor points to, moved back, is the pixel: even motion gives the same candidate 25 times."""
    previous, current = frames(9, 10)
    volume = np.asarray(pixel_volume(previous, np.zeros((1, 9, 10, 2), np.float32), current))
    expected = np.repeat(np.asarray(gray(previous)), 25, axis=-1)
    np.testing.assert_array_equal(volume[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_impossible_flows_give_the_current_frame(value):
    previous, current = frames(6, 7)
    volume = np.asarray(pixel_volume(previous, np.full((1, 6, 7, 2), value, np.float32), current, 3))
    np.testing.assert_array_equal(volume[0, 3, 3], np.repeat(np.asarray(gray(current))[0, 3, 3], 9))


def test_gradients():
    previous, current = (array.astype(np.float64) for array in frames(5, 6))
    flow = np.random.default_rng(1).uniform(-2, 2, (1, 5, 6, 2))
    assert_gradients_match(lambda *images: pixel_volume(images[0], flow, images[1], 3), [previous, current])


def test_the_flow_receives_no_gradient():
    previous, current = map(tf.constant, frames(6, 6))
    flow = tf.fill((1, 6, 6, 2), 0.3)
    with tf.GradientTape() as tape:
        tape.watch(flow)
        total = tf.reduce_sum(pixel_volume(previous, flow, current))
    assert tape.gradient(total, flow) is None


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_a_graph_for_unknown_sizes_gives_the_same(compiled):
    function = tf.function(pixel_volume, jit_compile=compiled).get_concrete_function(
        *[tf.TensorSpec([None, None, None, channels]) for channels in (3, 2, 3)]
    )
    for height, width in ((5, 8), (9, 4)):
        previous, current = map(tf.constant, frames(height, width, batch=2))
        flow = tf.random.stateless_uniform((2, height, width, 2), (0, height), -3, 3)
        np.testing.assert_allclose(
            function(previous, flow, current), pixel_volume(previous, flow, current), atol=1e-6
        )
