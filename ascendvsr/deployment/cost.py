"""The command `cost`: parameters, multiply-accumulate operations (MACs) and memory of a network.

The counting rule is that of ptflops, by which video deblurring papers report their costs:

    convolution              kh * kw * input channels / groups for each output value, and 1 for a bias
    transposed convolution   the same, at the size of its output
    deformable convolution   the same, beside the convolution for its offsets
    fully connected layer    input channels for each output value, and 1 for a bias
    ReLU, LeakyReLU          1 for each output value, as layers and as activations of convolutions
    all else                 0: warping, cost volumes, resizing, attention's matrix products, normalization

Nothing is computed for it: the network is traced at the size in question.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path
from ascendcv.utils.quiet import import_tensorflow
from ascendvsr.deployment.serving import frames_of_a_call
from ascendvsr.models import card_named

if TYPE_CHECKING:
    import keras

SIZE = (720, 1280)  # (height, width) of the frames, as in the tables of the deblurring papers

_STATISTICS = ("running_mean", "running_var")  # no parameters: nothing learns them


def cost(cfg: CfgNode, height: int, width: int, memory: bool) -> None:
    """Prints the costs of a configuration's network for frames of height x width and writes `cost.txt`.

    `memory` measures one call too, in a process of its own. Raises `InputError` for a size that is none, and
    `RuntimeError` where the measurement fails.
    """
    if height < 1 or width < 1:
        raise InputError(f"--size should be height and width in pixels, not {height} {width}")
    card_named(cfg.model.name).arguments(cfg)  # which refuses impossible settings before TensorFlow starts
    import_tensorflow()
    from ascendvsr.models.builder import build_model

    text = report(build_model(cfg), cfg, height, width)
    if memory:
        text += measured_memory(cfg, height, width) + "\n"
    print(text, end="")
    write(text, cfg)


def write(text: str, cfg: CfgNode) -> None:
    """Writes `cost.txt` into `output_dir`."""
    with atomic_path(Path(cfg.output_dir) / "cost.txt") as temporary:
        temporary.write_text(text)


def report(model: "keras.Model", cfg: CfgNode, height: int = SIZE[0], width: int = SIZE[1]) -> str:
    """A table of parameters and MACs for each part of the network (attribute of the model)."""
    card, parameters = card_named(cfg.model.name), count_parameters(model)
    first, further = count_macs(cfg, model, height, width)
    frames = f"{frames_of_a_call(cfg, card, model)} frames of {height}x{width}"
    lines = [f"{card.name}: one call on {frames}", "", f"{'part':20} {'parameters':>14} {'MACs':>22}"]
    lines += [f"{part:20} {parameters[part]:14,} {first.get(part, 0):22,}" for part in parameters]
    lines += [f"{'total':20} {sum(parameters.values()):14,} {sum(first.values()):22,}", ""]
    if further is not None:
        lines.append(f"MACs of each further frame of a video, which reuses features: {sum(further.values()):,}")
    lines.append("Counted as by ptflops: see ascendvsr/deployment/cost.py. Operations that are no layers count 0.")
    return "\n".join(lines) + "\n"


def count_parameters(model: "keras.Model") -> dict[str, int]:
    """Part of the network -> how many numbers in it are learned, frozen ones included."""
    from ascendvsr.weights.names import named_variables

    counts: dict[str, int] = {}
    for entry in named_variables(model):
        part = entry.name.split(".")[0]
        learned = not entry.name.endswith(_STATISTICS)
        counts[part] = counts.get(part, 0) + learned * math.prod(entry.variable.shape)
    return counts


def count_macs(
    cfg: CfgNode, model: "keras.Model", height: int, width: int
) -> tuple[dict[str, int], dict[str, int] | None]:
    """Part of the network -> MACs of one call on frames of height x width.

    Of a recurrent network the call is the first step of a video; the second result is then what each further step
    costs, else None.
    """
    import keras

    class Call(keras.Layer):
        """A function as a layer, which Keras traces without computing anything."""

        def __init__(self, function: Callable):
            super().__init__()
            self.function = function
            self.built = True

        def call(self, *frames):
            return self.function(*frames)

    function, shapes = _one_call(cfg, model, height, width)

    def trace(function: Callable) -> dict[str, int]:
        with _counting(model) as counts:
            Call(function)(*(keras.KerasTensor(shape) for shape in shapes))
        return counts

    first = trace(function)
    if card_named(cfg.model.name).kind != "recurrent":
        return first, None
    both = trace(lambda frames: model.step(frames, model.step(frames, None)[1])[0])
    return first, {part: both[part] - first[part] for part in first}


def _one_call(
    cfg: CfgNode, model: "keras.Model", height: int, width: int
) -> tuple[Callable, list[tuple[int, ...]]]:
    """A function of tensors that calls the network once, and the shapes of its arguments."""
    card = card_named(cfg.model.name)
    if card.kind == "flow":
        return (lambda reference, supporting: model((reference, supporting))), [(1, height, width, 3)] * 2
    shape = (1, frames_of_a_call(cfg, card, model), height, width, card.channels(cfg))
    if card.kind == "recurrent":
        return (lambda frames: model.step(frames, None)[0]), [shape]
    return (lambda clip: model(clip)), [shape]


@contextlib.contextmanager
def _counting(model: "keras.Model") -> Iterator[dict[str, int]]:
    """Inside the block, calls of the model add their MACs to the dictionary {part: MACs}."""
    from ascendvsr.weights.names import named_layers

    counts: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        for name, layer in named_layers(model):
            part = name.split(".")[0]
            counts.setdefault(part, 0)
            macs = _rule(layer)
            if macs is not None:
                stack.enter_context(_observed(layer, macs, part, counts))
        yield counts


@contextlib.contextmanager
def _observed(layer: "keras.Layer", macs: int, part: str, counts: dict[str, int]) -> Iterator[None]:
    """Inside the block, each output value of `layer` adds `macs` to the part's count."""
    original = layer.call

    def call(*args, **kwargs):
        result = original(*args, **kwargs)
        counts[part] += macs * math.prod(result.shape)
        return result

    # Past Keras's own __setattr__, which would take note of a change of the layer.
    object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        object.__delattr__(layer, "call")


def _rule(layer: "keras.Layer") -> int | None:
    """MACs of each output value of a layer; None: it has none of its own."""
    import keras

    from ascendcv.layers.conv import Conv2D
    from ascendcv.layers.conv_transpose import Conv2DTranspose
    from ascendcv.layers.deform_conv import DCNv2Pack
    from ascendcv.layers.frame_conv import FrameConv
    from ascendcv.layers.linear import Linear

    if isinstance(layer, Conv2DTranspose):
        side, _, _, channels = layer.kernel.shape
        return side * side * (channels // layer.groups) + layer.use_bias
    if isinstance(layer, Conv2D | FrameConv):
        biased = layer.bias is not None
        return math.prod(layer.kernel.shape[:-1]) + biased + (layer.activation is not None)
    if isinstance(layer, DCNv2Pack):
        return math.prod(layer.kernel.shape[:-1]) + 1
    if isinstance(layer, Linear):
        return layer.kernel.shape[0] + layer.use_bias
    return 1 if isinstance(layer, keras.layers.ReLU | keras.layers.LeakyReLU) else None


def measured_memory(cfg: CfgNode, height: int, width: int) -> str:
    """Runs one call in a process of its own and says how much memory it took at most."""
    from ascendvsr.config import save_config

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        save_config(cfg, path)
        command = [sys.executable, "-m", "ascendvsr.deployment.cost", str(path), str(height), str(width)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.run(command, capture_output=True, text=True, env=environment)
    if process.returncode:
        told = process.stderr.strip().splitlines() or ["it was killed, which happens when memory runs out"]
        raise RuntimeError(f"the call whose memory was to be measured failed: {told[-1]}")
    found = json.loads(process.stdout.splitlines()[-1])
    if "device" in found:
        return f"Peak memory of one call on {found['device']}: {found['peak'] >> 20:,} MiB"
    return (
        f"Peak memory of a process that makes one call: {found['peak'] >> 20:,} MiB, of which "
        f"{found['before'] >> 20:,} MiB before the call"
    )


def _measure(path: str, height: str, width: str) -> None:
    """The other process: prints the peak as JSON, in bytes."""
    import_tensorflow()
    import tensorflow as tf

    from ascendcv.runner.device import prepare_devices
    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model
    from ascendvsr.restoration.memory import largest_so_far

    cfg = load_config(path)
    (device,) = prepare_devices(cfg.device, cfg.device_ids[:1], num_threads=cfg.num_threads)
    function, shapes = _one_call(cfg, build_model(cfg), int(height), int(width))
    frames = [tf.zeros(shape) for shape in shapes]
    before = largest_so_far()
    tf.function(function, autograph=False)(*frames)
    if device.startswith("GPU"):
        found = {"device": device, "peak": tf.config.experimental.get_memory_info(device)["peak"]}
    else:
        found = {"before": before, "peak": largest_so_far()}
    print(json.dumps(found))


if __name__ == "__main__":
    _measure(*sys.argv[1:])
