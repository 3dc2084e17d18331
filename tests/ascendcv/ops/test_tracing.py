"""Parts of a graph that are traced once however often they are called."""

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.ops.registry import implementation
from ascendcv.ops.tracing import traced_once

X = np.float32([1, 2, 3])


class Counted:
    """The square of a tensor, and how often Python was asked for it."""

    calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * x


def three_times(square: Counted):
    """A function that squares a tensor three times in a row."""

    def function(x):
        square_once = traced_once(square)
        return square_once(square_once(square_once(x)))

    return function


def test_a_graph_traces_it_once():
    square = Counted()
    np.testing.assert_array_equal(tf.function(three_times(square), autograph=False)(X), X**8)
    assert square.calls == 1


def test_other_shapes_are_traced_of_their_own():
    square = Counted()
    function = tf.function(three_times(square), autograph=False)
    for size in (1, 2, 1):
        function(X[:size])
    assert square.calls == 2


def test_gradients_pass_through_all_calls():
    @tf.function(autograph=False)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = three_times(Counted())(x)
        return tape.gradient(y, x)

    np.testing.assert_allclose(gradient(tf.constant(X)), 8 * X**7)


def test_outside_of_graphs_it_is_the_function_itself():
    square = Counted()
    assert traced_once(square) is square


@pytest.mark.parametrize("for_a_file", [True, False], ids=["implementation tf", "xla"])
def test_so_it_is_in_graphs_of_files_and_of_xla(for_a_file):
    square = Counted()
    function = tf.function(three_times(square), autograph=False, jit_compile=not for_a_file)
    with implementation("tf") if for_a_file else tf.name_scope("xla"):
        np.testing.assert_array_equal(function(X), X**8)
    assert square.calls == 3
