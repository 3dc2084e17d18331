"""What Keras asks of what is saved and copied: layers, networks, losses, metrics and schedules."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras


def serializable(package: str) -> Callable[[Any], Any]:
    """A decorator for classes of Keras, which

    - registers the class with Keras as `package>Name`, so that models with it can be loaded from a file;
    - gives it `get_config`, which holds every argument of its constructor, and the `from_config` that goes with it;
    - makes the layers inside of a layer in the precision that its own `dtype` says, unless they ask for another.

    Lists in a file that was saved come back as the tuples that they were.

    >>> @serializable("example")
    ... class Scaled(keras.layers.Layer):
    ...     def __init__(self, factor: float = 2.0, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.factor = factor
    >>> Scaled(3.0, name="thrice").get_config()["factor"]
    3.0
    >>> keras.saving.get_registered_name(Scaled)
    'example>Scaled'
    """

    def decorate(layer_class: Any) -> Any:
        construct = layer_class.__init__
        signature = inspect.signature(construct)

        def __init__(self, *args, **kwargs):
            with _inside(kwargs.get("dtype")):
                construct(self, *args, **kwargs)
            given = signature.bind(self, *args, **kwargs)
            given.apply_defaults()
            arguments = {name: value for name, value in given.arguments.items() if name not in ("self", "kwargs")}
            # Past Keras, which would look for layers and variables in there.
            object.__setattr__(self, "_arguments", arguments)

        wrapped: Any = functools.wraps(construct)(__init__)
        # Keras reads the arguments by a function that does not follow __wrapped__.
        wrapped.__signature__ = signature
        layer_class.__init__ = wrapped

        def get_config(self) -> dict:
            return {**_saved(self._arguments), **super(layer_class, self).get_config()}

        def from_config(cls, config: dict):
            return cls(**{name: _restored(value) for name, value in config.items()})

        layer_class.get_config = get_config
        layer_class.from_config = classmethod(from_config)
        return keras.saving.register_keras_serializable(package)(layer_class)

    return decorate


@contextlib.contextmanager
def _inside(dtype) -> Iterator[None]:
    """Layers that are made in the block have this dtype policy, or that of before where it is None."""
    before = keras.config.dtype_policy()
    if dtype is not None:
        keras.config.set_dtype_policy(keras.dtype_policies.get(dtype))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _saved(value):
    """The value of a configuration: initializers and the like as what Keras saves of them."""
    if isinstance(value, dict):
        return {name: _saved(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return tuple(_saved(item) for item in value)
    return keras.saving.serialize_keras_object(value) if hasattr(value, "get_config") else value


def _restored(value):
    """The argument that a value of a configuration stands for."""
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    if isinstance(value, dict):
        return {name: _restored(item) for name, item in value.items()}
    return tuple(_restored(item) for item in value) if isinstance(value, tuple | list) else value
