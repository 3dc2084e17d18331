"""Warping by optical flow."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.ops.warp import warp
from tests.ascendcv.ops.gradients import assert_gradients_match


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.sampled_from(["zeros", "border"]))
def test_no_motion_changes_nothing(height, width, padding):
    x = random(2, height, width, 3)
    np.testing.assert_array_equal(warp(x, np.zeros((2, height, width, 2), np.float32), padding=padding), x)


def test_the_first_channel_of_the_flow_points_right_and_the_second_down(photograph):
    x = (photograph[None, :40, :50] / 255).astype(np.float32)
    flow = np.broadcast_to(np.array([3, 2], np.float32), (1, 40, 50, 2))
    np.testing.assert_allclose(warp(x, flow)[:, :-2, :-3], x[:, 2:, 3:], atol=1e-6)


@pytest.mark.parametrize(("padding", "outside"), [("zeros", 0.0), ("border", 7.0)])
def test_what_is_outside(padding, outside):
    x = np.full((1, 3, 4, 1), 7, np.float32)
    flow = np.full((1, 3, 4, 2), 1e4, np.float32)
    np.testing.assert_array_equal(warp(x, flow, padding=padding), np.full((1, 3, 4, 1), outside))


def test_a_neighbor_outside_counts_as_zero():
    x = np.ones((1, 1, 3, 1), np.float32)
    flow = np.zeros((1, 1, 3, 2), np.float32)
    flow[..., 0] = -0.25
    np.testing.assert_allclose(warp(x, flow)[0, 0, :, 0], [0.75, 1, 1])
    np.testing.assert_allclose(warp(x, flow, padding="border")[0, 0, :, 0], [1, 1, 1])


@pytest.mark.parametrize(("padding", "outside"), [("zeros", 0), ("border", 30)])
def test_the_nearest_pixel(padding, outside):
    """Of two pixels at the same distance the even one, as in grid_sample; positions round before they leave."""
    x = 10 * np.arange(1, 4, dtype=np.float32).reshape(1, 1, 3, 1)
    positions = np.array([[-0.5, 0.4, 0.5, 1.5, 2.4, 2.6]], np.float32)
    flow = np.zeros((1, 1, 6, 2), np.float32)
    flow[..., 0] = positions - np.arange(6)
    y = warp(x, flow, interpolation="nearest", padding=padding)
    np.testing.assert_array_equal(y[0, 0, :, 0], [10, 10, 10, 30, 30, outside])


def test_the_nearest_pixel_gets_all_of_the_gradient_and_the_flow_none():
    x, flow = tf.constant(random(2, 5, 6, 3)), tf.constant(2 * random(2, 5, 6, 2, seed=1))
    with tf.GradientTape() as tape:
        tape.watch([x, flow])
        y = warp(x, flow, interpolation="nearest", padding="border")
    by_x, by_flow = tape.gradient(y, [x, flow], unconnected_gradients="zero")
    rows, columns = np.meshgrid(np.arange(5), np.arange(6), indexing="ij")
    rows = np.rint(np.clip(rows + flow.numpy()[..., 1], 0, 4)).astype(int)
    columns = np.rint(np.clip(columns + flow.numpy()[..., 0], 0, 5)).astype(int)
    count = np.zeros((2, 5, 6, 3))
    np.add.at(count, (np.arange(2)[:, None, None], rows, columns), 1)
    np.testing.assert_array_equal(y, np.stack([x[n].numpy()[rows[n], columns[n]] for n in range(2)]))
    np.testing.assert_array_equal(by_x, count)
    np.testing.assert_array_equal(by_flow, np.zeros((2, 5, 6, 2)))


def test_without_aligned_corners_positions_spread():
    """Code written for aligned corners and run without: pixel p of W is read at p * W / (W - 1) - 0.5."""
    x = np.arange(5, dtype=np.float32).reshape(1, 1, 5, 1)
    y = warp(np.tile(x, (1, 5, 1, 1)), np.zeros((1, 5, 5, 2), np.float32), padding="border", align_corners=False)
    np.testing.assert_allclose(y[0, 2, :, 0], np.clip(np.arange(5) * 5 / 4 - 0.5, 0, 4), atol=1e-6)


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_gradients_are_those_of_the_function(padding, align_corners):
    rng = np.random.default_rng(5)
    arguments = [rng.standard_normal((2, 4, 5, 2)), rng.uniform(-3, 3, (2, 4, 5, 2))]
    assert_gradients_match(lambda x, f: warp(x, f, padding=padding, align_corners=align_corners), arguments)


def test_at_the_border_itself_the_flow_has_no_gradient():
    """Of padding 'border', as in grid_sample; a thousandth of a pixel further inside it has one."""
    x = tf.constant(10 * np.arange(1, 5, dtype=np.float32).reshape(1, 1, 4, 1) * np.ones((1, 4, 1, 1), np.float32))

    def gradient(column: float, channel: int):
        """The gradient by a flow that leads to `column` of row 1, or to that row of column 1."""
        flow = np.zeros((1, 4, 4, 2), np.float32)
        flow[0, 1, 1, channel] = column - 1
        flow = tf.constant(flow)
        images = x if channel == 0 else tf.transpose(x, [0, 2, 1, 3])
        with tf.GradientTape() as tape:
            tape.watch(flow)
            y = warp(images, flow, padding="border")
        return float(tape.gradient(y, flow)[0, 1, 1, channel])

    for channel in (0, 1):
        assert [gradient(place, channel) for place in (0, 3)] == [0, 0]
        assert [gradient(place, channel) for place in (0.001, 2.999)] == pytest.approx([10, 10], rel=1e-3)


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_wild_flow_gives_numbers(padding):
    flow = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0], np.float32)
    flow = np.stack(np.meshgrid(flow, flow), axis=-1)[None]
    x = tf.constant(random(1, 6, 6, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = warp(x, flow, padding=padding)
    assert np.isfinite(y).all()
    assert np.isfinite(tape.gradient(y, x)).all()


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_unknown_sizes_in_a_graph(compiled):
    signature = [tf.TensorSpec([None, None, None, 2]), tf.TensorSpec([None, None, None, 2])]
    function = tf.function(warp, input_signature=signature, jit_compile=compiled)
    x, flow = random(2, 5, 6, 2), random(2, 5, 6, 2, seed=1)
    np.testing.assert_allclose(function(x, flow), warp(x, flow), atol=1e-6)


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(ValueError, match="interpolation is 'cubic'; it should be 'bilinear' or 'nearest'"):
        warp(random(1, 4, 4, 1), random(1, 4, 4, 2), interpolation="cubic")


def test_an_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="'zeros' or 'border'"):
        warp(random(1, 3, 3, 1), random(1, 3, 3, 2), padding="mirror")
