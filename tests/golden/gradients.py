"""Gradients on whatever backend Keras runs on."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from ascendvsr.weights.mapping import state_dict
from ascendvsr.weights.names import named_variables
from tests.golden.case import Case


def gradients(
    function: Callable,
    inputs: Sequence[np.ndarray],
    upstream: np.ndarray | None = None,
    variables: Sequence[keras.Variable] = (),
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Vector-Jacobian products of `function(*inputs)`, a tensor.

    Args:
        function: of tensors; it may use `variables`.
        inputs: float arrays.
        upstream: the gradient of the result, of its shape; None: ones.
        variables: what else to differentiate by.
    Returns:
        The result, its gradients by the inputs, its gradients by the variables (0 where it does not depend).
    """
    vjp = {"tensorflow": _tensorflow_vjp, "jax": _jax_vjp, "torch": _torch_vjp}[keras.backend.backend()]
    tensors = [keras.ops.convert_to_tensor(array) for array in inputs]
    value, found = vjp(function, tensors, upstream, list(variables))
    found = [
        np.zeros(like.shape, np.float32) if gradient is None else keras.ops.convert_to_numpy(gradient)
        for gradient, like in zip(found, [*tensors, *variables], strict=True)
    ]
    return keras.ops.convert_to_numpy(value), found[: len(tensors)], found[len(tensors) :]


def _tensorflow_vjp(function, tensors, upstream, variables):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    sources = [*tensors, *(variable.value for variable in variables)]
    found = tape.gradient(value, sources, None if upstream is None else tf.convert_to_tensor(upstream))
    return value, [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in found]


def _jax_vjp(function, tensors, upstream, variables):
    import jax
    import jax.numpy as jnp

    def pure(tensors, values):
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return function(*tensors)

    @jax.jit
    def products(tensors, values):
        value, vjp = jax.vjp(pure, tensors, values)
        return value, vjp(jnp.ones_like(value) if upstream is None else jnp.asarray(upstream))

    value, (by_tensors, by_variables) = products(tensors, [variable.value for variable in variables])
    return value, [*by_tensors, *by_variables]


def _torch_vjp(function, tensors, upstream, variables):
    import torch

    tensors = [tensor.detach().requires_grad_() for tensor in tensors]
    value = function(*tensors)
    found = torch.autograd.grad(
        value,
        [*tensors, *(variable.value for variable in variables)],
        torch.ones_like(value) if upstream is None else torch.as_tensor(upstream, device=value.device),
        allow_unused=True,
    )
    return value, found


def named_gradients(model: keras.Model, found: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Gradients by `model.trainable_variables` under official names, in PyTorch's layout.

    They take the places of the weights on the way: the model is of no use afterwards.
    """
    for variable, gradient in zip(model.trainable_variables, found, strict=True):
        variable.assign(gradient)
    trainable = {entry.name for entry in named_variables(model) if entry.variable.trainable}
    return {name: array for name, array in state_dict(model).items() if name in trainable}


def gradient_summary(case: Case, named: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What cases store of the gradients of a training step.

    `grad_l2` or `grad_norm` and `grad_first16` have a row for each of the case's `grad_params`,
    `grad_l2_total` is over all parameters; `gradnorm.NAME` and `grad.NAME` (its first 16 entries) are of one
    parameter.
    """
    norms = {name: np.linalg.norm(array.astype(np.float64)) for name, array in named.items()}
    first = {name: np.zeros(16, np.float32) for name in named}
    for name, array in named.items():
        first[name][: array.size] = array.ravel()[:16]
    rows = np.array([norms[name] for name in case.grad_params])
    return {
        "grad_l2": rows,
        "grad_norm": rows,
        "grad_first16": np.array([first[name] for name in case.grad_params]),
        "grad_l2_total": np.linalg.norm(list(norms.values())),
        **{f"gradnorm.{name}": norm for name, norm in norms.items()},
        **{f"grad.{name}": array.ravel()[:16] for name, array in named.items()},
    }
