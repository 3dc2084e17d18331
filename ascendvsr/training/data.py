"""From a configuration to the batches that a network trains on."""

from collections.abc import Sequence

import tensorflow as tf
from yacs.config import CfgNode

from ascendcv.dataloader.reds import Clip
from ascendcv.dataloader.train import training_dataset


def training_batches(
    cfg: CfgNode, clips: Sequence[Clip], shard: tuple[int, int], batch_size: int, first: int
) -> tf.data.Dataset:
    """The batches of worker `shard` (index, count), from the global batch number `first` on."""
    data = cfg.data
    return training_dataset(
        clips,
        num_frames=cfg.model.num_frames,
        center_frame_idx=cfg.edvr.center_frame_idx,
        crop_size=tuple(data.train_in_size),
        scale=cfg.model.scale,
        batch_size=batch_size,
        shard=shard,
        seed=cfg.random_seed,
        start_step=first,
        interval=data.train_interval,
        flip=data.use_flip,
        transpose=data.use_transpose,
        random_reverse=data.random_reverse,
        noise=None if data.noise.noise_type == "clean" else data.noise,
        num_threads=data.num_threads,
        queue_size=data.train_data_queue_size,
        read_mode=data.read_mode,
    )
