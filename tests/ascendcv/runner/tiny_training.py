"""A training run small enough for tests; as a script, the same run spread over devices or worker processes.

    python tiny_training.py OUT.npz RANK_SIZE [CLUSTER.json WORKER_INDEX [STEPS [PARTS]]]

writes the weights after the last update, the gradient clipped, as `<reduction>/<i>` for each loss reduction.
"""

import sys
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from ascendcv.runner.cluster import read_cluster
from ascendcv.runner.device import make_strategy
from ascendcv.runner.hooks.hook import Hook
from ascendcv.runner.optimizers import ADAM, Optimizer
from ascendcv.runner.trainer import Trainer
from ascendcv.runner.updates import Updates

GLOBAL_BATCH = 4


class SquaredError(Updates):
    """One update per batch: the squared error, summed or averaged over everything."""

    def __init__(self, reduction: str = "mean"):
        self.reduction = reduction

    def loss(self, model, batch, index, state):
        error = tf.square(model(batch["lq"], training=True) - batch["gt"])
        reduce = tf.reduce_mean if self.reduction == "mean" else tf.reduce_sum
        return reduce(error), {"error": tf.reduce_mean(tf.abs(error))}, state


def build_model(seed: int = 1) -> keras.Model:
    keras.utils.set_random_seed(seed)
    layers = [
        keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
        keras.layers.Conv2D(3, 3, padding="same"),
    ]
    return keras.Sequential([keras.layers.Input((6, 6, 3)), *layers])


def batches(first: int, worker: int = 0, workers: int = 1) -> Iterator[dict[str, tf.Tensor]]:
    """This worker's share of batch `first` and those after it; a batch depends on its number alone."""
    share = GLOBAL_BATCH // workers
    while True:
        rng = np.random.default_rng(first)
        batch = {name: rng.random((GLOBAL_BATCH, 6, 6, 3), np.float32) for name in ("lq", "gt")}
        yield {name: tf.constant(array[worker * share :][:share]) for name, array in batch.items()}
        first += 1


def make_trainer(model: keras.Model | None = None, updates=None, total_steps: int = 5, **options) -> Trainer:
    """A trainer with Adam, whose rate falls from 1e-2, on the tiny model and its batches."""
    model = model or build_model()
    variables = [v.value for v in model.trainable_variables]
    rates = {"learning_rate": 0.0, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8}
    options = {"optimizer": Optimizer(ADAM, variables, rates), "batches": batches} | options
    return Trainer(
        model,
        updates or SquaredError(),
        schedule=lambda step: 1e-2 / (1 + step),
        total_steps=total_steps,
        **options,
    )


def weights(model: keras.Model) -> list[np.ndarray]:
    return [v.numpy() for v in model.trainable_variables]


class Keep(Hook):
    """Keeps the scalars and reports of each batch."""

    def __init__(self):
        self.scalars = {}
        self.reports = []

    def after_batch(self, trainer):
        self.scalars[trainer.step] = dict(trainer.scalars)
        self.reports += trainer.reports


class Announce(Hook):
    """Says when training has begun."""

    def after_batch(self, trainer):
        if trainer.step == 1:
            print("training", flush=True)


def main(
    out: str,
    rank_size: str,
    cluster_file: str = "",
    worker_index: str = "0",
    steps: str = "5",
    parts: str = "1",
) -> None:
    cluster = read_cluster(cluster_file, int(worker_index))
    strategy = make_strategy("cpu", [0], int(rank_size), cluster)
    worker, workers = (cluster.index, len(cluster.workers)) if cluster else (0, 1)
    found = {"replicas": strategy.num_replicas_in_sync}
    for reduction in ("mean", "sum"):
        with strategy.scope():
            trainer = make_trainer(
                updates=SquaredError(reduction),
                batches=lambda first: batches(first, worker, workers),
                strategy=strategy,
                clip_norm=1.0,
                total_steps=int(steps),
                accumulate=int(parts),
                hooks=[Announce()],
            )
        stopped_by = trainer.fit()
        if stopped_by:
            print(f"stopped by {stopped_by} at step {trainer.step}", flush=True)
            return
        found |= {f"{reduction}/{index}": array for index, array in enumerate(weights(trainer.model))}
        found |= {f"{reduction}/{name}": value for name, value in trainer.reports[-1].items()}
    if worker == 0:
        np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
