"""A network as a frozen graph and a SavedModel for deployment, both proven equal to the Keras model.

`ascendvsr.deployment.serving` says what goes in and comes out. With `model.input_format_dimension` 4, `frames` is
[N * T, H, W, C]: the frames of a window one after the other. With `model.convert_output_to_uint8`, `restored` is
clipped to [0, 1], multiplied by 255 and rounded half to even; otherwise it is as the network gives it. The graph
holds TensorFlow's own operations only.
"""

import contextlib
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.image import read_image
from ascendcv.dataloader.pixels import quantize, to_unit_rgb
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_folder, atomic_path
from ascendvsr.datasets import evaluation_clips
from ascendvsr.deployment.serving import (
    FIRST,
    STEP,
    computations,
    frames_shape,
    input_shape,
    serving_functions,
    state_for,
)
from ascendvsr.models.card import Card

Arrays = Mapping[str, np.ndarray]
Function = Callable[[Arrays], Arrays]

# Largest difference that is accepted: in float outputs, relative to the largest value (at least 1); in levels.
_FLOAT_TOLERANCE, _UINT8_TOLERANCE = 1e-4, 1

# What free sizes are tried with: odd, even, wide and high.
_TRIAL_SIZES = ((48, 64), (33, 50), (70, 36))


def freeze(cfg: CfgNode, card: Card, network: Callable[[], object]) -> dict:
    """The command: writes output_dir/NAME.pb and NAME_savedmodel/ (NAME is `model.name`), and compares both.

    A recurrent network has a second graph, NAME_first.pb, for the first frame of a video.
    `data.eval_batch_size` -1 leaves the number of windows free, a -1 in `data.eval_in_size` height or width.
    NAME.json tells names, shapes and meaning of input and output, NAME.parity.json the largest differences
    from the Keras model over pictures of several sizes. All appear together, once the comparison has passed.
    Returns what NAME.parity.json holds.
    Raises:
        InputError: a size or batch size that means nothing.
        RuntimeError: a difference larger than accepted.
    """
    size = input_shape(cfg)
    model = network()
    shape = frames_shape(cfg, card, model, size)
    functions = serving_functions(cfg, card, model, shape)
    output, name = Path(cfg.output_dir), card.name
    files = {signature: f"{name}.pb" if signature == STEP else f"{name}_{signature}.pb" for signature in functions}
    with contextlib.ExitStack() as stack:
        saved_model = stack.enter_context(atomic_folder(output / f"{name}_savedmodel"))
        write_saved_model(model, functions, saved_model)
        exported = {"frozen_graph": {}, "saved_model": load_saved_model(saved_model)}
        for signature, function in functions.items():
            graph = stack.enter_context(atomic_path(output / files[signature]))
            write_frozen_graph(function, graph)
            outputs = list(function.structured_outputs)
            exported["frozen_graph"][signature] = load_frozen_graph(graph, outputs=outputs)
        parity = compare(cfg, card, model, exported, shape)
        for file, content in {
            f"{name}.json": describe(cfg, card, model, functions, files),
            f"{name}.parity.json": parity,
        }.items():
            temporary = stack.enter_context(atomic_path(output / file))
            temporary.write_text(json.dumps(content, indent=1) + "\n")
    for kind, place in {"frozen_graph": f"{name}.pb", "saved_model": f"{name}_savedmodel"}.items():
        print(f"{output / place}: differs from the Keras model by {parity[kind]:.2e} {parity['unit']} at most")
    return parity


def write_frozen_graph(function, path: Path) -> None:
    """The function's graph with its weights as constants; a tensor NAME:0 for each input and output."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(function)
    path.write_bytes(frozen.graph.as_graph_def().SerializeToString())


def load_frozen_graph(path: Path, outputs: Sequence[str] = ("restored",)) -> Function:
    """A frozen graph as a function of its inputs by name, giving `outputs` by name."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    inputs = [node.name for node in graph.node if node.op == "Placeholder"]
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
    function = wrapped.prune([f"{name}:0" for name in inputs], [f"{name}:0" for name in outputs])

    def compute(arrays: Arrays) -> Arrays:
        results = function(*(tf.constant(arrays[name]) for name in inputs))
        return {name: result.numpy() for name, result in zip(outputs, results, strict=True)}

    return compute


def write_saved_model(model, functions: Mapping[str, object], folder: Path) -> None:
    """A SavedModel with the functions as its signatures."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(module, str(folder), signatures=dict(functions))


def load_saved_model(folder: Path) -> dict[str, Function]:
    """A SavedModel's signatures as functions of their inputs by name."""
    import tensorflow as tf

    module = tf.saved_model.load(str(folder))

    # A signature does not keep the module, and with it the weights, alive.
    def compute(arrays: Arrays, function=None, _=module) -> Arrays:
        results = function(**{name: tf.constant(array) for name, array in arrays.items()})
        return {name: result.numpy() for name, result in results.items()}

    return {name: functools.partial(compute, function=function) for name, function in module.signatures.items()}


def compare(
    cfg: CfgNode, card: Card, model, exported: Mapping[str, Mapping[str, Function]], shape: Sequence[int | None]
) -> dict:
    """The largest difference of each exported form from the Keras model, over all trial shapes.

    `exported`: {'frozen_graph': {signature: function}, ...}.
    Raises `RuntimeError` if one is larger than accepted, or not a number.
    """
    uint8 = cfg.model.convert_output_to_uint8
    frames, content = pictures(cfg)
    cases = []
    for trial in trial_shapes(shape):
        for signature, inputs, expected in _computed(card, model, moving_clips(frames, trial)):
            if cfg.model.input_format_dimension == 4:
                inputs = inputs | {"frames": inputs["frames"].reshape(-1, *trial[2:])}
            found = {kind: functions[signature](inputs) for kind, functions in exported.items()}
            for name, array in expected.items():
                limit = _FLOAT_TOLERANCE * max(1.0, float(np.abs(array).max()))
                if uint8 and name == "restored":
                    array, limit = quantize(array, np.uint8), _UINT8_TOLERANCE
                case = {"shape": list(trial), "signature": signature, "output": name, "accepted": limit}
                for kind, outputs in found.items():
                    case[kind] = float(np.abs(outputs[name].astype(np.float64) - array).max(initial=0))
                    if not case[kind] <= limit:
                        raise RuntimeError(
                            f"the {kind} differs from the Keras model by {case[kind]:.2e}, more than {limit:.2e}, "
                            f"in {name} for an input of {list(trial)}; nothing was written"
                        )
                cases.append(case)
    main = [case for case in cases if case["output"] in ("restored", "flow")]
    worst = {kind: max(case[kind] for case in main) for kind in exported}
    unit = "pixels" if card.kind == "flow" else "levels of 255" if uint8 else "of [0, 1]"
    return worst | {"unit": unit, "content": content, "cases": cases}


def _computed(card: Card, model, clips: np.ndarray) -> Iterator[tuple[str, Arrays, Arrays]]:
    """(signature, inputs, what the Keras model gives for them) of each signature."""
    work = computations(card, model)
    state = {}
    if FIRST in work:
        outputs = _arrays(work[FIRST](clips))
        yield FIRST, {"frames": clips}, outputs
        state = state_for(outputs)
    yield STEP, {"frames": clips} | state, _arrays(work[STEP](clips, **state))


def _arrays(tensors: Mapping[str, object]) -> Arrays:
    return {name: np.asarray(tensor) for name, tensor in tensors.items()}


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
    """Clips of `shape` [N, T, H, W, C]: the frames, moving by a pixel a frame, cut or mirrored to the size.

    A fourth channel, the level of noise, is 30 / 255.
    """
    batch, num_frames, height, width, _ = shape
    clips = np.full(shape, 30 / 255, np.float32)
    for number in range(batch):
        for time in range(num_frames):
            frame = np.roll(frames[time % len(frames)], (time, 2 * time + 9 * number), axis=(0, 1))
            missing = max(height - frame.shape[0], 0), max(width - frame.shape[1], 0)
            frame = np.pad(frame, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
            clips[number, time, ..., :3] = frame[:height, :width]
    return clips


def describe(cfg: CfgNode, card: Card, model, functions: Mapping[str, object], files: Mapping[str, str]) -> dict:
    """What a program that runs the exported network needs to know."""
    kind = card.kind
    main = functions[STEP]
    folded = cfg.model.input_format_dimension == 4
    output = "flow" if kind == "flow" else "restored"
    result = main.structured_outputs[output]
    ranges = {"flow": "pixels; x (right), y (down)", "uint8": [0, 255]}
    facts = {
        "network": card.name,
        "checkpoint": cfg.checkpoint,
        "kind": kind,
        "scale": model.scale if card.restores else 1,
        "colour": "RGB" + (", and the deviation of the noise / 255" if main.inputs[0].shape[-1] == 4 else ""),
        "input": _about(main.inputs[0]) | {"layout": _FOLDED if folded else "[N, T, H, W, C]", "range": [0, 1]},
        "output": _about(result)
        | {
            "name": f"{output}:0",
            "layout": "[N, T, H, W, C]" if kind == "clip" else "[N, H, W, C]",
            "range": ranges.get(output) or ranges.get(result.dtype.name, [0, 1]),
        },
        "saved_model_signature": STEP,
    }
    if kind in ("window", "recurrent"):
        facts |= {"window": model.num_frame, "restored_frame_of_window": model.center_frame_idx}
    if FIRST in functions:
        facts["state"] = [_about(tensor) for tensor in main.inputs if tensor.name.startswith("state_")]
        facts["start"] = (
            f"{files[FIRST]} (signature {FIRST}) takes the first window of a video and no state; each step's "
            "next_NAME is the state_NAME of the step after it"
        )
    return facts


_FOLDED = "[N * T, H, W, C], the T frames of a window in order"


def _about(tensor) -> dict:
    return {"name": tensor.name, "shape": tensor.shape.as_list(), "dtype": tensor.dtype.name}
