"""The end-point error at several scales."""

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.losses.multiscale_epe import WEIGHTS, end_point_error, multiscale_epe

SIZES = [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16)]


def constant(size: tuple[int, int], x: float, y: float) -> tf.Tensor:
    return tf.tile(tf.constant([[[[x, y]]]], tf.float32), (1, *size, 1))


def test_it_is_the_length_of_the_difference():
    np.testing.assert_allclose(
        end_point_error(constant((2, 3), 4, 1), constant((2, 3), 1, 5)), np.full((1, 2, 3), 5.0)
    )


def test_equal_flows_have_the_gradient_zero():
    flow = tf.Variable(constant((2, 2), 3, 4))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(end_point_error(flow, constant((2, 2), 3, 4)))
    np.testing.assert_array_equal(tape.gradient(total, flow), np.zeros((1, 2, 2, 2)))


def test_all_pixels_of_all_levels_count_by_the_weight_of_their_level():
    target = constant((64, 64), 60, 80)  # 100 pixels long, 5 in the unit of the networks
    total, means = multiscale_epe([constant(size, 0, 0) for size in SIZES], target)
    assert float(total) == pytest.approx(
        sum(5 * w * h * weight for (h, w), weight in zip(SIZES, WEIGHTS, strict=True))
    )
    np.testing.assert_allclose(means, np.full(5, 5.0), rtol=1e-6)
    right, _ = multiscale_epe([constant(size, 3, 4) for size in SIZES], target)
    assert float(right) == pytest.approx(0, abs=1e-4)


def test_two_samples_cost_as_much_as_both_alone():
    rng = np.random.default_rng(0)
    flows = [rng.standard_normal((2, *size, 2)).astype(np.float32) for size in SIZES]
    target = rng.standard_normal((2, 64, 64, 2)).astype(np.float32)
    both, _ = multiscale_epe(flows, target)
    alone = [multiscale_epe([flow[n : n + 1] for flow in flows], target[n : n + 1])[0] for n in range(2)]
    assert float(both) == pytest.approx(float(sum(alone)), rel=1e-5)
