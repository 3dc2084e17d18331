"""DBN and FlowDBN at work: python -m benchmarks.deblur [--source VISINF_DEBLUR_DEVIL] [--rounds N] [--size H W]
                         [--only DBN|pwcnet|flownet1s] [--precision bfloat16]

Restoring one frame from [1, 5, 360, 640, 3] on two threads: window by window, and as the next frame of a stream, in
which the features of the other four frames are known. With the path of a checkout of visinf/deblur-devil, its
networks do the same in the same run by PyTorch (with its own correlation extension written out in PyTorch, where
that is not installed).
"""

import argparse
import functools
import importlib.util
import os
import sys
import types
from collections.abc import Callable

from benchmarks.timing import finished, graph, machine, matrix_product, median_times, peak_memory

THREADS = 2
NETWORKS = {"DBN": None, "FlowDBN, PWC-Net": "pwcnet", "FlowDBN, FlowNet1S": "flownet1s"}


def network(prewarping: str | None, precision: str):
    from ascendcv.layers.precision import computing_in
    from ascendvsr.models.deblur_devil.dbn import DBN
    from ascendvsr.models.deblur_devil.flowdbn import FlowDBN

    with computing_in(precision):
        return FlowDBN(prewarping=prewarping) if prewarping else DBN()


def window(prewarping: str | None, size: tuple[int, int], precision: str) -> Callable[[], object]:
    """The next frame from a window of which nothing is known."""
    import tensorflow as tf

    limit_threads()
    return graph(network(prewarping, precision), tf.random.uniform((1, 5, *size, 3)))


def stream(prewarping: str, size: tuple[int, int], precision: str) -> Callable[[], object]:
    """The next frame of a video."""
    import tensorflow as tf

    limit_threads()
    restore_next = network(prewarping, precision).stream(functools.partial(tf.function, autograph=False))
    video = tf.random.uniform((1, 5, *size, 3))
    position, kept = iter(range(10**6)), {}

    def restore_one():
        start = next(position)
        return finished(restore_next(range(start, start + 5), video, kept))

    return restore_one


def original(prewarping: str | None, size: tuple[int, int], source: str) -> Callable[[], object]:
    """The same by the official code and PyTorch."""
    import torch

    torch.set_num_threads(THREADS)
    model = official_network(prewarping, source).eval()
    frames = {f"input{t + 1}": torch.rand(1, 3, *size) for t in range(5)}

    def restore_one():
        with torch.no_grad():
            return model(frames)["output1"]

    return restore_one


def official_network(prewarping: str | None, source: str):
    """`models.deblurring` of visinf/deblur-devil without its framework, and without prewarping checkpoints."""
    if "models" not in sys.modules:
        sys.path.insert(0, source)
        import logging

        logging.value = logging.info  # a level that its own logger adds
        models, utils = _module("models", __path__=[os.path.join(source, "models")]), _module("utils")
        models.factory = _module("models.factory", register=lambda *_: None)
        utils.checkpoints = _module("utils.checkpoints", restore_module_from_filename=lambda *_, **__: None)
        if importlib.util.find_spec("spatial_correlation_sampler_backend") is None:
            _module("spatial_correlation_sampler_backend", forward=_correlation)
    from models.deblurring import dbn, flowdbn

    arguments = types.SimpleNamespace(validation_dataset_sequence_length=5)
    if prewarping is None:
        return dbn.DBN(arguments)
    return flowdbn.FlowDBN(arguments, **{{"pwcnet": "pretrained_pwcnet"}.get(prewarping, "pretrained_flownet"): ""})


def _module(name: str, **contents: object) -> types.ModuleType:
    """A module that imports of this name find."""
    module = sys.modules[name] = types.ModuleType(name)
    vars(module).update(contents)
    return module


def _correlation(first, second, *settings: int):
    """[N, P, P, H, W]: sums of products over channels at P x P displacements; kernel of 1, stride 1, no padding."""
    import torch
    from torch.nn import functional

    patch, reach = settings[2], settings[2] // 2
    height, width = first.shape[2:]
    second = functional.pad(second, (reach, reach, reach, reach))
    products = [
        (first * second[:, :, i : i + height, j : j + width]).sum(dim=1) for i in range(patch) for j in range(patch)
    ]
    return torch.stack(products, dim=1).unflatten(1, (patch, patch))


def limit_threads() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", help="a checkout of visinf/deblur-devil; PyTorch is needed for it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, default=(360, 640))
    parser.add_argument("--only", choices=("DBN", "pwcnet", "flownet1s"), help="one network instead of all three")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "float16"))
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    size = tuple(arguments.size)
    limit_threads()
    print(machine())
    for name, prewarping in NETWORKS.items():
        if arguments.only and arguments.only != (prewarping or name):
            continue
        runs = {"window": (window, prewarping, size, arguments.precision)}
        if prewarping:
            runs["stream"] = (stream, prewarping, size, arguments.precision)
        if arguments.source:
            runs["original"] = (original, prewarping, size, os.path.abspath(arguments.source))
        product, operations = matrix_product()
        prepared = {label: prepare(*given) for label, (prepare, *given) in runs.items()}
        times = median_times({"matrix product": product, **prepared}, arguments.rounds)
        del prepared
        peak = operations / times.pop("matrix product") / 1e9
        print(f"{name}, 5x{size[0]}x{size[1]} (matrix product: {peak:.0f} GFLOP/s)")
        for label, seconds in times.items():
            ratio = f", {times['original'] / seconds:.2f} x the original's speed" if "original" in times else ""
            memory = peak_memory(*runs[label])
            print(f"  {label:9}{seconds:.2f} s, {1 / seconds:.2f} frames/s{ratio}, process peak {memory} MiB")


if __name__ == "__main__":
    main()
