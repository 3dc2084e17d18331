"""Each network by the kernels of this project and by TensorFlow's: python -m benchmarks.networks [CASE ...]

Ratios of medians of interleaved runs in one process, of its processor time and of wall time, by two threads. All
else is the same in both: the compiled deformable convolution, attention and correlation, the graph around them.
"""

import argparse
import os
from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

from benchmarks.timing import graph, machine, matrix_product, median_costs

THREADS = 2


class Case(NamedTuple):
    """A configuration and the shape of what is restored: a clip, or a window of a video."""

    config: str
    shape: tuple[int, ...]
    training: bool = False


CASES = {
    "edvr_m": Case("edvr/edvr_m_x4_sr_reds", (1, 5, 180, 320, 3)),
    "edvr_l": Case("edvr/edvr_l_x4_sr_reds", (1, 5, 180, 320, 3)),
    "pvdnet": Case("pvdnet/pvdnet_dvd", (1, 3, 360, 640, 3)),
    "dbn": Case("deblur_devil/dbn_128_5_su", (1, 5, 360, 640, 3)),
    "flowdbn_flownet1s": Case("deblur_devil/flowdbn_flownet1s_128_5_su", (1, 5, 192, 320, 3)),
    "flowdbn_pwcnet": Case("deblur_devil/flowdbn_pwcnet_128_5_su", (1, 5, 192, 320, 3)),
    "cdvd_tsp": Case("cdvd_tsp/dvd_paper", (1, 5, 180, 320, 3)),
    "basicvsr": Case("basicvsr/basicvsr_x4_reds", (1, 5, 90, 160, 3)),
    "rvrt": Case("rvrt/001_videosr_bi_reds_30frames", (1, 4, 64, 64, 3)),
    "edvr_m_training": Case("edvr/edvr_m_x4_sr_reds", (4, 5, 64, 64, 3), training=True),
}


def restoring(case: Case, own: bool) -> Callable[[], object]:
    """What restores frames of the case's shape, by this project's convolutions or by TensorFlow's."""
    import keras
    import tensorflow as tf

    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model

    keras.utils.set_random_seed(0)
    model = build_model(load_config(f"configs/{case.config}.yaml"))
    for variable in model.trainable_variables:
        if "conv_offset" in variable.path:  # starts at 0; those of trained weights are some pixels long
            variable.assign(tf.random.normal(variable.shape, stddev=0.3))
    clip = tf.random.uniform(case.shape)
    run = _training(model, clip) if case.training else _restoring(model, clip)
    if own:
        run()
        return run
    with mock.patch("ascendcv.ops.conv2d._kernel_is_faster", return_value=False):
        run()  # traces
    return run


def _restoring(model, clip) -> Callable[[], object]:
    if hasattr(model, "first_state"):
        return graph(model.step, clip, model.first_state(clip))
    return graph(model, clip)


def _training(model, clip) -> Callable[[], object]:
    """One update by Adam with the loss of the papers."""
    import keras
    import tensorflow as tf

    from ascendcv.losses.charbonnier import charbonnier

    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)
    batch, _, height, width, _ = clip.shape
    truth = tf.random.uniform((batch, height * model.scale, width * model.scale, 3))

    def step(clip, truth):
        with tf.GradientTape() as tape:
            loss = charbonnier(model(clip, training=True), truth)
        optimizer.apply(tape.gradient(loss, model.trainable_weights))
        return loss

    return graph(step, clip, truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if unknown := set(options.cases) - CASES.keys():
        parser.error(f"there is no case {unknown.pop()!r}; there are {', '.join(CASES)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    print(machine())
    product, operations = matrix_product()
    cost = median_costs({"product": product}, options.rounds)["product"]
    print(f"a large matrix product: {operations / cost.processor / 1e9:.0f} GFLOP/s of processor time")
    print(f"{'':20}{'shape':20}{'processor time, wall time':>28}{'TensorFlow over it':>20}")
    for name in options.cases or CASES:
        case = CASES[name]
        runs = {"own": restoring(case, own=True), "tensorflow": restoring(case, own=False)}
        costs = median_costs(runs, options.rounds)
        own, theirs = costs["own"], costs["tensorflow"]
        ratios = f"{theirs.processor / own.processor:10.2f}{theirs.wall / own.wall:10.2f}"
        shape = "x".join(map(str, case.shape))
        print(f"{name:20}{shape:20}{own.processor:14.2f} s{own.wall:10.2f} s  {ratios}", flush=True)


if __name__ == "__main__":
    main()
