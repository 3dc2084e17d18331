"""What an exported network computes: traced TensorFlow functions, by the way in which the network eats time.

Each function takes tensors by name and gives tensors by name. Input `frames` is float32 RGB in [0, 1], with sigma /
255 as a fourth channel for non-blind denoising. What comes of it depends on the network:

    window      frames [N, T, H, W, C]               -> restored [N, H', W', 3], the middle frame
    clip        frames [N, T, H, W, C]               -> restored [N, T, H', W', 3]
    recurrent   frames [N, 3, H, W, C], state_* ...  -> restored [N, H, W, 3], next_* ...
    flow        frames [N, 2, H, W, 3]               -> flow [N, H, W, 2] from the first to the second, in pixels

A recurrent network has a second function, `first`, for the first frame of a video, which takes no state. What
either gives as next_NAME is the next step's state_NAME.
"""

from collections.abc import Callable, Mapping, Sequence

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.models.card import Card

# The signatures of a SavedModel; the first is the one that runs where none is named.
STEP, FIRST = "serving_default", "first"

Tensors = Mapping[str, object]


def input_shape(cfg: CfgNode) -> list[int | None]:
    """[N, H, W] of the exported network, None where free. Raises `InputError` for sizes below 1 but -1."""
    batch, size = cfg.data.eval_batch_size, cfg.data.eval_in_size
    if len(size) != 2 or any(value < 1 and value != -1 for value in (batch, *size)):
        raise InputError(
            f"data.eval_batch_size ({batch}) and data.eval_in_size ({list(size)}: height, width) should be "
            "numbers from 1 on, or -1 for any"
        )
    return [None if value == -1 else value for value in (batch, *size)]


def frames_shape(cfg: CfgNode, card: Card, model, shape: Sequence[int | None]) -> list[int | None]:
    """[N, T, H, W, C] of the input `frames`, `shape` being [N, H, W]."""
    batch, height, width = shape
    return [batch, frames_of_a_call(cfg, card, model), height, width, card.channels(cfg)]


def frames_of_a_call(cfg: CfgNode, card: Card, model) -> int:
    """How many frames one call of a network sees."""
    return {"flow": 2, "clip": cfg.model.num_frames}.get(card.kind) or model.num_frame


def computations(card: Card, model) -> dict[str, Callable[..., dict]]:
    """Signature -> the function of `frames` (and the named tensors of a state) that it stands for."""
    if card.kind == "flow":
        return {STEP: lambda frames: {"flow": model((frames[:, 0], frames[:, 1]), training=False)}}
    if card.kind != "recurrent":
        return {STEP: lambda frames: {"restored": model(frames, training=False)}}

    def step(frames, **state):
        restored, after = model.step(frames, _unnamed(state) if state else None)
        return {"restored": restored} | _named(after)

    return {STEP: step, FIRST: step}


def serving_functions(cfg: CfgNode, card: Card, model, shape: Sequence[int | None]) -> dict[str, object]:
    """Signature -> the traced TensorFlow function that is exported; `shape` is that of `frames_shape`."""
    work = computations(card, model)
    if FIRST not in work:
        return {STEP: _traced(cfg, work[STEP], shape, {})}
    first = _traced(cfg, work[FIRST], shape, {})
    state = {_before(name): spec for name, spec in first.structured_outputs.items() if name.startswith(_NEXT)}
    return {STEP: _traced(cfg, work[STEP], shape, state), FIRST: first}


def _traced(cfg: CfgNode, work: Callable[..., dict], shape: Sequence[int | None], state: Tensors):
    import tensorflow as tf

    from ascendcv.ops.registry import implementation

    batch, num_frames, *frame = shape
    folded = cfg.model.input_format_dimension == 4
    signature = [batch and batch * num_frames, *frame] if folded else list(shape)

    def serve(frames, *before):
        if folded:
            frames = tf.reshape(frames, [-1, num_frames, *tf.unstack(tf.shape(frames)[1:])])
            frames = tf.ensure_shape(frames, shape)
        with implementation("tf"):
            outputs = work(frames, **dict(zip(state, before, strict=True)))
        if cfg.model.convert_output_to_uint8 and "restored" in outputs:
            levels = tf.round(255 * tf.clip_by_value(outputs["restored"], 0, 1))
            outputs["restored"] = tf.cast(levels, tf.uint8)
        return {name: tf.identity(value, name=name) for name, value in outputs.items()}

    specs = [tf.TensorSpec(signature, tf.float32, name="frames")]
    specs += [tf.TensorSpec(tensor.shape, tensor.dtype, name=name) for name, tensor in state.items()]
    return tf.function(serve, input_signature=specs).get_concrete_function()


_STATE, _NEXT = "state_", "next_"


def _before(name: str) -> str:
    """next_NAME -> state_NAME."""
    return _STATE + name.removeprefix(_NEXT)


def state_for(outputs: Tensors) -> dict[str, object]:
    """The state that the next step takes, of what a step gave."""
    return {_before(name): value for name, value in outputs.items() if name.startswith(_NEXT)}


def _named(state: Tensors | Sequence) -> dict[str, object]:
    items = state.items() if isinstance(state, Mapping) else enumerate(state)
    return {f"{_NEXT}{name}": value for name, value in items}


def _unnamed(state: Tensors) -> dict[str, object] | tuple:
    names = [name.removeprefix(_STATE) for name in state]
    return tuple(state.values()) if names[0].isdecimal() else dict(zip(names, state.values(), strict=True))
