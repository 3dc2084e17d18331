"""A Keras model as a runner, on TensorFlow, JAX or PyTorch: compiled once per shape, arrays in and out."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ascendvsr.models import card_of
from ascendvsr.models.card import Card


class KerasRunner:
    """A network of this project as an `ascendvsr.restoration.runner.Runner`.

    What is compiled lives as long as the runner: make one per model and keep it.

    Args:
        model: the network.
        card: what it says of itself; None: that of `ascendvsr.models`, or `InputError` where there is none.
    """

    def __init__(self, model: keras.Model, card: Card | None = None):
        card = card or card_of(model)
        self.model = model
        self.name = card.name
        self.kind: str = card.kind
        self.scale = model.scale if card.restores else 1
        self.window = model.num_frame if card.kind in ("window", "recurrent") else _WINDOWS[card.kind]
        self.center = model.center_frame_idx if card.kind in ("window", "recurrent") else 0
        self.channels = model.in_channels if card.restores else 3
        self.shares_frames = card.shares_frames
        self.dtype = model.compute_dtype
        self._call = model.in_steps(self._compiled) if card.in_steps else compiled(model, _CALLS[card.kind])
        self._next_window = model.stream(self._compiled) if card.shares_frames else None

    def __call__(self, frames: np.ndarray, state: Any = None) -> tuple[np.ndarray, Any]:
        """See `Runner`. Raises MemoryError where the device's memory runs out."""
        try:
            return self._computed(frames, state)
        except Exception as error:
            if any(sign in f"{type(error).__name__} {error}" for sign in _OUT_OF_MEMORY):
                raise MemoryError(f"{self.name} on {frames.shape}: {str(error).splitlines()[0]}") from error
            raise

    def _computed(self, frames: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        if self.kind == "recurrent":
            restored, state = self._call(frames, state)
            return ops.convert_to_numpy(restored), state
        if state is not None and self._next_window is not None:
            return ops.convert_to_numpy(self._next_window(state.numbers, frames, state.kept)), state
        return ops.convert_to_numpy(self._call(frames)), None

    def _compiled(self, work: Callable) -> Callable:
        return compiled(self.model, lambda model, *inputs: work(*inputs))


# By kind: how many frames a model sees, where it has no `num_frame` that says so.
_WINDOWS = {"flow": 2, "clip": 0}

# In the names and texts of what the backends raise.
_OUT_OF_MEMORY = ("ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemoryError", "out of memory")

# By kind: how a model is called.
_CALLS: dict[str, Callable] = {
    "window": lambda model, frames: model(frames, training=False),
    "clip": lambda model, frames: model(frames, training=False),
    "recurrent": lambda model, frames, state: model.step(frames, state),
    "flow": lambda model, frames: model((frames[:, 0], frames[:, 1]), training=False),
}


def compiled(model: keras.Model, work: Callable) -> Callable:
    """`work(model, *inputs)` on nested arrays or tensors, compiled by the backend with one trace per shape.

    On PyTorch it is run as it is, without gradients.
    """
    return _COMPILERS[keras.backend.backend()](model, work)


def _by_tensorflow(model: keras.Model, work: Callable) -> Callable:
    import tensorflow as tf

    return tf.function(lambda *inputs: work(model, *inputs), autograph=False)


def _by_jax(model: keras.Model, work: Callable) -> Callable:
    import jax

    variables = model.variables

    @jax.jit
    def compute(values, *inputs):
        # As arguments, so that the weights are no constants of the compiled function.
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return work(model, *inputs)

    return lambda *inputs: compute([variable.value for variable in variables], *inputs)


def _by_torch(model: keras.Model, work: Callable) -> Callable:
    import torch

    def compute(*inputs):
        with torch.no_grad():
            return work(model, *keras.tree.map_structure(_tensor, inputs))

    return compute


def _tensor(value: Any) -> Any:
    return ops.convert_to_tensor(value) if isinstance(value, np.ndarray) else value


_COMPILERS = {"tensorflow": _by_tensorflow, "jax": _by_jax, "torch": _by_torch}
