"""The compiled kernels beside their rivals: python -m benchmarks.kernels [CASE ...] [--rounds N] [--memory]

Times are medians of interleaved runs in one process with two threads, as ratios to a plain convolution of the same
shape (the floor) and to the kernel. Peak memory is what a process of its own adds for one call.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

THREADS = 2
Runs = dict[str, Callable[[], object]]


def deform_conv(groups: int = 8) -> Runs:
    """EDVR's largest alignment: [1, 180, 320, 64], 3 x 3, offsets of a few pixels."""
    import tensorflow as tf

    from ascendcv.ops.deform_conv import deform_conv2d

    x, kernel = tf.random.normal([1, 180, 320, 64]), tf.random.normal([3, 3, 64, 64]) / 24
    offset, bias = 2 * tf.random.normal([1, 180, 320, groups * 18]), tf.zeros([64])
    mask = tf.random.uniform([1, 180, 320, groups * 9])

    def convolution(x, kernel, bias):
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)

    def by(impl):
        return lambda x, offset, kernel, mask, bias: deform_conv2d(
            x, offset, kernel, mask, bias, deformable_groups=groups, impl=impl
        )

    arguments = (x, offset, kernel, mask, bias)
    return {
        "convolution": _graph(convolution, x, kernel, bias),
        "fused": _graph(by("fused"), *arguments),
        "composed": _graph(by("tf"), *arguments),
        "composed, XLA": _graph(by("tf"), *arguments, jit_compile=True),
        "onnxruntime": _onnxruntime_deform_conv(*arguments),
        "convolution, with gradients": _graph(_gradients(convolution), x, kernel, bias),
        "fused, with gradients": _graph(_gradients(by("fused")), *arguments),
        "composed, with gradients": _graph(_gradients(by("tf")), *arguments),
    }


def correlation() -> Runs:
    """PWC-Net's cost volume, 81 displacements of [1, 112, 256, 64]."""
    import tensorflow as tf
    import torch

    from ascendcv.ops.correlation import correlation

    images = [tf.random.normal([1, 112, 256, 64]) for _ in range(2)]
    kernel = tf.random.normal([3, 3, 64, 64])

    def by(impl):
        return lambda first, second: correlation(first, second, impl=impl)

    def shifts(first, second):
        second = torch.nn.functional.pad(second, (4, 4, 4, 4))
        return torch.stack(
            [(first * second[..., i : i + 112, j : j + 256]).mean(1) for i in range(9) for j in range(9)], 1
        )

    first, second = (torch.from_numpy(image.numpy()).permute(0, 3, 1, 2).contiguous() for image in images)
    return {
        "convolution": _graph(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), images[0], kernel),
        "fused": _graph(by("fused"), *images),
        "composed": _graph(by("tf"), *images),
        "composed, XLA": _graph(by("tf"), *images, jit_compile=True),
        "PyTorch, composed": lambda: shifts(first, second),
        "fused, with gradients": _graph(_gradients(by("fused")), *images),
        "composed, with gradients": _graph(_gradients(by("tf")), *images),
    }


def deform_attn() -> Runs:
    """RVRT's guided attention on two frames of 64 x 64: 144 channels, 12 heads, 12 groups."""
    import tensorflow as tf

    from ascendcv.ops.deform_attn import deform_attn

    q, kv = tf.random.normal([1, 2, 64, 64, 144]), tf.random.normal([1, 2, 64, 64, 288])
    offset = 4 * tf.random.normal([1, 2, 64, 64, 432])
    kernel = tf.random.normal([3, 3, 144, 144])

    def by(impl):
        return lambda q, kv, offset: deform_attn(q, kv, offset, attention_heads=12, deformable_groups=12, impl=impl)

    return {
        "convolution": _graph(lambda x, k: tf.nn.conv2d(x[0], k, 1, "SAME"), q, kernel),
        "fused": _graph(by("fused"), q, kv, offset),
        "composed": _graph(by("tf"), q, kv, offset),
        "composed, XLA": _graph(by("tf"), q, kv, offset, jit_compile=True),
        "fused, with gradients": _graph(_gradients(by("fused")), q, kv, offset),
        "composed, with gradients": _graph(_gradients(by("tf")), q, kv, offset),
    }


CASES = {"deform_conv": deform_conv, "correlation": correlation, "deform_attn": deform_attn}


def _graph(function: Callable, *arguments, jit_compile: bool = False) -> Callable[[], object]:
    import tensorflow as tf

    compiled = tf.function(function, jit_compile=jit_compile, autograph=False)
    return lambda: compiled(*arguments)


def _gradients(function: Callable) -> Callable:
    import tensorflow as tf

    def gradients(*arguments):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            y = function(*arguments)
        return y, tape.gradient(y, arguments)

    return gradients


def _onnxruntime_deform_conv(x, offset, kernel, mask, bias) -> Callable[[], object]:
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper

    arrays = {name: np.moveaxis(tensor.numpy(), -1, 1) for name, tensor in {"x": x, "o": offset, "m": mask}.items()}
    arrays |= {"k": kernel.numpy().transpose(3, 2, 0, 1), "b": bias.numpy()}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    groups = mask.shape[-1] // 9
    node = helper.make_node(
        "DeformConv", list("xkobm"), ["y"], kernel_shape=[3, 3], pads=[1] * 4, offset_group=groups
    )
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, arrays[name].shape) for name in "xkobm"]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, arrays["x"].shape)
    graph = helper.make_graph([node], "deform_conv", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda: session.run(None, arrays)


def measure(runs: Runs, rounds: int) -> dict[str, float]:
    """Median milliseconds of each, one round after another, so that all see the machine in the same state.

    Each runs twice in its round and the second run counts, so that it finds its own data and memory, not another's.
    """
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()
            start = time.perf_counter()
            run()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def peak_memory(case: str, name: str) -> int:
    """MB that one call adds to a process of its own."""
    command = [sys.executable, "-m", "benchmarks.kernels", case, "--child", name]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def _added_by(run: Callable[[], object]) -> int:
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    run()
    return (_status("VmHWM") - before) // 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", action="store_true", help="measure peak memory too")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()

    import tensorflow as tf
    import torch

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    torch.set_num_threads(THREADS)
    if options.child:
        print(_added_by(CASES[options.cases[0]]()[options.child]))
        return
    for case in options.cases or CASES:
        print(f"{case}: {CASES[case].__doc__}")
        runs = CASES[case]()
        times = measure(runs, options.rounds)
        for name, milliseconds in times.items():
            suffix = ", with gradients" if name.endswith("gradients") else ""
            floor, kernel = times.get("convolution" + suffix, times["convolution"]), times["fused" + suffix]
            line = f"  {name:28} {milliseconds:8.1f} ms {milliseconds / floor:7.2f} x convolution"
            line += f" {milliseconds / kernel:7.2f} x fused"
            print(line + (f" {peak_memory(case, name):6d} MB" if options.memory else ""))


if __name__ == "__main__":
    main()
