"""Composed deformable convolution beside a plain one of the same shape: python -m benchmarks.ops [--rounds N]

EDVR's largest alignment: [1, 180, 320, 64], 8 deformable groups, 3 x 3, offsets of a few pixels. Eager, as a graph
and compiled by XLA; forward, and forward with the gradients of all arguments.
"""

import argparse
import os
from collections.abc import Callable

from benchmarks.timing import finished, graph, machine, median_times

GROUPS = 8


def arguments() -> tuple:
    """x, offset, kernel, mask, bias."""
    import tensorflow as tf

    return (
        tf.random.normal([1, 180, 320, 64]),
        tf.random.normal([1, 180, 320, GROUPS * 18], stddev=2.0),
        tf.random.normal([3, 3, 64, 64], stddev=1 / 24),
        tf.random.uniform([1, 180, 320, GROUPS * 9]),
        tf.random.normal([64]),
    )


def plain(x, offset, kernel, mask, bias):
    import tensorflow as tf

    return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)


def deformable(x, offset, kernel, mask, bias):
    from ascendcv.ops.deform_conv import deform_conv2d

    return deform_conv2d(x, offset, kernel, mask, bias, deformable_groups=GROUPS, impl="tf")


def with_gradients(function: Callable) -> Callable:
    import tensorflow as tf

    def compute(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            y = function(*tensors)
        return tape.gradient(y, tensors, unconnected_gradients="zero")

    return compute


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    tensors = arguments()
    print(f"deformable convolution 1x180x320x64, {GROUPS} groups, 3x3; {machine()}")
    print(f"{'':26}{'plain':>10}{'deformable':>12}{'ratio':>8}")
    for what, prepare in (("forward", lambda function: function), ("forward, backward", with_gradients)):
        convolution, composed = prepare(plain), prepare(deformable)
        modes = {
            "eager": lambda f: lambda: finished(f(*tensors)),
            "graph": lambda f: graph(f, *tensors),
            "XLA": lambda f: graph(f, *tensors, jit_compile=True),
        }
        runs = {(name, f): make(f) for name, make in modes.items() for f in (convolution, composed)}
        times = median_times(runs, rounds)
        for name in modes:
            base, time = 1000 * times[name, convolution], 1000 * times[name, composed]
            print(f"{what + ', ' + name:26}{base:7.1f} ms{time:9.1f} ms{time / base:8.1f}")


if __name__ == "__main__":
    main()
