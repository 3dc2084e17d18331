"""Optimizers with the arithmetic that the papers' code (PyTorch) has.

An update rule is a pure function from a value, its gradient and its slots to new ones. `Optimizer` holds the
slots and rates of a model's variables and applies a rule to them on every replica.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from ascendcv.utils.errors import InputError


class Rule(NamedTuple):
    """How an optimizer updates one variable.

    slots: names of the tensors that it keeps for each variable, of the variable's shape, 0 at first.
    factors: (counts [n] float64, rates) -> the numbers of an update in float64: [n], or () where they are the
        same for all variables. A count includes the update at hand; rates are float64 scalars, except
        'learning_rate' [n].
    update: (value, gradient, slots, *its factors) -> (value, slots)
    """

    slots: tuple[str, ...]
    factors: Callable
    update: Callable


def adam_factors(counts: tf.Tensor, rates: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
    beta_1, beta_2 = rates["beta_1"], rates["beta_2"]
    step_sizes = rates["learning_rate"] / (1 - beta_1**counts)
    corrections = tf.sqrt(1 - beta_2**counts)
    return step_sizes, corrections, 1 - beta_1, beta_2, 1 - beta_2, rates["epsilon"]


def adam_update(value, gradient, slots, step_size, correction, gain_1, beta_2, gain_2, epsilon):
    """Adam (Kingma and Ba, 2015) as torch.optim.Adam: epsilon is added after the bias correction."""
    mean, square = slots
    mean = mean + (gradient - mean) * gain_1
    square = square * beta_2 + tf.square(gradient) * gain_2
    return value - step_size * (mean / (tf.sqrt(square) / correction + epsilon)), (mean, square)


def momentum_factors(counts: tf.Tensor, rates: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
    return rates["learning_rate"], rates["momentum"]


def momentum_update(value, gradient, slots, learning_rate, momentum):
    """Gradient descent with momentum as torch.optim.SGD and TensorFlow's MomentumOptimizer."""
    (velocity,) = slots
    velocity = velocity * momentum + gradient
    return value - learning_rate * velocity, (velocity,)


def radam_factors(counts: tf.Tensor, rates: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
    beta_1, beta_2 = rates["beta_1"], rates["beta_2"]
    beta_2_power = beta_2**counts
    longest = 2 / (1 - beta_2) - 1
    length = longest - 2 * counts * beta_2_power / (1 - beta_2_power)
    rectified = length >= 5
    length = tf.maximum(length, 5.0)  # the other branch of the choice below is computed too
    variance = (length - 4) / (longest - 4) * (length - 2) / length * longest / (longest - 2)
    step_sizes = rates["learning_rate"] / (1 - beta_1**counts)
    step_sizes *= tf.where(rectified, tf.sqrt((1 - beta_2_power) * variance), 1.0)
    return step_sizes, tf.cast(rectified, counts.dtype), 1 - beta_1, beta_2, 1 - beta_2, rates["epsilon"]


def radam_update(value, gradient, slots, step_size, rectified, gain_1, beta_2, gain_2, epsilon):
    """RAdam (Liu et al., 2020) as torch-optimizer's: rectified from a length of 5 on (torch.optim: above 5)."""
    mean, square = slots
    mean = mean + (gradient - mean) * gain_1
    square = square * beta_2 + tf.square(gradient) * gain_2
    divisor = tf.where(rectified > 0, tf.sqrt(square) + epsilon, 1.0)
    return value - step_size * (mean / divisor), (mean, square)


def with_l2_penalty(rule: Rule) -> Rule:
    """`rule` on gradients to which weight_decay * value is added, as the torch.optim classes do it."""

    def factors(counts, rates):
        return rates["weight_decay"], *rule.factors(counts, rates)

    def update(value, gradient, slots, weight_decay, *numbers):
        return rule.update(value, gradient + weight_decay * value, slots, *numbers)

    return Rule(rule.slots, factors, update)


def with_decoupled_decay(rule: Rule) -> Rule:
    """`rule` after learning rate * weight_decay * value is taken off the value (Loshchilov and Hutter, 2019)."""

    def factors(counts, rates):
        return rates["learning_rate"] * rates["weight_decay"], *rule.factors(counts, rates)

    def update(value, gradient, slots, decay, *numbers):
        return rule.update(value - decay * value, gradient, slots, *numbers)

    return Rule(rule.slots, factors, update)


ADAM = Rule(("m", "v"), adam_factors, adam_update)
MOMENTUM = Rule(("velocity",), momentum_factors, momentum_update)
ADAM_L2 = with_l2_penalty(ADAM)
MOMENTUM_L2 = with_l2_penalty(MOMENTUM)
ADAMW = with_decoupled_decay(ADAM)
RADAM = with_decoupled_decay(Rule(("m", "v"), radam_factors, radam_update))


class Optimizer:
    """A rule's state for a list of float32 variables. Make it inside the strategy's scope.

    Attributes:
        rates: name -> float64 variable: 'learning_rate' and the rule's own ('beta_1', ...); assign them at
            will.
        slots: name -> one variable for each of `variables`.
        counts: [variables] int64, the updates that each variable has had. PyTorch counts per parameter, so
            the bias correction of one that was frozen begins when it thaws.
    """

    def __init__(
        self,
        rule: Rule,
        variables: Sequence[tf.Variable],
        rates: Mapping[str, float],
        lr_factors: Sequence[float] | None = None,
    ):
        self._strategy = tf.distribute.get_strategy()
        self.rule = rule
        self.variables = list(variables)
        self.lr_factors = [1.0] * len(self.variables) if lr_factors is None else list(lr_factors)
        self.rates = {name: _variable(tf.constant(rate, tf.float64)) for name, rate in rates.items()}
        self.slots = {slot: [_variable(tf.zeros_like(v)) for v in self.variables] for slot in rule.slots}
        self.counts = _variable(tf.zeros([len(self.variables)], tf.int64))

    def factors(self) -> list[tuple[tf.Tensor, ...]]:
        """The numbers of the next update of each variable, for `apply`; call it in a replica context."""
        rates = {name: tf.convert_to_tensor(rate) for name, rate in self.rates.items()}
        rates["learning_rate"] *= tf.constant(self.lr_factors, tf.float64)
        factors = self.rule.factors(tf.cast(self.counts + 1, tf.float64), rates)
        count = len(self.variables)
        columns = []
        for factor in factors:
            factor = tf.cast(factor, tf.float32)
            columns.append(tf.unstack(factor, count) if factor.shape.rank else [factor] * count)
        return list(zip(*columns, strict=True))

    def apply(
        self, gradients: Mapping[int, tf.Tensor], factors: Sequence[tuple[tf.Tensor, ...]], finite: tf.Tensor
    ) -> None:
        """Updates the variables at the positions that `gradients` has; call it in a cross-replica context.

        Gradients are equal on all replicas (reduced already). Where `finite` is False nothing changes: neither
        variables nor slots nor counts.
        """
        update = self._strategy.extended.update
        updated = tf.constant([index in gradients for index in range(len(self.variables))])
        update(self.counts, _count, args=(updated, finite), group=False)
        for index, gradient in gradients.items():
            slots = tuple(self.slots[slot][index] for slot in self.rule.slots)
            arguments = (gradient, slots, factors[index], finite)
            update(self.variables[index], self._update_one, args=arguments, group=False)

    def _update_one(self, variable, gradient, slots, factors, finite) -> None:
        old, old_slots = tf.convert_to_tensor(variable), tuple(tf.convert_to_tensor(slot) for slot in slots)
        new, new_slots = self.rule.update(old, gradient, old_slots, *factors)
        variable.assign(tf.where(finite, new, old))
        for slot, new_slot, old_slot in zip(slots, new_slots, old_slots, strict=True):
            slot.assign(tf.where(finite, new_slot, old_slot))


def make_optimizer(
    settings, variables: Sequence[tf.Variable], lr_factors: Sequence[float] | None = None
) -> Optimizer:
    """The optimizer of a configuration's `solver.optimizer`; its learning rate is the trainer's to assign.

    `settings.weight_decay` is decoupled from the gradient in AdamW and RAdam, an L2 penalty in Adam and momentum.
    """
    decays = bool(settings.weight_decay)
    rules = {
        "Adam": ADAM_L2 if decays else ADAM,
        "AdamW": ADAMW,
        "RAdam": RADAM,
        "momentum": MOMENTUM_L2 if decays else MOMENTUM,
    }
    if settings.type not in rules:
        raise InputError(f"`type` {settings.type!r} is not known; there are {', '.join(rules)}")
    if settings.weight_decay < 0:
        raise InputError(f"`weight_decay` should be 0 or more, not {settings.weight_decay}")
    names = ["momentum"] if settings.type == "momentum" else ["beta_1", "beta_2", "epsilon"]
    rule = rules[settings.type]
    if rule not in (ADAM, MOMENTUM):
        names.append("weight_decay")
    rates = {"learning_rate": 0.0} | {name: getattr(settings, name) for name in names}
    return Optimizer(rule, variables, rates, lr_factors)


def _variable(initial: tf.Tensor) -> tf.Variable:
    return tf.Variable(initial, trainable=False)


def _count(counts, updated, finite):
    counts.assign_add(tf.cast(updated & finite, tf.int64))
