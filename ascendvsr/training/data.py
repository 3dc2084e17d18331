"""From a configuration and its clips to the batches that a network trains on."""

from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf
from yacs.config import CfgNode

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.train import training_dataset
from ascendcv.utils.errors import InputError
from ascendvsr.config.naming import naming_keys
from ascendvsr.datasets import BATCH_KEYS, WINDOW_KEYS, degradation, window_settings
from ascendvsr.models import card_named

# `data.augment.*` that are changes of color, by the names that they have there and in `photometric`.
_COLORS = ("multiplicative_color", "brightness", "contrast", "saturation", "hue", "channel_permutation", "noise")


def batches_for_trainer(
    cfg: CfgNode,
    clips: Sequence[Clip],
    shard: tuple[int, int],
    batch_size: int,
    first: int,
    target: str = "center",
) -> Iterator[dict[str, tf.Tensor]]:
    """`training_batches`, which end with an `InputError` that names the frame that cannot be read."""
    failures: list[InputError] = []
    batches = iter(training_batches(cfg, clips, shard, batch_size, first, target, on_failure=failures.append))
    while True:
        try:
            batch = next(batches)
        except tf.errors.OpError:
            with naming_keys("data"):
                if failures:
                    raise failures[0] from None
            raise
        yield batch


def training_batches(
    cfg: CfgNode,
    clips: Sequence[Clip],
    shard: tuple[int, int],
    batch_size: int,
    first: int,
    target: str = "center",
    on_failure: Callable[[InputError], None] | None = None,
) -> tf.data.Dataset:
    """The batches of worker `shard` (index, count), from the global batch number `first` on.

    `target` says whose ground truth there is: of the 'center' frame, [B,H,W,3], or of 'all', [B,T,H,W,3].
    `on_failure` is told of a frame that cannot be read, where that ends training.
    """
    data = cfg.data
    with naming_keys("data", **WINDOW_KEYS, **BATCH_KEYS):
        return training_dataset(
            clips,
            **window_settings(cfg),
            center_frame_idx=card_named(cfg.model.name).restored_frame(cfg),
            target=target,
            scale=cfg.model.scale,
            batch_size=batch_size,
            shard=shard,
            seed=cfg.random_seed,
            start_step=first,
            crops_per_example=data.crops_per_example,
            random_reverse=data.random_reverse,
            mirror=data.mirror,
            flip=data.use_flip,
            transpose=data.use_transpose,
            rot90=data.augment.rot90,
            rotation=data.augment.rotation,
            colors={name: data.augment[name] for name in _COLORS},
            noise=None if data.noise.noise_type == "clean" else data.noise,
            frame_noise_std=data.augment.frame_noise,
            sigma=data.sigma,
            num_threads=data.num_threads,
            queue_size=data.train_data_queue_size,
            read_mode=data.read_mode,
            cache=data.cache,
            on_error=data.on_error,
            on_failure=on_failure,
            degrade=degradation(cfg),
        )
