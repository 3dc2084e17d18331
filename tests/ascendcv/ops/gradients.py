"""Gradients by central differences in float64, to compare those of an operation with."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf


def assert_gradients_match(function: Callable, arguments: Sequence[np.ndarray], step: float = 1e-6) -> None:
    """d sum(function(*arguments) * w) by each argument equals finite differences, for random weights w.

    Arguments are float64 and should keep `step` away from where the function has a kink.
    """
    tensors = [tf.constant(argument, tf.float64) for argument in arguments]
    weights = np.random.default_rng(0).standard_normal(function(*tensors).shape)
    loss = tf.function(lambda *tensors: tf.reduce_sum(function(*tensors) * weights))
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = loss(*tensors)
    for position, gradient in enumerate(tape.gradient(value, tensors)):
        expected = np.zeros(arguments[position].shape)
        for index in np.ndindex(expected.shape):
            moved = [argument.copy() for argument in arguments]
            moved[position][index] += step
            above = loss(*map(tf.constant, moved))
            moved[position][index] -= 2 * step
            expected[index] = (above - loss(*map(tf.constant, moved))) / (2 * step)
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6, err_msg=f"argument {position}")
