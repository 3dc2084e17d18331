"""RVRT at work: python -m benchmarks.rvrt [--official REPOSITORY] [--rounds N]

Restoring with 001 (x4, [1, 4, 64, 64, 3]) and 004 (deblurring, [1, 4, 256, 256, 3]) on two threads: frames a second
and peak memory, beside the authors' own network in PyTorch where a clone of their repository is given. Then how the
time grows with the number of frames and with the area, and what gradient checkpointing costs and saves in training.
"""

import argparse
import functools
import os
from collections.abc import Callable

import numpy as np

from benchmarks.timing import added_memory, finished, graph, machine, matrix_product, median_times, peak_memory

THREADS = 2
WIDE = {"embed_dims": (192, 192, 192), "inputconv_groups": (1, 3, 3, 3, 3, 3), "upscale": 1}
NETWORKS = {"001": ({}, (1, 4, 64, 64, 3)), "004": (WIDE, (1, 4, 256, 256, 3))}
NARROW = {"embed_dims": (48, 48, 48)}
TRAINING = (1, 4, 64, 64, 3)
CHECKPOINTING = {
    "keeping all": {},
    "feed-forward once more": {"use_checkpoint_ffn": True},
    "attention and feed-forward once more": {"use_checkpoint_attn": True, "use_checkpoint_ffn": True},
}


def restoring(config: dict, shape: tuple[int, ...]) -> Callable[[], object]:
    import tensorflow as tf

    _limit_threads()
    from ascendvsr.models.rvrt.network import RVRT

    restore = RVRT(**config).in_steps(functools.partial(tf.function, autograph=False))
    clip = tf.constant(_frames(shape))
    return lambda: finished(restore(clip))


def restoring_officially(repository: str, config: dict, shape: tuple[int, ...]) -> Callable[[], object]:
    import torch

    from benchmarks.rvrt_official import official_rvrt

    torch.set_num_threads(THREADS)
    model = official_rvrt(repository, config)
    clip = torch.from_numpy(np.moveaxis(_frames(shape), -1, 2).copy())

    def run():
        with torch.inference_mode():
            return model(clip)

    return run


def training(config: dict, shape: tuple[int, ...]) -> Callable[[], object]:
    """One update by Adam with the loss of the paper."""
    import keras
    import tensorflow as tf

    _limit_threads()
    from ascendvsr.models.rvrt.network import RVRT
    from ascendvsr.models.rvrt.training import RVRTUpdates

    model = RVRT(**config)
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)

    def step(clip, truth):
        with tf.GradientTape() as tape:
            loss, _, _ = RVRTUpdates().loss(model, {"lq": clip, "gt": truth}, 0, ())
        optimizer.apply(tape.gradient(loss, model.trainable_weights))
        return loss

    batch, frames, height, width, _ = shape
    truth = _frames((batch, frames, height * model.scale, width * model.scale, 3))
    return graph(step, tf.constant(_frames(shape)), tf.constant(truth))


def _frames(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


def _limit_threads() -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    except RuntimeError:  # TensorFlow has begun to compute, with what was said before
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--official", metavar="REPOSITORY", help="a clone of github.com/JingyunLiang/RVRT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("restoring", "growth", "training"), help="one part instead of all three")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _limit_threads()
    print(machine())
    if options.only in (None, "restoring"):
        product = matrix_product()
        for name, (config, shape) in NETWORKS.items():
            _compare(name, config, shape, options, product)
    if options.only in (None, "growth"):
        _growth(options.rounds)
    if options.only in (None, "training"):
        _checkpointing(options.rounds)


def _compare(name: str, config: dict, shape: tuple[int, ...], options, product) -> None:
    makers = {"ascendvsr": (restoring, config, shape)}
    if options.official:
        makers["official"] = (restoring_officially, options.official, config, shape)
    runs = {rival: make(*arguments) for rival, (make, *arguments) in makers.items()}
    times = median_times({"matrix product": product[0], **runs}, options.rounds)
    print(f"{name} on {_text(shape)}; matrix product {product[1] / times['matrix product'] / 1e9:.0f} GFLOP/s")
    del runs
    for rival, (make, *arguments) in makers.items():
        added, peak = added_memory(make, *arguments), peak_memory(make, *arguments)
        print(
            f"  {rival:10}{times[rival]:6.2f} s, {shape[1] / times[rival]:.2f} frames/s, "
            f"{added} MiB more than before the call, process peak {peak} MiB"
        )
    if options.official:
        print(f"  {times['official'] / times['ascendvsr']:.2f} times as fast as the official network")


def _growth(rounds: int) -> None:
    print("growth of the time, a network of 48 channels")
    for what, shapes in {
        "frames": [(1, count, 64, 64, 3) for count in (4, 8, 16)],
        "area": [(1, 4, 64, width, 3) for width in (64, 128, 256)],
    }.items():
        runs = {shape: restoring(NARROW, shape) for shape in shapes}
        times = median_times(runs, rounds)
        print(f"  with {what}: " + ", ".join(f"{_text(shape)} {times[shape]:.2f} s" for shape in shapes))


def _checkpointing(rounds: int) -> None:
    print(f"training step on {_text(TRAINING)}, 001")
    # First, because this process keeps the memory that its own steps have once taken.
    peaks = {name: peak_memory(training, options, TRAINING) for name, options in CHECKPOINTING.items()}
    for name, options in CHECKPOINTING.items():
        seconds = median_times({name: training(options, TRAINING)}, rounds)[name]
        print(f"  {name:38}{seconds:6.2f} s, process peak {peaks[name]} MiB", flush=True)


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


if __name__ == "__main__":
    main()
