"""Each network by the kernels of this project and by TensorFlow's: python -m benchmarks.networks [CASE ...]

Ratios of medians of interleaved runs in one process, of its processor time and of wall time, by two threads. The
kernels that serve processors only are compared: of convolutions, of the parts of RVRT's Transformer layers and of
resizing. All else is the same in both: the compiled deformable convolution, attention and correlation, the graph
around them.
"""

from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

from benchmarks.timing import begin, graph, median_costs, options_of


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


def network(case: Case):
    """The network of a case, untrained."""
    import keras
    import tensorflow as tf

    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model
    from tests.networks import tame

    keras.utils.set_random_seed(0)
    model = build_model(load_config(f"configs/{case.config}.yaml"))
    for variable in model.trainable_variables:
        if "conv_offset" in variable.path:  # starts at 0; those of trained weights are some pixels long
            variable.assign(tf.random.normal(variable.shape, stddev=0.3))
    if case.config.startswith("deblur_devil/"):
        tame(model)  # no export could be proven otherwise
    return model


def restoring(case: Case, own: bool) -> Callable[[], object]:
    """What restores frames of the case's shape, by this project's kernels or by TensorFlow's."""
    import tensorflow as tf

    from ascendcv.ops import registry

    model, clip = network(case), tf.random.uniform(case.shape)
    run = _training(model, clip) if case.training else _restoring(model, clip)
    if own:
        run()
        return run
    chosen = registry.chosen

    def composed(operation: str, dtype: str = "float32") -> str:
        return "tf" if operation in registry.FOR_PROCESSORS else chosen(operation, dtype)

    with mock.patch("ascendcv.ops.registry.chosen", composed):
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
    options = options_of(__doc__, CASES, rounds=5)
    begin(options.rounds)
    print(f"{'':20}{'shape':20}{'processor time, wall time':>28}{'TensorFlow over it':>20}")
    for name in options.cases:
        case = CASES[name]
        runs = {"own": restoring(case, own=True), "tensorflow": restoring(case, own=False)}
        costs = median_costs(runs, options.rounds)
        own, theirs = costs["own"], costs["tensorflow"]
        ratios = f"{theirs.processor / own.processor:10.2f}{theirs.wall / own.wall:10.2f}"
        shape = "x".join(map(str, case.shape))
        print(f"{name:20}{shape:20}{own.processor:14.2f} s{own.wall:10.2f} s  {ratios}", flush=True)


if __name__ == "__main__":
    main()
