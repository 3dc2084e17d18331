"""Losses: values, reductions, gradients."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from ascendcv.losses.charbonnier import charbonnier
from ascendcv.losses.l1 import l1
from ascendcv.losses.l2 import l2
from ascendcv.losses.marginal_l1 import marginal_l1

# With what each does to a difference d.
LOSSES = [
    pytest.param(l1, np.abs, id="l1"),
    pytest.param(l2, np.square, id="l2"),
    pytest.param(charbonnier, lambda d: np.sqrt(d**2 + 1e-12), id="charbonnier"),
    pytest.param(functools.partial(charbonnier, eps=1e-2), lambda d: np.sqrt(d**2 + 1e-2), id="wide charbonnier"),
    pytest.param(functools.partial(marginal_l1, margin=0.3), lambda d: np.maximum(abs(d), 0.3), id="marginal_l1"),
]


def frames(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape or (3, 4, 5, 2))


@pytest.mark.parametrize(("loss", "definition"), LOSSES)
def test_reductions(loss, definition):
    pred, target = frames(0), frames(1)
    values = definition(pred - target)
    expected = {
        "none": values,
        "mean": values.mean(),
        "sum": values.sum(),
        "batchmean": values.sum(axis=(1, 2, 3)).mean(),
    }
    for reduction, value in expected.items():
        np.testing.assert_allclose(loss(pred, target, reduction=reduction), value, rtol=1e-12)


@pytest.mark.parametrize(("loss", "definition"), LOSSES)
def test_weights(loss, definition):
    """'mean' is over what the weights count, for one weight a pixel as for one a value."""
    pred, target, weight = frames(0), frames(1), frames(2, 3, 4, 5, 1)
    values = definition(pred - target)
    average = (values * weight).sum() / (2 * weight.sum())
    for given in (weight, np.repeat(weight, 2, axis=-1)):
        np.testing.assert_allclose(loss(pred, target, weight=given), average)
        np.testing.assert_allclose(loss(pred, target, weight=given, reduction="sum"), (values * weight).sum())
        np.testing.assert_allclose(loss(pred, target, weight=given, reduction="none"), values * weight)


@pytest.mark.parametrize("reduction", ["mean", "sum", "batchmean"])
@pytest.mark.parametrize(("loss", "definition"), LOSSES)
def test_gradients_are_those_of_the_function(loss, definition, reduction):
    pred, target = frames(0, 2, 2, 3, 1), frames(1, 2, 2, 3, 1)
    variable = tf.Variable(pred)
    with tf.GradientTape() as tape:
        value = loss(variable, target, reduction=reduction)
    gradient = tape.gradient(value, variable).numpy()
    for index in np.ndindex(pred.shape):
        step = np.zeros(pred.shape)
        step[index] = 1e-6
        above, below = (loss(pred + sign * step, target, reduction=reduction) for sign in (1, -1))
        assert gradient[index] == pytest.approx(float(above - below) / 2e-6, abs=1e-4)


@pytest.mark.parametrize(("loss", "definition"), LOSSES)
def test_equal_frames_have_no_gradient(loss, definition):
    pred = tf.Variable(frames(0).astype(np.float32))
    with tf.GradientTape() as tape:
        value = loss(pred, pred.numpy(), reduction="sum")
    np.testing.assert_array_equal(tape.gradient(value, pred), 0)


def test_differences_below_the_margin_have_no_gradient():
    pred = tf.Variable([[0.2, 0.5, -0.5]])
    with tf.GradientTape() as tape:
        value = marginal_l1(pred, tf.zeros((1, 3)), margin=0.3, reduction="sum")
    np.testing.assert_array_equal(tape.gradient(value, pred), [[0, 1, -1]])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sums_of_narrow_frames_are_float32(dtype):
    """3 * 64 * 64 differences of 1/2: float16 cannot tell neighbors at such sums."""
    pred = ops.cast(np.full((1, 64, 64, 3), 0.5), dtype)
    value = l1(pred, np.zeros((1, 64, 64, 3), np.float32), reduction="sum")
    assert value.dtype == tf.float32
    assert float(value) == 6144


def test_unknown_batch_and_size():
    """As in a training step that is traced once."""
    spec = tf.TensorSpec((None, None, None, 3), tf.float32)
    weight = tf.TensorSpec((None, None, None, 1), tf.float32)
    function = tf.function(
        lambda pred, target, weight: charbonnier(pred, target, reduction="batchmean", weight=weight),
        input_signature=[spec, spec, weight],
    )
    pred, target, weights = (frames(i, 2, 3, 4, 3 if i < 2 else 1).astype(np.float32) for i in range(3))
    expected = (np.abs(pred - target) * weights).sum() / 2
    np.testing.assert_allclose(function(pred, target, weights), expected, rtol=1e-5)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="none, mean, sum, batchmean, not 'average'"):
        l1(frames(0), frames(1), reduction="average")
