"""Training input of flow networks: pairs of frames and their flow, augmented, as a `tf.data.Dataset`.

Sample number n of a run is a function of (seed, n) alone, as in `ascendcv.dataloader.train`.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ascendcv.dataloader.affine_flow import random_affine_flow
from ascendcv.dataloader.flow_data import FlowPair, read_flow
from ascendcv.dataloader.image import read_image, to_rgb
from ascendcv.dataloader.photometric import photometric
from ascendcv.utils.errors import InputError


def flow_dataset(
    pairs: Sequence[FlowPair],
    size: tuple[int, int],
    *,
    batch_size: int,
    seed: int,
    affine: bool = True,
    colors: bool = True,
    shard: tuple[int, int] = (0, 1),
    start_step: int = 0,
    num_threads: int = 1,
) -> tf.data.Dataset:
    """Endless batches {'lq': [B, 2, H, W, 3] RGB in [0, 1], 'flow': [B, H, W, 2] in pixels}, float32.

    Each pass over all pairs has its own seeded order.

    Args:
        pairs: all of `size` (H, W), see `common_size`.
        batch_size: samples of a global step, over all workers.
        affine: change frames and flow by `random_affine_flow`.
        colors: change both frames' colors alike, see `change_colors`.
        shard: (index, count) of this worker, which gets slice number `index` of each global batch, of
            B = batch_size / count samples.
        start_step: the global step that the first batch belongs to.
        num_threads: samples that are made at once.
    """
    if batch_size % shard[1]:
        raise InputError(f"a global batch of {batch_size} cannot be shared equally by {shard[1]} workers")
    share = batch_size // shard[1]
    files = tf.constant([[str(path) for path in pair] for pair in pairs])
    count = len(pairs)

    def sample(position):
        number = position // share * batch_size + shard[0] * share + position % share
        order_seed = tf.stack([tf.constant(seed, tf.int64), number // count])
        index = tf.random.experimental.index_shuffle(number % count, order_seed, max_index=count - 1)
        frames, flow = tf.numpy_function(_read, [files[index]], [tf.uint8, tf.float32])
        frames = tf.cast(tf.ensure_shape(frames, [2, *size, 3]), tf.float32) / 255.0
        flow = tf.ensure_shape(flow, [*size, 2])
        color_seed, affine_seed = tf.unstack(tf.random.split(tf.stack([tf.constant(seed, tf.int64), number]), 2))
        if colors:
            frames = change_colors(frames, color_seed)
        if affine:
            first, second, flow = random_affine_flow(frames[0], frames[1], flow, affine_seed)
            frames = tf.stack([first, second])
        return {"lq": frames, "flow": flow}

    dataset = tf.data.Dataset.counter(start_step * share).map(sample, num_parallel_calls=num_threads)
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = num_threads + 1
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.batch(share, drop_remainder=True).prefetch(2).with_options(options)


def change_colors(frames: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """[2, H, W, 3] in [0, 1]: random hue, a gamma of 0.7 to 1.5, then brightness, contrast and saturation.

    Equal for both frames. Source: deblur-devil `datasets.flyingchairs`.
    """
    hue_seed, gamma_seed, jitter_seed = tf.unstack(tf.random.split(seed, 3))
    frames = _together(frames, hue_seed, hue=True)
    frames **= tf.random.stateless_uniform([], gamma_seed, 0.7, 1.5)
    return _together(frames, jitter_seed, brightness=True, contrast=True, saturation=True)


def _together(frames: tf.Tensor, seed: tf.Tensor, **changes: bool) -> tf.Tensor:
    return tf.concat(photometric(frames[:1], frames[1:], seed, **changes), axis=0)


def _read(files: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second, flow = (name.decode() for name in files)
    return np.stack([to_rgb(read_image(first)), to_rgb(read_image(second))]), read_flow(flow)
