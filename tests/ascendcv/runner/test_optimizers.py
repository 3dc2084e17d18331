"""Optimizers against the same arithmetic written out in NumPy."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.runner.optimizers import ADAM, MOMENTUM, Optimizer, make_optimizer
from ascendcv.utils.errors import InputError

RATES = {"learning_rate": 1e-2, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8}


def numpy_adam(value, gradients, learning_rate, beta_1, beta_2, epsilon):
    """Adam in float64, as in the paper's Algorithm 1; yields the value after each gradient."""
    mean, square = np.zeros_like(value), np.zeros_like(value)
    for count, gradient in enumerate(gradients, 1):
        mean = beta_1 * mean + (1 - beta_1) * gradient
        square = beta_2 * square + (1 - beta_2) * gradient**2
        unbiased_mean, unbiased_square = mean / (1 - beta_1**count), square / (1 - beta_2**count)
        value = value - learning_rate * unbiased_mean / (np.sqrt(unbiased_square) + epsilon)
        yield value


def apply(optimizer: Optimizer, gradients: dict[int, np.ndarray], finite: bool = True) -> None:
    tensors = {index: tf.constant(gradient, tf.float32) for index, gradient in gradients.items()}
    optimizer.apply(tensors, optimizer.factors(), tf.constant(finite))


@pytest.fixture
def values() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=5).astype(np.float32)]


def test_adam_follows_the_paper(values):
    rng = np.random.default_rng(1)
    gradients = rng.normal(size=(30, 5)) * 10.0 ** rng.integers(-6, 2, size=(30, 1))
    gradients[3] = 0
    variable = tf.Variable(values[1])
    optimizer = Optimizer(ADAM, [variable], RATES)
    for gradient, expected in zip(gradients, numpy_adam(values[1], gradients, **RATES), strict=True):
        apply(optimizer, {0: gradient})
        np.testing.assert_allclose(variable.numpy(), expected, rtol=0, atol=1e-6)


def test_epsilon_is_added_after_the_bias_correction():
    """With a gradient as small as epsilon the two orders differ by far more than rounding."""
    variable = tf.Variable([1.0])
    optimizer = Optimizer(ADAM, [variable], RATES | {"learning_rate": 1.0, "epsilon": 1e-3})
    apply(optimizer, {0: np.array([1e-3])})
    np.testing.assert_allclose(variable.numpy(), [1 - 0.5], rtol=1e-5)


def test_momentum_accumulates_gradients():
    variable = tf.Variable([1.0, 2.0])
    optimizer = Optimizer(MOMENTUM, [variable], {"learning_rate": 0.1, "momentum": 0.5})
    apply(optimizer, {0: np.array([1.0, -1.0])})
    apply(optimizer, {0: np.array([0.0, 2.0])})
    np.testing.assert_allclose(variable.numpy(), [1 - 0.1 - 0.05, 2 + 0.1 - 0.1 * 1.5], rtol=1e-6)


def test_rates_are_assigned_between_updates(values):
    variable = tf.Variable(values[1])
    optimizer = Optimizer(ADAM, [variable], RATES)
    step = tf.function(lambda: optimizer.apply({0: tf.ones(5)}, optimizer.factors(), tf.constant(True)))
    step()
    optimizer.rates["learning_rate"].assign(0.0)
    before = variable.numpy()
    step()
    np.testing.assert_array_equal(variable.numpy(), before)


def test_learning_rate_factors_belong_to_variables(values):
    first, second = tf.Variable([1.0]), tf.Variable([1.0])
    optimizer = Optimizer(ADAM, [first, second], RATES, lr_factors=[1.0, 0.25])
    apply(optimizer, {0: np.array([3.0]), 1: np.array([3.0])})
    np.testing.assert_allclose([first.numpy(), second.numpy()], [[1 - 1e-2], [1 - 0.25e-2]], rtol=1e-6)


def test_a_variable_without_gradient_rests_and_its_bias_correction_begins_when_it_moves():
    """As in PyTorch, which counts per parameter: its first update is one learning rate long, at any time."""
    moving, resting = tf.Variable([1.0]), tf.Variable([1.0])
    optimizer = Optimizer(ADAM, [moving, resting], RATES)
    for _ in range(20):
        apply(optimizer, {0: np.array([1.0])})
    np.testing.assert_array_equal(resting.numpy(), [1.0])
    apply(optimizer, {0: np.array([1.0]), 1: np.array([0.3])})
    np.testing.assert_allclose(resting.numpy(), [1 - 1e-2], rtol=1e-5)
    np.testing.assert_array_equal(optimizer.counts.numpy(), [21, 1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_changes_nothing(values, bad: float):
    variables = [tf.Variable(value) for value in values]
    optimizer = Optimizer(ADAM, variables, RATES)
    apply(optimizer, {0: np.ones((3, 4)), 1: np.ones(5)})
    before = [v.numpy() for v in [*variables, *optimizer.slots["m"], *optimizer.slots["v"], optimizer.counts]]
    apply(optimizer, {0: np.full((3, 4), bad), 1: np.ones(5)}, finite=False)
    after = [v.numpy() for v in [*variables, *optimizer.slots["m"], *optimizer.slots["v"], optimizer.counts]]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_configuration_names_its_optimizer():
    settings = SimpleNamespace(type="Adam", beta_1=0.8, beta_2=0.9, epsilon=1e-6, momentum=0.7)
    adam = make_optimizer(settings, [tf.Variable([1.0])])
    assert {name: float(rate.numpy()) for name, rate in adam.rates.items()} == {
        "learning_rate": 0.0,
        "beta_1": 0.8,
        "beta_2": 0.9,
        "epsilon": 1e-6,
    }
    settings.type = "momentum"
    assert float(make_optimizer(settings, [tf.Variable([1.0])]).rates["momentum"].numpy()) == 0.7
    settings.type = "AdaGrad"
    with pytest.raises(InputError, match="'AdaGrad' is not known"):
        make_optimizer(settings, [])
