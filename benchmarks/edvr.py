"""EDVR-M at work: python -m benchmarks.edvr [--rounds N]

Restoring one frame from [1, 5, 180, 320, 3] (to 720 x 1280), and a training step on [4, 5, 64, 64, 3], by every
implementation of the deformable convolution that runs here; beside the large matrix product of the same run, which
shows what the machine could do.
"""

import argparse
import math
import os
from collections.abc import Callable

from benchmarks.timing import graph, machine, matrix_product, median_times, peak_memory

CLIP, BATCH = (1, 5, 180, 320, 3), (4, 5, 64, 64, 3)


def restoring(impl: str) -> Callable[[], object]:
    import tensorflow as tf

    return graph(network(impl), tf.random.uniform(CLIP))


def training(impl: str) -> Callable[[], object]:
    """One update by Adam with the loss of the papers."""
    import keras
    import tensorflow as tf

    from ascendcv.losses.charbonnier import charbonnier

    model = network(impl)
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)
    batch, height, width = BATCH[0], *BATCH[2:4]

    def step(clip, truth):
        with tf.GradientTape() as tape:
            loss = charbonnier(model(clip, training=True), truth)
        optimizer.apply(tape.gradient(loss, model.trainable_weights))
        return loss

    truth = tf.random.uniform((batch, height * model.scale, width * model.scale, 3))
    return graph(step, tf.random.uniform(BATCH), truth)


def network(impl: str):
    """EDVR-M whose offsets are some pixels long, as those of trained weights are."""
    import tensorflow as tf

    from ascendvsr.models.edvr.network import EDVR

    model = EDVR(impl=impl)
    for variable in model.trainable_variables:
        if variable.shape[-1] == 3 * 9 * 8:  # conv_offset, which starts at 0
            variable.assign(tf.random.normal(variable.shape, stddev=0.3))
    return model


def multiplications() -> float:
    """Floating-point operations of the convolutions and matrix products in restoring one frame."""
    import tensorflow as tf

    from ascendcv.ops.registry import implementation

    with implementation("tf"):  # every convolution as TensorFlow's
        function = tf.function(network("tf")).get_concrete_function(tf.TensorSpec(CLIP))
    total = 0
    for operation in function.graph.get_operations():
        if operation.type in ("Conv2D", "MatMul"):
            kernel = operation.inputs[1].shape
            total += 2 * math.prod(operation.outputs[0].shape) * math.prod(kernel[:-1])
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    from ascendcv.ops.registry import available

    impls = [impl for impl, why_not in available("deform_conv2d").items() if why_not is None]
    product, product_operations = matrix_product()
    needed = multiplications()
    print(machine())
    restore = {impl: restoring(impl) for impl in impls}
    times = median_times({"matrix product": product, **restore}, rounds)
    peak = product_operations / times["matrix product"]
    print(f"matrix product: {peak / 1e9:.0f} GFLOP/s")
    print(f"restoring {'x'.join(map(str, CLIP))}: {needed / 1e9:.0f} GFLOP, at least {needed / peak:.2f} s")
    for impl in impls:
        share, memory = needed / times[impl] / peak, peak_memory(restoring, impl)
        rate = f"{times[impl]:.2f} s, {1 / times[impl]:.2f} frames/s"
        print(f"  {impl:8}{rate}, {share:.0%} of the matrix product's speed, process peak {memory} MiB")

    del restore
    print(f"training step on {'x'.join(map(str, BATCH))}")
    train = {impl: training(impl) for impl in impls}
    for impl, seconds in median_times(train, rounds).items():
        rate = f"{seconds:.2f} s, {BATCH[0] / seconds:.2f} clips/s"
        print(f"  {impl:8}{rate}, process peak {peak_memory(training, impl)} MiB")


if __name__ == "__main__":
    main()
