"""From Keras layers to the names that published checkpoints use.

Layers keep their sublayers in attributes of the official names, so that the walk over attributes gives the
names of PyTorch's state dicts; only the leaves are called differently. What a network calls otherwise than
its checkpoint stands in its `official_names`: {its own name of a variable or layer: the official one}.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np

_LEAVES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class NamedVariable(NamedTuple):
    """A variable under its official name."""

    name: str
    variable: keras.Variable
    axes: tuple[int, ...]  # PyTorch's array is the variable's array, transposed by these
    place: str  # of its dataset in Keras's .weights.h5 layout


def named_layers(layer: keras.Layer) -> Iterator[tuple[str, keras.Layer]]:
    """All sublayers under their official names, in the order of definition (on Keras's PyTorch backend containers
    come first), a layer before its own sublayers.

    A layer in the attribute `a` is called 'a', in a list 'a.0', in a dict 'a.key'. A layer that is reached
    twice is given once. Attributes that begin with an underscore are not looked at.
    """
    for name, _, found in _walk(layer, set()):
        if isinstance(found, keras.Layer):
            yield name, found


def named_constants(model: keras.Layer) -> dict[str, np.ndarray]:
    """What published checkpoints of the network hold beside weights, by official name.

    Those are arrays that follow from the network's structure, such as index tables. A layer lists its own in
    `official_constants`: {official name: array}.
    """
    layers = [("", model), *((f"{name}.", layer) for name, layer in named_layers(model))]
    return {
        prefix + name: array
        for prefix, layer in layers
        for name, array in getattr(layer, "official_constants", {}).items()
    }


def named_variables(model: keras.Layer) -> list[NamedVariable]:
    """All weights of a built network. Raises ValueError for one that no public attribute leads to."""
    variables = [
        NamedVariable(name, found, _axes(found), place)
        for name, place, found in _walk(model, set())
        if isinstance(found, keras.Variable)
    ]
    reached = {id(entry.variable) for entry in variables}
    hidden = [variable.path for variable in model.weights if id(variable) not in reached]
    if hidden or not variables:
        raise ValueError(
            f"{model.name} has no weights under public attributes: {', '.join(hidden) or 'build it first'}"
        )
    return variables


def _walk(layer: keras.Layer, seen: set[int]) -> Iterator[tuple[str, str, keras.Layer | keras.Variable]]:
    """(official name, place in .weights.h5, variable or layer) of all that is in `layer`."""
    exceptions = getattr(layer, "official_names", {})
    own: dict[str, keras.Variable] = {}
    layer.save_own_variables(own)
    for key, variable in own.items():
        name = _LEAVES.get(variable.name, variable.name)
        yield exceptions.get(name, name), f"vars/{key}", variable
    # On the PyTorch backend layers that are attributes stand in `_modules` instead.
    attributes = vars(layer) | vars(layer).get("_modules", {})
    for attribute, value in attributes.items():
        if attribute.startswith("_"):
            continue
        for name, place, sublayer in _layers_in(value, attribute, attribute):
            if id(sublayer) in seen:
                continue
            seen.add(id(sublayer))
            yield _renamed(name, exceptions), place, sublayer
            for inner_name, inner_place, found in _walk(sublayer, seen):
                yield _renamed(f"{name}.{inner_name}", exceptions), f"{place}/{inner_place}", found


def _layers_in(value: object, name: str, place: str) -> Iterator[tuple[str, str, keras.Layer]]:
    """The layers in an attribute: itself, or the items of lists, tuples and dicts in any depth."""
    if isinstance(value, keras.Layer):
        yield name, place, value
    elif isinstance(value, list | tuple | dict):
        used: Counter[str] = Counter()
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            kind = _kind(item)
            if kind is not None:
                number = f"_{used[kind]}" if used[kind] else ""
                used[kind] += 1
                yield from _layers_in(item, f"{name}.{key}", f"{place}/{kind}{number}")


def _kind(item: object) -> str | None:
    """What Keras calls an item of a container in a .weights.h5 file: its class, in snake case."""
    if isinstance(item, keras.Layer):
        words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(item).__name__)
        return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
    return "container" if isinstance(item, list | tuple | dict) else None


def _renamed(name: str, exceptions: dict[str, str]) -> str:
    for own, official in exceptions.items():
        if name == own or name.startswith(f"{own}."):
            return official + name.removeprefix(own)
    return name


def _axes(variable: keras.Variable) -> tuple[int, ...]:
    """[..., in, out] -> [out, in, ...] for the kernels of convolutions and dense layers; the rest as it is.

    A transposed convolution has [..., out/groups, in] in Keras and [in, out/groups, ...] in PyTorch: the same.
    """
    axes = tuple(range(len(variable.shape)))
    if variable.name != "kernel":
        return axes
    return (*reversed(axes[-2:]), *axes[:-2])
