"""From a configuration to the batches that a network trains on."""

from collections.abc import Sequence

import tensorflow as tf
from yacs.config import CfgNode

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.train import training_dataset
from ascendvsr.datasets import steps_per_epoch as steps_per_epoch  # beside the batches that it counts
from ascendvsr.datasets import window_settings

# `data.augment.*` that are changes of colour, by the names that they have there and in `photometric`.
_COLORS = ("multiplicative_color", "brightness", "contrast", "saturation", "hue", "channel_permutation", "noise")


def training_batches(
    cfg: CfgNode,
    clips: Sequence[Clip],
    shard: tuple[int, int],
    batch_size: int,
    first: int,
    target: str = "centre",
) -> tf.data.Dataset:
    """The batches of worker `shard` (index, count), from the global batch number `first` on.

    `target` says whose ground truth there is: of the 'centre' frame, [B,H,W,3], or of 'all', [B,T,H,W,3].
    """
    data = cfg.data
    return training_dataset(
        clips,
        **window_settings(cfg),
        center_frame_idx=cfg.edvr.center_frame_idx if cfg.model.name == "EDVR" else None,
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
    )
