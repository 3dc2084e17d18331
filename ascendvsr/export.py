"""A network as a frozen graph and a SavedModel for deployment, both proven equal to the Keras model.

Input of both, `frames`: float32 RGB in [0, 1], [N, T, H, W, C], or [N * T, H, W, C] with
`model.input_format_dimension` 4: the frames of a window one after the other. Output, `restored`:
[N, H', W', C], float32 as the network gives it, or with `model.convert_output_to_uint8` clipped to [0, 1],
multiplied by 255 and rounded half to even. The graph holds TensorFlow's own operations only.
"""

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.image import read_image
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_folder, atomic_path
from ascendvsr.datasets import evaluation_clips
from ascendvsr.restore import quantize, to_unit_rgb

# Largest difference that is accepted: in float outputs, relative to the largest value (at least 1); in levels.
_FLOAT_TOLERANCE, _UINT8_TOLERANCE = 1e-4, 1

# What free sizes are tried with: odd, even, wide and high.
_TRIAL_SIZES = ((48, 64), (33, 50), (70, 36))


def freeze(cfg: CfgNode, network: Callable[[], object]) -> dict:
    """The command: writes output_dir/NAME.pb and NAME_savedmodel/ (NAME is `model.name`), and compares both.

    `data.eval_batch_size` -1 leaves the number of windows free, a -1 in `data.eval_in_size` height or width.
    NAME.json tells names, shapes and meaning of input and output, NAME.parity.json the largest differences
    from the Keras model over pictures of several sizes. All appear together, once the comparison has passed.
    Returns what NAME.parity.json holds.
    Raises:
        InputError: a size or batch size that means nothing.
        RuntimeError: a difference larger than accepted.
    """
    shape = input_shape(cfg)
    model = network()
    function = serving_function(cfg, model, shape)
    output = Path(cfg.output_dir)
    name = cfg.model.name
    with contextlib.ExitStack() as stack:
        graph = stack.enter_context(atomic_path(output / f"{name}.pb"))
        saved_model = stack.enter_context(atomic_folder(output / f"{name}_savedmodel"))
        write_frozen_graph(function, graph)
        write_saved_model(model, function, saved_model)
        exported = {"frozen_graph": load_frozen_graph(graph), "saved_model": load_saved_model(saved_model)}
        parity = compare(cfg, model, exported, shape)
        for file, content in {
            f"{name}.json": describe(cfg, model, function),
            f"{name}.parity.json": parity,
        }.items():
            temporary = stack.enter_context(atomic_path(output / file))
            temporary.write_text(json.dumps(content, indent=1) + "\n")
    for kind, place in {"frozen_graph": f"{name}.pb", "saved_model": f"{name}_savedmodel"}.items():
        print(f"{output / place}: differs from the Keras model by {parity[kind]:.2e} {parity['unit']} at most")
    return parity


def input_shape(cfg: CfgNode) -> list[int | None]:
    """[N, T, H, W, 3] of the exported network, None where free. Raises `InputError` for sizes below 1 but -1."""
    batch, size = cfg.data.eval_batch_size, cfg.data.eval_in_size
    if len(size) != 2 or any(value < 1 and value != -1 for value in (batch, *size)):
        raise InputError(
            f"data.eval_batch_size ({batch}) and data.eval_in_size ({list(size)}: height, width) should be "
            "numbers from 1 on, or -1 for any"
        )
    batch, height, width = (None if value == -1 else value for value in (batch, *size))
    return [batch, cfg.model.num_frames, height, width, 3]


def serving_function(cfg: CfgNode, model, shape: Sequence[int | None]):
    """The traced TensorFlow function that is exported."""
    import tensorflow as tf

    from ascendcv.ops.registry import implementation

    batch, num_frames, *frame = shape
    folded = cfg.model.input_format_dimension == 4
    signature = [batch and batch * num_frames, *frame] if folded else list(shape)

    def restore(frames):
        if folded:
            frames = tf.reshape(frames, [-1, num_frames, *tf.unstack(tf.shape(frames)[1:])])
            frames = tf.ensure_shape(frames, shape)
        with implementation("tf"):
            restored = model(frames, training=False)
        if cfg.model.convert_output_to_uint8:
            restored = tf.cast(tf.round(255 * tf.clip_by_value(restored, 0, 1)), tf.uint8)
        return {"restored": tf.identity(restored, name="restored")}

    function = tf.function(restore, input_signature=[tf.TensorSpec(signature, tf.float32, name="frames")])
    return function.get_concrete_function()


def write_frozen_graph(function, path: Path) -> None:
    """The function's graph with its weights as constants; tensors `frames:0` and `restored:0`."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(function)
    path.write_bytes(frozen.graph.as_graph_def().SerializeToString())


def load_frozen_graph(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A frozen graph as a function of its input."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
    function = wrapped.prune("frames:0", "restored:0")
    return lambda frames: function(tf.constant(frames)).numpy()


def write_saved_model(model, function, folder: Path) -> None:
    """A SavedModel with the function as its one signature, `serving_default`."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})


def load_saved_model(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A SavedModel as a function of its input."""
    import tensorflow as tf

    module = tf.saved_model.load(str(folder))
    function = module.signatures["serving_default"]
    # The signature does not keep the module, and with it the weights, alive.
    return lambda frames, _=module: function(frames=tf.constant(frames))["restored"].numpy()


def compare(
    cfg: CfgNode, model, exported: dict[str, Callable[[np.ndarray], np.ndarray]], shape: Sequence[int | None]
) -> dict:
    """The largest difference of each exported form from the Keras model, over all trial shapes.

    Raises `RuntimeError` if one is larger than accepted, or not a number.
    """
    uint8, folded = cfg.model.convert_output_to_uint8, cfg.model.input_format_dimension == 4
    frames, content = pictures(cfg)
    cases = []
    for trial in trial_shapes(shape):
        clips = moving_clips(frames, trial)
        expected = np.asarray(model(clips, training=False))
        limit = _FLOAT_TOLERANCE * max(1.0, float(np.abs(expected).max()))
        if uint8:
            expected, limit = quantize(expected, np.uint8), _UINT8_TOLERANCE
        case = {"shape": list(trial), "accepted": limit}
        for kind, function in exported.items():
            restored = function(clips.reshape(-1, *trial[2:]) if folded else clips)
            case[kind] = float(np.abs(restored.astype(np.float64) - expected).max())
            if not case[kind] <= limit:
                raise RuntimeError(
                    f"the {kind} differs from the Keras model by {case[kind]:.2e}, more than {limit:.2e}, for an "
                    f"input of {list(trial)}; nothing was written"
                )
        cases.append(case)
    worst = {kind: max(case[kind] for case in cases) for kind in exported}
    return worst | {"unit": "levels of 255" if uint8 else "of [0, 1]", "content": content, "cases": cases}


def trial_shapes(shape: Sequence[int | None]) -> list[tuple[int, ...]]:
    """Shapes [N, T, H, W, C] to compare with: three where height and width are free."""
    batch, num_frames, height, width, channels = shape
    trials = [
        (batch or number, num_frames, height or rows, width or columns, channels)
        for number, (rows, columns) in zip((1, 2, 1), _TRIAL_SIZES, strict=True)
    ]
    return list(dict.fromkeys(trials))


def pictures(cfg: CfgNode) -> tuple[list[np.ndarray], str]:
    """Frames [H, W, 3] float32 in [0, 1] to compare with, and where they are from.

    The first clip of the evaluation set; without one, noise with the spectrum of photographs, 1/f.
    """
    try:
        clip = evaluation_clips(cfg)[0]
        frames = [to_unit_rgb(read_image(path)) for path in clip.lq[: cfg.model.num_frames]]
        return frames, f"clip {clip.name} of {cfg.data.data_dir}"
    except InputError:
        frequency = np.hypot(np.fft.fftfreq(256)[:, np.newaxis], np.fft.fftfreq(256))
        frequency[0, 0] = 1
        noise = np.random.default_rng(0).standard_normal((256, 256, 3))
        spectrum = np.fft.fft2(noise, axes=(0, 1)) / frequency[..., np.newaxis]
        picture = np.fft.ifft2(spectrum, axes=(0, 1)).real
        picture = (picture - picture.min()) / np.ptp(picture)
        return [picture.astype(np.float32)], "1/f noise"


def moving_clips(frames: Sequence[np.ndarray], shape: Sequence[int]) -> np.ndarray:
    """Clips of `shape` [N, T, H, W, C]: the frames, moving by a pixel a frame, cut or mirrored to the size."""
    batch, num_frames, height, width, _ = shape
    clips = np.empty(shape, np.float32)
    for number in range(batch):
        for time in range(num_frames):
            frame = np.roll(frames[time % len(frames)], (time, 2 * time + 9 * number), axis=(0, 1))
            missing = max(height - frame.shape[0], 0), max(width - frame.shape[1], 0)
            frame = np.pad(frame, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
            clips[number, time] = frame[:height, :width]
    return clips


def describe(cfg: CfgNode, model, function) -> dict:
    """What a program that runs the exported network needs to know."""
    (frames,) = function.inputs[:1]
    restored = function.structured_outputs["restored"]
    folded = cfg.model.input_format_dimension == 4
    return {
        "network": cfg.model.name,
        "checkpoint": cfg.checkpoint,
        "scale": model.scale,
        "window": model.num_frame,
        "restored_frame_of_window": model.center_frame_idx,
        "colour": "RGB",
        "input": {
            "name": frames.name,
            "shape": frames.shape.as_list(),
            "layout": "[N * T, H, W, C], the T frames of a window in order" if folded else "[N, T, H, W, C]",
            "dtype": frames.dtype.name,
            "range": [0, 1],
        },
        "output": {
            "name": "restored:0",
            "shape": restored.shape.as_list(),
            "layout": "[N, H, W, C]",
            "dtype": restored.dtype.name,
            "range": [0, 255] if restored.dtype.name == "uint8" else [0, 1],
        },
        "saved_model_signature": "serving_default",
    }
