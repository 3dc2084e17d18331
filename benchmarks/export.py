"""Exported networks beside the Keras model: python -m benchmarks.export [CASE ...] [--rounds N] [--int8 LQ GT]

    edvr_m    EDVR-M on [1, 5, 180, 320, 3]
    dbn       DBN on [1, 5, 360, 640, 3]
    tiny      the shipped edvr_tiny_x4 on [1, 5, 180, 320, 3]

Each file is exported into a temporary folder (which proves it equal), loaded by its runtime with two threads, and
takes turns with the Keras model by its compiled kernels: one process a pair, medians, as ratios to Keras. Printed
beside: nodes of the graph and bytes of the file. With --int8, `tiny` is fitted to the frames in LQ and its PSNR
against GT (the same names, 4 times as large) is measured in float32 and in int8.
"""

import argparse
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.timing import machine, median_times

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


def network(case: str):
    """The Keras model of a case: trained weights where they ship, else random ones."""
    import keras

    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model
    from ascendvsr.models.detect import detect
    from ascendvsr.weights.cache import local_file
    from ascendvsr.weights.mapping import load_state_dict
    from ascendvsr.weights.reader import load_checkpoint

    settings, _ = CASES[case]
    keras.utils.set_random_seed(0)
    if "checkpoint" not in settings:
        return build_model(load_config(settings=settings))
    weights = load_checkpoint(local_file(settings["checkpoint"]))
    model = build_model(load_config(settings=detect(weights, settings["checkpoint"]).settings))
    load_state_dict(model, weights)
    return model


def pair(case: str, form: str, rounds: int) -> tuple[float, float, int, int]:
    """Seconds of the Keras model and of an exported file, nodes of the graph, bytes of the file."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    from ascendvsr.deployment.export import export_model
    from ascendvsr.deployment.formats import FORMATS
    from ascendvsr.models.keras_runner import KerasRunner
    from ascendvsr.restoration.runtimes import read_exported

    name, fixed, precision = FORMS[form]
    _, shape = CASES[case]
    model, frames = network(case), np.random.default_rng(0).random(shape, dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"network{FORMATS[name].suffix}"
        report = export_model(model, path, name, size=shape[2:4] if fixed else None)
        exported = read_exported(path, FORMATS[name].runtime).runner(threads=THREADS, precision=precision)
        keras_runner = KerasRunner(model)
        times = median_times({"keras": lambda: keras_runner(frames), form: lambda: exported(frames)}, rounds)
        return times["keras"], times[form], nodes(path), sum(report["files"].values())


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


def int8(lq: str, gt: str, rounds: int) -> None:
    """Prints what 8 bits gain in time and lose in PSNR on real frames, of the shipped network."""
    from ascendcv.dataloader.frame_source import open_source
    from ascendcv.dataloader.pixels import to_unit_rgb
    from ascendcv.metrics import psnr
    from ascendvsr.deployment.export import Origin, export_model
    from ascendvsr.restoration.runtimes import read_exported

    low, high = ([to_unit_rgb(frame.pixels) for frame in open_source(path)] for path in (lq, gt))
    model, size = network("tiny"), low[0].shape[:2]
    half = len(low) // 2  # fitted to the first half, measured on the second
    runners, quality = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for precision, frames in (("float32", low), ("int8", low[:half])):
            path = Path(folder) / f"{precision}.xml"
            export_model(model, path, "openvino", size=size, precision=precision, origin=Origin(frames=frames))
            runners[precision] = read_exported(path, "openvino").runner(threads=THREADS)
        windows = [np.stack(low[start : start + 5])[np.newaxis] for start in range(half, len(low) - 4)]
        for precision, runner in runners.items():
            restored = [np.clip(runner(window)[0][0], 0, 1) for window in windows]
            scores = [
                float(psnr(255 * frame, 255 * truth))
                for frame, truth in zip(restored, high[half + 2 :], strict=False)
            ]
            quality[precision] = sum(scores) / len(scores)
        runs = {precision: (lambda runner=runner: runner(windows[0])) for precision, runner in runners.items()}
        times = median_times(runs, rounds)
    print(
        f"int8 on {len(windows)} real frames of {size[0]}x{size[1]}: {quality['int8']:.2f} dB instead of "
        f"{quality['float32']:.2f} dB, {times['float32'] / times['int8']:.2f} times as fast "
        f"({1e3 * times['int8']:.0f} ms)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--forms", help="some of: " + "; ".join(FORMS), default=";".join(FORMS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--int8", nargs=2, metavar=("LQ", "GT"), help="folders of real frames")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(machine())
    for case in arguments.cases or ([] if arguments.int8 else CASES):
        print(f"\n{case} {CASES[case][1]}")
        for form in arguments.forms.split(";"):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                keras, exported, count, size = pool.submit(pair, case, form, arguments.rounds).result()
            print(
                f"  {form:22} {exported / keras:5.2f} of Keras ({1e3 * exported:.0f} of {1e3 * keras:.0f} ms), "
                f"{count:,} nodes, {size / 1e6:.1f} MB",
                flush=True,
            )
    if arguments.int8:
        int8(*arguments.int8, arguments.rounds)


if __name__ == "__main__":
    main()
