"""How fast this machine computes a convolution in each precision, and which to use: `ascendvsr doctor --bench`."""

import statistics
import time
from collections.abc import Callable, Mapping

from ascendcv.ops import registry

SIZE = (1, 180, 320, 64)  # of the features of EDVR-M, a quarter of 720p
_WORTHWHILE = 1.15  # bfloat16 keeps 8 bits of each number: it should be worth that


def report(rounds: int = 9, size: tuple[int, int, int, int] = SIZE) -> list[str]:
    """Lines: milliseconds of a 3x3 convolution with leaky ReLU, and the precision that is the fastest here.

    Every way takes its turn in each of the `rounds`, and medians are compared: of processor time, which other work
    on the machine disturbs less, and of wall time.

    Args:
        size: [N, H, W, C] of the features, which the convolution keeps.
    """
    ways = _ways(size)
    processor, wall = _medians(ways, rounds)
    lines = [
        f"{name}: {1000 * wall[name]:.1f} ms, {1000 * processor[name]:.1f} ms of processor time" for name in ways
    ]
    return [f"3x3 convolution of {'x'.join(map(str, size))}:", *lines, advice(wall)]


def advice(seconds: Mapping[str, float]) -> str:
    """What `eval.precision` should be where the ways of `report` take that long."""
    narrow = seconds["bfloat16"]
    full = min(time for name, time in seconds.items() if name != "bfloat16")
    if full < _WORTHWHILE * narrow:
        return f"keep eval.precision float32: bfloat16 would take {narrow / full:.2f} times as long"
    return f"eval.precision bfloat16 takes {narrow / full:.2f} of float32's time here"


def _ways(size: tuple[int, int, int, int]) -> dict[str, Callable[[], object]]:
    """What is compared, each a compiled function that was called once."""
    import tensorflow as tf

    from ascendcv.ops.conv2d import conv2d

    channels = size[-1]
    kernel = tf.random.normal([3, 3, channels, channels], stddev=1 / (3 * channels**0.5))
    x, bias = tf.random.normal(size), tf.zeros([channels])

    def convolution(impl: str, dtype: str) -> Callable[[], object]:
        function = tf.function(lambda *tensors: conv2d(*tensors, activation=0.1, impl=impl), autograph=False)
        tensors = [tf.cast(tensor, dtype) for tensor in (x, kernel, bias)]
        function(*tensors)
        return lambda: function(*tensors)

    ways = {"float32": convolution("tf", "float32"), "bfloat16": convolution("tf", "bfloat16")}
    if registry.available("conv2d")["fused"] is None:
        ways["float32, this project's kernel"] = convolution("fused", "float32")
    return ways


def _medians(ways: Mapping[str, Callable[[], object]], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of processor time and of wall time."""
    processor: dict[str, list[float]] = {name: [] for name in ways}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.process_time(), time.perf_counter()
            run()
            processor[name].append(time.process_time() - start[0])
            wall[name].append(time.perf_counter() - start[1])
    processor_medians, wall_medians = (
        {name: statistics.median(seconds) for name, seconds in all_seconds.items()}
        for all_seconds in (processor, wall)
    )
    return processor_medians, wall_medians
