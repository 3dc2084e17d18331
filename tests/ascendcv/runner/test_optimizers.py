"""Optimizers against the same arithmetic written out in NumPy."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.runner.optimizers import (
    ADAM,
    ADAM_L2,
    ADAMW,
    MOMENTUM,
    MOMENTUM_L2,
    RADAM,
    Optimizer,
    make_optimizer,
)
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


def torch_steps(kind: str, value: np.ndarray, gradients: np.ndarray, **options: float) -> np.ndarray:
    """The vector after each gradient, by an optimizer of torch.optim."""
    import torch

    parameter = torch.nn.Parameter(torch.tensor(value))
    optimizer = getattr(torch.optim, kind)([parameter], **options)
    found = []
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        found.append(parameter.detach().numpy().copy())
    return np.array(found)


@pytest.mark.needs("torch")
@pytest.mark.parametrize(
    ("rule", "kind", "rates", "options"),
    [
        (ADAM_L2, "Adam", RATES, {"lr": 1e-2, "betas": (0.9, 0.99)}),
        (ADAMW, "AdamW", RATES, {"lr": 1e-2, "betas": (0.9, 0.99)}),
        (MOMENTUM_L2, "SGD", {"learning_rate": 1e-2, "momentum": 0.9}, {"lr": 1e-2, "momentum": 0.9}),
    ],
    ids=["Adam", "AdamW", "momentum"],
)
def test_weight_decay_is_that_of_pytorch(rule, kind: str, rates: dict, options: dict):
    rng = np.random.default_rng(2)
    value, gradients = rng.normal(size=5).astype(np.float32), rng.normal(size=(20, 5)).astype(np.float32)
    variable = tf.Variable(value)
    optimizer = Optimizer(rule, [variable], rates | {"weight_decay": 0.3})
    expected = torch_steps(kind, value, gradients, weight_decay=0.3, **options)
    for gradient, vector in zip(gradients, expected, strict=True):
        apply(optimizer, {0: gradient})
        np.testing.assert_allclose(variable.numpy(), vector, rtol=0, atol=2e-6)


def test_decoupled_decay_goes_with_the_rate_of_the_variable_and_an_l2_penalty_with_the_gradient():
    """Without a gradient AdamW shrinks by rate times decay; Adam's penalty is a gradient like any other."""
    slow, fast, penalised = (tf.Variable([2.0]) for _ in range(3))
    rates = RATES | {"weight_decay": 0.5}
    apply(Optimizer(ADAMW, [slow, fast], rates, [0.1, 1.0]), {0: np.zeros(1), 1: np.zeros(1)})
    apply(Optimizer(ADAM_L2, [penalised], rates), {0: np.zeros(1)})
    np.testing.assert_allclose([slow.numpy()[0], fast.numpy()[0]], [2 * (1 - 5e-4), 2 * (1 - 5e-3)], rtol=1e-6)
    np.testing.assert_allclose(penalised.numpy(), [2 - 1e-2], rtol=1e-6)


def test_radam_is_rectified_from_a_length_of_five_on():
    """With beta_2 0.99 that is from its sixth update on; before, it is momentum without a bias."""
    variable = tf.Variable([0.0])
    optimizer = Optimizer(RADAM, [variable], RATES | {"weight_decay": 0.0})
    steps = []
    for _ in range(8):
        before = variable.numpy()[0]
        apply(optimizer, {0: np.array([100.0])})
        steps.append(before - variable.numpy()[0])
    np.testing.assert_allclose(steps[:5], 1e-2 * 100, rtol=1e-5)
    assert all(0 < step < 1e-2 for step in steps[5:])


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
    settings = SimpleNamespace(type="Adam", beta_1=0.8, beta_2=0.9, epsilon=1e-6, momentum=0.7, weight_decay=0.0)
    adam = make_optimizer(settings, [tf.Variable([1.0])])
    assert {name: float(rate.numpy()) for name, rate in adam.rates.items()} == {
        "learning_rate": 0.0,
        "beta_1": 0.8,
        "beta_2": 0.9,
        "epsilon": 1e-6,
    }
    settings.type = "momentum"
    assert float(make_optimizer(settings, [tf.Variable([1.0])]).rates["momentum"].numpy()) == 0.7
    settings.weight_decay = 4e-4
    for kind, rule in {"Adam": ADAM_L2, "AdamW": ADAMW, "RAdam": RADAM, "momentum": MOMENTUM_L2}.items():
        settings.type = kind
        made = make_optimizer(settings, [tf.Variable([1.0])])
        assert made.rule is rule
        assert float(made.rates["weight_decay"].numpy()) == 4e-4
    settings.weight_decay = -1.0
    with pytest.raises(InputError, match="`weight_decay` should be 0 or more"):
        make_optimizer(settings, [])
    settings.type = "AdaGrad"
    with pytest.raises(InputError, match="'AdaGrad' is not known"):
        make_optimizer(settings, [])
