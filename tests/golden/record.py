"""What inner layers of a network return, seen from outside."""

import contextlib
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.frame_conv import FrameConv
from ascendvsr.weights.names import named_layers


def recorded(model: keras.Layer, names: Iterable[str], *inputs: np.ndarray) -> tuple[object, dict[str, list]]:
    """`model(*inputs)`, and what its sublayers of these official names returned in it, call by call.

    The model should be built, as networks are from the beginning: its symbolic calls would count too. The
    name of a sequence of layers stands for the last of them, and 'NAME:I' for what the layer was given as argument
    I. A convolution returns what the published one does: no activation, which is the end of its sequence, and no
    residual. Raises KeyError for a name that the network does not have.
    """

    def forward(*inputs):
        with _recording(model, names) as calls:
            return model(*inputs), calls

    names = list(names)
    compute = _compiled(model, forward) if keras.backend.backend() == "jax" else forward
    with _keeping_nothing():
        result, calls = keras.tree.map_structure(keras.ops.convert_to_numpy, compute(*inputs))
    return result, {name: calls[name] for name in names}  # which JAX sorts


@contextlib.contextmanager
def _recording(model: keras.Layer, names: Iterable[str]) -> Iterator[dict[str, list]]:
    layers, alone = {}, set()
    for name, layer in named_layers(model):
        layers[name] = layer
        alone.add(name)
        sequence, _, last = name.rpartition(".")
        if last.isdecimal():
            layers[sequence] = layer
    calls: dict[str, list] = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        for name, results in calls.items():
            name, _, argument = name.partition(":")
            ends = name not in alone
            stack.enter_context(_appending(layers[name], results, int(argument) if argument else None, ends))
        yield calls


@contextlib.contextmanager
def _appending(layer: keras.Layer, results: list, argument: int | None, ends: bool) -> Iterator[None]:
    """Within the context, what `layer` returns is appended to `results`, or an argument of its.

    `ends`: the layer stands for a sequence that it is the last of.
    """
    original = layer.call

    def call(*args, **kwargs):
        result = original(*args, **kwargs)
        if argument is not None:
            results.append(args[argument])
        elif isinstance(layer, Conv2D | FrameConv):
            results.append(_by_itself(layer, original, args[0], layer.activation if ends else None))
        else:
            results.append(result)
        return result

    # Past Keras's own __setattr__, which would take note of a change of the layer.
    object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        object.__delattr__(layer, "call")


def _keeping_nothing() -> contextlib.AbstractContextManager:
    """PyTorch keeps all that a network computes, gigabytes of it, unless it is told that no gradient follows."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()


def _by_itself(layer: Conv2D | FrameConv, call, x, activation: str | float | None):
    """What a convolution makes of `x` with this activation and without a residual."""
    own = layer.activation
    object.__setattr__(layer, "activation", activation)
    try:
        return call(x)
    finally:
        object.__setattr__(layer, "activation", own)


def _compiled(model: keras.Layer, forward):
    """`forward` as one XLA program: operation by operation, JAX compiles for minutes."""
    import jax

    @jax.jit
    def pure(values, inputs):
        with keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))):
            return forward(*inputs)

    return lambda *inputs: pure([variable.value for variable in model.variables], inputs)
