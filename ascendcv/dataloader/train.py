"""Training input: windows of frames, cropped and augmented with their ground truth, as a `tf.data.Dataset`.

Sample number n of a training run is a function of (seed, n) alone: which window, where it is cropped, how it
is turned, what noise it gets. Threads cannot change it, a run that goes on at step k starts at sample k *
batch without reading what came before, and workers take their slices of one common sequence.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from ascendcv.dataloader.augment import augment, crop, paired_crop
from ascendcv.dataloader.image import convert, read_image
from ascendcv.dataloader.noise import add_noise
from ascendcv.dataloader.reds import Clip
from ascendcv.dataloader.samples import training_samples
from ascendcv.utils.errors import InputError

_TF_SUFFIXES = (".png", ".jpg", ".jpeg")


def training_dataset(
    clips: Sequence[Clip],
    *,
    num_frames: int,
    crop_size: tuple[int, int],
    scale: int,
    batch_size: int,
    seed: int,
    center_frame_idx: int | None = None,
    interval: int = 1,
    flip: bool = True,
    transpose: bool = True,
    random_reverse: bool = False,
    noise: Mapping[str, object] | None = None,
    shard: tuple[int, int] = (0, 1),
    start_step: int = 0,
    num_threads: int = 1,
    queue_size: int = 64,
    read_mode: str = "tf",
) -> tf.data.Dataset:
    """Endless batches {'lq': [B, T, h, w, 3], 'gt': [B, h * scale, w * scale, 3]}, float32 RGB in [0, 1].

    Each pass over all windows of `clips` (see `training_samples`) has its own seeded order. The ground truth
    is that of frame `center_frame_idx` of the window (None: the middle one).

    Args:
        clips: from `read_set`.
        num_frames: T, frames of a window, `interval` frames of the clip apart.
        crop_size: (h, w) in low-quality pixels.
        scale: size of the ground truth over that of the input, 1 or 4.
        batch_size: samples of a global step, over all workers.
        flip, transpose, random_reverse: mirror left-right and upside down, exchange height and width, play
            backwards: each with probability 1/2, alike for all frames of a sample.
        noise: the settings `data.noise.*`, or None; falls on 'lq' only. Its `random_seed` None means `seed`.
        shard: (index, count) of this worker, which gets slice number `index` of each global batch, of
            B = batch_size / count samples.
        start_step: the global step that the first batch belongs to.
        num_threads: samples that are read at once.
        queue_size: samples that may wait, as 8- or 16-bit pixels.
        read_mode: who decodes, 'tf' (PNG and JPEG) or 'python' (Pillow; slower, all formats); equal pixels.

    Raises `InputError` for clips and sizes that cannot be trained on.
    """
    samples = training_samples(clips, num_frames=num_frames, crop_size=crop_size, interval=interval)
    share = _share_of_batch(batch_size, shard[1])
    if transpose and crop_size[0] != crop_size[1]:
        raise InputError(
            f"data.use_transpose exchanges height and width, so data.train_in_size {list(crop_size)} should "
            "be square; or set data.use_transpose False"
        )
    bits = max(clip.bits for clip in clips)
    read = _reader(clips, read_mode, crop_size, scale, bits)
    tables = _Tables(clips, samples, crop_size)
    center = num_frames // 2 if center_frame_idx is None else center_frame_idx

    def number_of(position):
        step, place = position // share, position % share
        return step * batch_size + shard[0] * share + place

    def load(number):
        sample = _pick(number, len(samples), seed)
        draws = tf.random.stateless_uniform([6], [seed, number], dtype=tf.float64, alg="philox")
        coins = draws[2:] < 0.5
        order = tf.range(num_frames)
        if random_reverse:
            order = tf.where(coins[0], order[::-1], order)
        window = tables.first_file[sample] + order * interval
        top = tf.cast(draws[0] * tables.free_rows[sample], tf.int32)
        left = tf.cast(draws[1] * tables.free_columns[sample], tf.int32)
        lq, gt = read(tf.gather(tables.lq, window), tables.gt[window[center]], top, left)
        turns = (flip and coins[1], flip and coins[2], transpose and coins[3])
        return augment(lq, *turns), augment(gt, *turns), number

    def finish(lq, gt, number):
        lq, gt = _to_float(lq), _to_float(gt)
        if noise is not None:
            noise_seed = seed if noise["random_seed"] is None else noise["random_seed"]
            # Folded in, so that noise has random numbers of its own where both seeds are equal.
            lq = add_noise(lq, noise, tf.random.fold_in([noise_seed, number], 1))
        return {"lq": lq, "gt": gt}

    dataset = tf.data.Dataset.counter(start_step * share)
    dataset = dataset.map(number_of).map(load, num_parallel_calls=num_threads).prefetch(queue_size)
    dataset = dataset.map(finish, num_parallel_calls=num_threads).batch(share, drop_remainder=True)
    dataset = dataset.prefetch(2)
    return dataset.with_options(_options(num_threads))


class _Tables:
    """What a sample number leads to, as tensors; files of all clips stand in one list, clip after clip."""

    def __init__(self, clips: Sequence[Clip], samples: Sequence[tuple[int, int]], crop_size: tuple[int, int]):
        self.lq = tf.constant([str(path) for clip in clips for path in clip.lq])
        self.gt = tf.constant([str(path) for clip in clips for path in clip.gt])
        clip_start = np.cumsum([0] + [len(clip.lq) for clip in clips])
        clip_number, first = np.array(samples).T
        self.first_file = tf.constant(clip_start[clip_number] + first, tf.int32)
        free = np.array([clip.lq_size for clip in clips])[clip_number] - crop_size + 1  # crop positions
        self.free_rows, self.free_columns = tf.constant(free.T, tf.float64)


def _share_of_batch(batch_size: int, workers: int) -> int:
    if batch_size % workers:
        raise InputError(f"a global batch of {batch_size} cannot be shared equally by {workers} workers")
    return batch_size // workers


def _pick(number: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """The sample that has this number: every `count` numbers are a permutation of all, by (seed, epoch)."""
    epoch, position = number // count, number % count
    return tf.random.experimental.index_shuffle(position, [seed, epoch], max_index=count - 1)


def _reader(clips: Sequence[Clip], read_mode: str, crop_size: tuple[int, int], scale: int, bits: int) -> Callable:
    """f(T paths, path of the ground truth, top, left) -> crops [T, h, w, 3] and [H, W, 3] of `bits`."""
    dtype = {8: tf.uint8, 16: tf.uint16}[bits]
    gt_size = (crop_size[0] * scale, crop_size[1] * scale)
    if read_mode == "tf":
        _check_suffixes(clips)

        def read(lq_paths, gt_path, top, left):
            lq = [crop(_decode(path, dtype), top, left, crop_size) for path in tf.unstack(lq_paths)]
            gt = crop(_decode(gt_path, dtype), top * scale, left * scale, gt_size)
            return tf.stack(lq), tf.ensure_shape(gt, [*gt_size, 3])

    elif read_mode == "python":

        def read_arrays(lq_paths, gt_path, top, left):
            *lq, gt = [convert(read_image(path.decode()), 3, bits) for path in [*lq_paths, gt_path]]
            return paired_crop(np.stack(lq), gt, top, left, crop_size, scale)

        def read(lq_paths, gt_path, top, left):
            lq, gt = tf.numpy_function(read_arrays, [lq_paths, gt_path, top, left], [dtype, dtype])
            return tf.ensure_shape(lq, [*lq_paths.shape, *crop_size, 3]), tf.ensure_shape(gt, [*gt_size, 3])

    else:
        raise InputError(f"data.read_mode is {read_mode!r}; it should be tf or python")
    return read


def _check_suffixes(clips: Sequence[Clip]) -> None:
    for clip in clips:
        for path in [*clip.lq, *clip.gt]:
            if path.suffix.lower() not in _TF_SUFFIXES:
                raise InputError(f"{path} is neither PNG nor JPEG: read it with data.read_mode python")


def _decode(path: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    data = tf.io.read_file(path)
    if tf.io.is_jpeg(data):
        # The accurate inverse transform is what Pillow uses; TensorFlow's default differs by up to 6 levels.
        image = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
        image = tf.cast(image, dtype) * (257 if dtype == tf.uint16 else 1)
    else:
        image = tf.io.decode_png(data, channels=3, dtype=dtype)
    return image


def _to_float(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(pixels, tf.float32) / pixels.dtype.max


def _options(num_threads: int) -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = num_threads + 1  # and one that makes batches
    # `shard` already gives each worker its part.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
