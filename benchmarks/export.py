"""Exported networks beside the Keras model: python -m benchmarks.export [CASE ...] [--rounds N] [--int8 W LQ GT]

    edvr_m    EDVR-M on [1, 5, 180, 320, 3]
    dbn       DBN on [1, 5, 360, 640, 3]
    tiny      the shipped edvr_tiny_x4 on [1, 5, 180, 320, 3]

Each file is exported into a temporary folder (which proves it equal), loaded by its runtime with two threads, and
takes turns with the Keras model by its compiled kernels, and with that by TensorFlow's convolutions: one process a
pair, medians of wall time and of the processors', as ratios. Printed beside: nodes of the graph and bytes of the
file. With --int8, the network of the checkpoint W is fitted to the frames in LQ and its PSNR against GT (the same
names) is measured in float32 and in int8.
"""

import argparse
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.timing import Cost, machine, median_costs

THREADS = 2
# case -> settings of the network, shape of the frames
CASES = {
    "edvr_m": ({"model.name": "EDVR"}, (1, 5, 180, 320, 3)),
    "dbn": ({"model.name": "DBN", "model.scale": 1}, (1, 5, 360, 640, 3)),
    "tiny": ({"checkpoint": "edvr_tiny_x4"}, (1, 5, 180, 320, 3)),
}
# what is measured -> format, whether sizes are fixed, the runtime's precision
FORMS = {
    "onnx": ("onnx", True, "float32"),
    "onnx-standard": ("onnx-standard", True, "float32"),
    "onnx-standard, free": ("onnx-standard", False, "float32"),
    "openvino": ("openvino", False, "float32"),
    "openvino, bfloat16": ("openvino", False, "bfloat16"),
    "litert": ("litert", True, "float32"),
}


def network(settings: dict):
    """The Keras model of a case: with the weights of its checkpoint, else random ones."""
    import keras

    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model
    from ascendvsr.models.detect import detect
    from ascendvsr.weights.cache import local_file
    from ascendvsr.weights.mapping import load_state_dict
    from ascendvsr.weights.reader import load_checkpoint
    from tests.networks import tame

    keras.utils.set_random_seed(0)
    if "checkpoint" not in settings:
        model = build_model(load_config(settings=settings))
        if settings["model.name"] == "DBN":
            tame(model)
        return model
    weights = load_checkpoint(local_file(settings["checkpoint"]))
    model = build_model(load_config(settings=detect(weights, settings["checkpoint"]).settings))
    load_state_dict(model, weights)
    return model


KERAS, TENSORFLOW = "Keras", "Keras, TensorFlow's convolutions"


def pair(case: str, form: str, rounds: int) -> tuple[dict[str, Cost], int, int]:
    """What the Keras model and an exported file take, nodes of the graph, bytes of the file."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    from ascendcv.ops.conv2d import composed
    from ascendcv.ops.registry import substituted
    from ascendvsr.deployment.export import export_model
    from ascendvsr.deployment.formats import FORMATS
    from ascendvsr.models.keras_runner import KerasRunner
    from ascendvsr.restoration.runtimes import read_exported

    name, fixed, precision = FORMS[form]
    settings, shape = CASES[case]
    model, frames = network(settings), np.random.default_rng(0).random(shape, dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"network{FORMATS[name].suffix}"
        report = export_model(model, path, name, size=shape[2:4] if fixed else None)
        exported = read_exported(path, FORMATS[name].runtime).runner(threads=THREADS, precision=precision)
        by_kernels, by_tensorflow = KerasRunner(model), KerasRunner(model)
        with substituted({"conv2d": composed}):
            by_tensorflow(frames)  # what is traced here stays
        runs = {KERAS: by_kernels, TENSORFLOW: by_tensorflow, form: exported}
        costs = median_costs({key: (lambda run=run: run(frames)) for key, run in runs.items()}, rounds)
        return costs, nodes(path), sum(report["files"].values())


def nodes(path: Path) -> int:
    """How many operations a graph has, without constants."""
    if path.suffix == ".onnx":
        import onnx

        return len(onnx.load(path).graph.node)
    if path.suffix == ".xml":
        import openvino

        kinds = [each.get_type_name() for each in openvino.Core().read_model(path).get_ops()]
        return sum(kind not in ("Constant", "Parameter", "Result") for kind in kinds)
    from ai_edge_litert.interpreter import Interpreter

    return len(Interpreter(str(path))._get_ops_details())


def int8(checkpoint: str, lq: str, gt: str, rounds: int) -> None:
    """Prints what 8 bits gain in time and lose in PSNR on real frames."""
    from ascendcv.dataloader.frame_source import open_source
    from ascendcv.dataloader.pixels import to_unit_rgb
    from ascendcv.metrics import psnr
    from ascendvsr.deployment.export import export_model
    from ascendvsr.deployment.origin import Origin
    from ascendvsr.restoration.runtimes import read_exported

    low, high = ([to_unit_rgb(frame.pixels) for frame in open_source(path)] for path in (lq, gt))
    model, size = network({"checkpoint": checkpoint}), low[0].shape[:2]
    third = len(low) // 3  # fitted to the first third, measured on the others
    runners, quality = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for precision, frames in (("float32", low), ("int8", low[:third])):
            path = Path(folder) / f"{precision}.xml"
            export_model(model, path, "openvino", size=size, precision=precision, origin=Origin(frames=frames))
            runners[precision] = read_exported(path, "openvino").runner(threads=THREADS)
        count, center = model.num_frame, model.center_frame_idx
        windows = [np.stack(low[at : at + count])[np.newaxis] for at in range(third, len(low) - count + 1)]
        for precision, runner in runners.items():
            restored = [np.clip(runner(window)[0][0], 0, 1) for window in windows]
            scores = [
                float(psnr(255 * frame, 255 * truth))
                for frame, truth in zip(restored, high[third + center :], strict=False)
            ]
            quality[precision] = sum(scores) / len(scores)
        runs = {precision: (lambda runner=runner: runner(windows[0])) for precision, runner in runners.items()}
        costs = median_costs(runs, rounds)
    wall, processor = (
        getattr(costs["float32"], kind) / getattr(costs["int8"], kind) for kind in ("wall", "processor")
    )
    print(
        f"{checkpoint} in int8 on {len(windows)} real frames of {size[0]}x{size[1]}: {quality['int8']:.3f} dB "
        f"instead of {quality['float32']:.3f} dB; {wall:.2f} times as fast, by processor time {processor:.2f} "
        f"({1e3 * costs['int8'].wall:.0f} ms)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--forms", help="some of: " + "; ".join(FORMS), default=";".join(FORMS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--int8", nargs=3, metavar=("W", "LQ", "GT"), help="a checkpoint, folders of real frames")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(machine())
    for case in arguments.cases or ([] if arguments.int8 else CASES):
        print(f"\n{case} {CASES[case][1]}")
        for form in arguments.forms.split(";"):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                costs, count, size = pool.submit(pair, case, form, arguments.rounds).result()
            own, kernels, tensorflow = costs[form], costs[KERAS], costs[TENSORFLOW]
            print(
                f"  {form:22} {own.wall / kernels.wall:5.2f} of Keras (processors "
                f"{own.processor / kernels.processor:.2f}), {own.wall / tensorflow.wall:.2f} of it by TensorFlow's "
                f"convolutions ({own.processor / tensorflow.processor:.2f}): {1e3 * own.wall:.0f} of "
                f"{1e3 * kernels.wall:.0f} and {1e3 * tensorflow.wall:.0f} ms; {count:,} nodes, "
                f"{size / 1e6:.1f} MB",
                flush=True,
            )
    if arguments.int8:
        int8(*arguments.int8, arguments.rounds)


if __name__ == "__main__":
    main()
