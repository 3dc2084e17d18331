"""A Keras model as a runner, on TensorFlow, JAX or PyTorch: compiled once per shape, arrays in and out."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ascendcv.dataloader.pixels import Levels, check_finite
from ascendcv.ops.sampling import at_least_float32
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
        # Before the first step, so that there is one compiled step and not two.
        self._first_state = compiled(model, lambda model, frames: model.first_state(frames))
        self._next_window = model.stream(self._compiled) if card.shares_frames else None
        # Functions of their own, so that the network computes the same bits of pixels as of float32.
        self._to_unit = self._compiled(_to_unit)
        self._to_levels = {dtype: self._compiled(functools.partial(_to_levels, dtype)) for dtype in _WHITE}

    def __call__(self, frames: np.ndarray, state: Any = None, levels: Levels = None) -> tuple[np.ndarray, Any]:
        """See `Runner`. Raises MemoryError where the device's memory runs out."""
        try:
            if frames.dtype.name in _WHITE:
                frames = self._to_unit(frames, _WHITE[frames.dtype.name])
            restored, state = self._computed(frames, state)
            return self._in_levels(restored, levels), state
        except Exception as error:
            if any(sign in f"{type(error).__name__} {error}" for sign in _OUT_OF_MEMORY):
                raise MemoryError(f"{self.name} on {frames.shape}: {str(error).splitlines()[0]}") from error
            raise

    def _computed(self, frames: Any, state: Any) -> tuple[Any, Any]:
        if self.kind == "recurrent":
            state = self._first_state(frames) if state is None else state
            return self._call(frames, state)
        if state is not None and self._next_window is not None:
            return self._next_window(state.numbers, frames, state.kept), state
        return self._call(frames), None

    def _in_levels(self, restored: Any, levels: Levels) -> np.ndarray:
        if levels is None:
            return ops.convert_to_numpy(restored)
        dtype = np.dtype(levels)
        pixels, finite = self._to_levels[dtype.name](restored, _WHITE[dtype.name])
        check_finite(ops.convert_to_numpy(finite))
        return ops.convert_to_numpy(pixels).astype(dtype, copy=False)  # PyTorch has no uint16 to compute with

    def _compiled(self, work: Callable) -> Callable:
        return compiled(self.model, lambda model, *inputs: work(*inputs))


# dtype of pixels -> white
_WHITE = {name: np.array(np.iinfo(name).max, np.float32) for name in ("uint8", "uint16")}


def _to_unit(pixels: Any, white: Any) -> Any:
    """As `ascendcv.dataloader.pixels.to_unit`."""
    pixels = ops.cast(pixels, "float32")
    # No pixel is larger than white, and XLA does not know that: it would multiply by the reciprocal of one number.
    return pixels / ops.maximum(pixels, white)


def _to_levels(dtype: str, frames: Any, white: Any) -> tuple[Any, Any]:
    """As `ascendcv.dataloader.pixels.quantize`; and for each of [N, ...] whether all of its values are finite."""
    frames = at_least_float32(frames)
    levels = ops.round(ops.clip(frames, 0.0, 1.0) * ops.cast(white, frames.dtype))
    return ops.cast(levels, dtype), ops.all(ops.isfinite(frames), axis=tuple(range(1, len(frames.shape))))


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
