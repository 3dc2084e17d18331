"""What an exported network computes: traced TensorFlow functions, by the way in which the network eats time.

Each function takes tensors by name and gives tensors by name. Input `frames` is RGB in [0, 1], with sigma / 255 as
a fourth channel for non-blind denoising. What comes of it depends on the network:

    window      frames [N, T, H, W, C]               -> restored [N, H', W', 3], the middle frame
    clip        frames [N, T, H, W, C]               -> restored [N, T, H', W', 3]
    recurrent   frames [N, 3, H, W, C], state_* ...  -> restored [N, H, W, 3], next_* ...
    flow        frames [N, 2, H, W, 3]               -> flow [N, H, W, 2] from the first to the second, in pixels

A recurrent network has a second function, `first`, for the first frame of a video, which takes no state. What
either gives as next_NAME is the next step's state_NAME.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.models.card import Card

# The signatures of a SavedModel; the first is the one that runs where none is named.
STEP, FIRST = "serving_default", "first"

FRAMES, RESTORED, FLOW = "frames", "restored", "flow"

Tensors = Mapping[str, Any]


@dataclass(frozen=True)
class Served:
    """A network and the form in which it is exported.

    Attributes:
        card, model: the network.
        num_frames: T, frames of a call.
        batch, height, width: of the input; None: free.
        folded: `frames` is [N * T, H, W, C]: the frames of a window one after the other.
        input_dtype: of `frames`: float32 or float16 in [0, 1], or uint8 in [0, 255], divided by 255 in the graph.
        output_dtype: of `restored`: float32 or float16 as the network gives it, or uint8: clipped to [0, 1],
            multiplied by 255 and rounded half to even.
    """

    card: Card
    model: Any
    num_frames: int
    batch: int | None = 1
    height: int | None = None
    width: int | None = None
    folded: bool = False
    input_dtype: str = "float32"
    output_dtype: str = "float32"

    @property
    def channels(self) -> int:
        return self.model.in_channels if self.card.restores else 3

    @property
    def shape(self) -> tuple[int | None, ...]:
        """[N, T, H, W, C] of the frames, None where free."""
        return self.batch, self.num_frames, self.height, self.width, self.channels

    @property
    def main_output(self) -> str:
        return RESTORED if self.card.restores else FLOW

    @property
    def unit(self) -> str:
        """Of differences in what it gives."""
        if not self.card.restores:
            return "pixels"
        return "levels of 255" if self.output_dtype == "uint8" else "of [0, 1]"


def input_shape(cfg: CfgNode) -> list[int | None]:
    """[N, H, W] of the exported network, None where free. Raises `InputError` for sizes below 1 but -1."""
    batch, size = cfg.data.eval_batch_size, cfg.data.eval_in_size
    if len(size) != 2 or any(value < 1 and value != -1 for value in (batch, *size)):
        raise InputError(
            f"data.eval_batch_size ({batch}) and data.eval_in_size ({list(size)}: height, width) should be "
            "numbers from 1 on, or -1 for any"
        )
    return [None if value == -1 else value for value in (batch, *size)]


def frames_of_a_call(cfg: CfgNode, card: Card, model) -> int:
    """How many frames one call of a network sees."""
    return {"flow": 2, "clip": cfg.model.num_frames}.get(card.kind) or model.num_frame


def computations(card: Card, model) -> dict[str, Callable[..., dict]]:
    """Signature -> the function of `frames` (and the named tensors of a state) that it stands for."""
    if card.kind == "flow":
        return {STEP: lambda frames: {FLOW: model((frames[:, 0], frames[:, 1]), training=False)}}
    if card.kind != "recurrent":
        return {STEP: lambda frames: {RESTORED: model(frames, training=False)}}

    def step(frames, **state):
        restored, after = model.step(frames, _unnamed(state) if state else None)
        return {RESTORED: restored} | _named(after)

    return {STEP: step, FIRST: step}


def serving_functions(served: Served, operations: Mapping[str, Callable] | None = None) -> dict[str, Any]:
    """Signature -> the traced TensorFlow function that is exported.

    `operations`: name -> what takes the place of an operation of `ascendcv.ops.registry` in the graph.
    """
    work = computations(served.card, served.model)
    first = _traced(served, work[FIRST], {}, operations) if FIRST in work else None
    if first is None:
        return {STEP: _traced(served, work[STEP], {}, operations)}
    state = {_before(name): spec for name, spec in first.structured_outputs.items() if name.startswith(_NEXT)}
    return {STEP: _traced(served, work[STEP], state, operations), FIRST: first}


def _traced(served: Served, work: Callable[..., dict], state: Tensors, operations: Mapping[str, Callable] | None):
    import tensorflow as tf

    from ascendcv.ops.registry import implementation, substituted

    batch, num_frames, *frame = served.shape
    together = batch * num_frames if batch and num_frames else None
    signature = [together, *frame] if served.folded else list(served.shape)

    def serve(frames, *before):
        frames = tf.cast(frames, tf.float32)
        if served.input_dtype == "uint8":
            frames = frames / 255
        if served.folded:
            # Of fixed sizes as numbers, which become no nodes.
            size = [tf.shape(frames)[axis] if length is None else length for axis, length in enumerate(frame, 1)]
            frames = tf.ensure_shape(tf.reshape(frames, [batch or -1, num_frames, *size]), served.shape)
        with implementation("tf"), substituted(operations) if operations else contextlib.nullcontext():
            outputs = work(frames, **dict(zip(state, before, strict=True)))
        if RESTORED in outputs and served.output_dtype != "float32":
            restored = outputs[RESTORED]
            if served.output_dtype == "uint8":
                restored = tf.round(255 * tf.clip_by_value(restored, 0, 1))
            outputs[RESTORED] = tf.cast(restored, served.output_dtype)
        return {name: tf.identity(value, name=name) for name, value in outputs.items()}

    specs = [tf.TensorSpec(signature, served.input_dtype, name=FRAMES)]
    specs += [tf.TensorSpec(tensor.shape, tensor.dtype, name=name) for name, tensor in state.items()]
    return tf.function(serve, input_signature=specs, autograph=False).get_concrete_function()


_STATE, _NEXT = "state_", "next_"


def _before(name: str) -> str:
    """next_NAME -> state_NAME."""
    return _STATE + name.removeprefix(_NEXT)


def state_for(outputs: Tensors) -> dict[str, Any]:
    """The state that the next step takes, of what a step gave."""
    return {_before(name): value for name, value in outputs.items() if name.startswith(_NEXT)}


def _named(state: Tensors | Sequence) -> dict[str, object]:
    items = state.items() if isinstance(state, Mapping) else enumerate(state)
    return {f"{_NEXT}{name}": value for name, value in items}


def _unnamed(state: Tensors) -> dict[str, object] | tuple:
    names = [name.removeprefix(_STATE) for name in state]
    return tuple(state.values()) if names[0].isdecimal() else dict(zip(names, state.values(), strict=True))
