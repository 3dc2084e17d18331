"""Convolutions with what follows them beside TensorFlow's own: python -m benchmarks.conv2d [CASE ...] [--rounds N]

Ratios of medians of interleaved runs in one process, of its processor time and of wall time: TensorFlow's
convolution alone over the compiled kernel with bias and leaky ReLU, and its gradients over the kernel's; 5x5 also
by larger tiles ('fast'). The speed of a large matrix product in the same run tells what the machine could do.
"""

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.timing import begin, median_costs, options_of


class Size(NamedTuple):
    side: int
    batch: int
    height: int
    width: int
    channels: int
    outputs: int


CASES = {
    "64": Size(3, 1, 180, 320, 64, 64),
    "64-large": Size(3, 1, 360, 640, 64, 64),
    "64-small": Size(3, 1, 45, 80, 64, 64),
    "256-outputs": Size(3, 1, 180, 320, 64, 256),
    "offsets": Size(3, 1, 180, 320, 64, 216),
    "128": Size(3, 1, 90, 160, 128, 128),
    "32": Size(3, 1, 180, 320, 32, 32),
    "3-outputs": Size(3, 1, 720, 1280, 64, 3),
    "5x5": Size(5, 1, 180, 320, 64, 64),
    "5x5-32": Size(5, 1, 180, 320, 32, 32),
    "5x5-16": Size(5, 1, 180, 320, 16, 64),
    "5x5-12": Size(5, 1, 180, 320, 12, 32),
    "5x5-27": Size(5, 1, 192, 320, 27, 64),
    "batch": Size(3, 20, 64, 64, 64, 64),
    "transposed": Size(4, 1, 90, 160, 128, 64),
}


def graph(function: Callable, *arguments) -> Callable[[], object]:
    """`function(*arguments)` as a TensorFlow graph; on processors a call returns when it is done.

    Unlike that of `benchmarks.timing` it copies no result, which would take as long as some of these operations.
    """
    import tensorflow as tf

    compiled = tf.function(function, autograph=False)
    return lambda: compiled(*arguments)


def runs(size: Size) -> dict[str, Callable[[], object]]:
    """What is compared: TensorFlow's convolution and gradients, and the kernel's."""
    import tensorflow as tf

    side, batch, height, width, channels, outputs = size
    x = tf.random.normal([batch, height, width, channels])
    if side == 4:
        return _transposed(x, outputs)
    from ascendcv.ops.conv2d import conv2d

    kernel = tf.random.normal([side, side, channels, outputs], stddev=1 / (side * channels**0.5))
    bias, grad_y = tf.zeros([outputs]), tf.random.normal([batch, height, width, outputs])

    def gradients_by(impl: str) -> Callable:
        def gradients(x, kernel, bias, grad_y):
            with tf.GradientTape() as tape:
                tape.watch([x, kernel, bias])
                y = conv2d(x, kernel, bias, activation=0.1, impl=impl)
            return tape.gradient(y, [x, kernel, bias], grad_y)

        return gradients

    def convolved_by(impl: str) -> Callable:
        return lambda x, kernel, bias: conv2d(x, kernel, bias, activation=0.1, impl=impl)

    larger_tiles = {"kernel, larger tiles": graph(convolved_by("fast"), x, kernel, bias)} if side == 5 else {}
    return {
        "convolution": graph(lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME"), x, kernel),
        "kernel": graph(convolved_by("fused"), x, kernel, bias),
        **larger_tiles,
        "gradients": graph(gradients_by("tf"), x, kernel, bias, grad_y),
        "kernel, gradients": graph(gradients_by("fused"), x, kernel, bias, grad_y),
    }


def _transposed(x, outputs: int) -> dict[str, Callable[[], object]]:
    from ascendcv.layers.conv_transpose import Conv2DTranspose
    from ascendcv.ops.registry import implementation

    layer = Conv2DTranspose(outputs, 4, 2, 1)
    layer.build(x.shape)
    results = {}
    for name, impl in (("convolution", "tf"), ("kernel", "fused")):
        with implementation(impl):  # where the graph is traced
            results[name] = graph(layer, x)
            results[name]()
    return results


def main() -> None:
    options = options_of(__doc__, CASES, rounds=9)
    begin(options.rounds)
    print(f"{'':14}{'':30}{'kernel':>10}{'TensorFlow over it: processor time, wall time':>50}")
    for name in options.cases:
        size = CASES[name]
        costs = median_costs(runs(size), options.rounds)
        pairs = (
            ("convolution", "kernel", "convolution"),
            ("convolution", "kernel, larger tiles", "convolution, larger tiles"),
            ("gradients", "kernel, gradients", "gradients"),
        )
        for base, ours, label in pairs:
            if ours in costs:
                ratios = [costs[base][i] / costs[ours][i] for i in range(2)]
                shape = f"{size.side}x{size.side} {size.batch}x{size.height}x{size.width} "
                shape += f"{size.channels}->{size.outputs}"
                line = f"{name:14}{shape:30}{1000 * costs[ours].processor:7.1f} ms"
                print(f"{line} {ratios[0]:8.2f} {ratios[1]:8.2f}  {label}", flush=True)


if __name__ == "__main__":
    main()
