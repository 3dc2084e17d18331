"""Training input: windows of frames, cropped and augmented with their ground truth, as a `tf.data.Dataset`.

Sample number n of a training run is a function of (seed, n) alone: which window, where it is cropped, how it
is turned, what noise it gets. Threads cannot change it, a run that goes on at step k starts at sample k *
batch without reading what came before, and workers take their slices of one common sequence.
"""

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from ascendcv.dataloader.augment import augment, rotate
from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.degradations import Chain
from ascendcv.dataloader.noise import add_noise, frame_noise, sigma_noise
from ascendcv.dataloader.photometric import photometric
from ascendcv.dataloader.reading import WindowReader
from ascendcv.dataloader.samples import check_turns, examples_of_batch, training_samples
from ascendcv.utils.errors import InputError

# What `training_dataset` folds into a sample's seed, so that everything drawn has random numbers of its own.
_NOISE, _SIGMA, _PHOTOMETRIC, _FRAME_NOISE = 1, 2, 3, 4


def training_dataset(
    clips: Sequence[Clip],
    *,
    num_frames: int,
    crop_size: tuple[int, int],
    scale: int,
    batch_size: int,
    seed: int,
    target: str = "center",
    center_frame_idx: int | None = None,
    interval: int = 1,
    margin: int = 0,
    stride: int = 1,
    crops_per_example: int = 1,
    random_reverse: bool = False,
    mirror: bool = False,
    flip: bool = True,
    transpose: bool = True,
    rot90: bool = False,
    rotation: bool = False,
    colors: Mapping[str, bool] | None = None,
    noise: Mapping[str, object] | None = None,
    frame_noise_std: float = 0.0,
    sigma: Sequence[float] = (),
    shard: tuple[int, int] = (0, 1),
    start_step: int = 0,
    num_threads: int = 1,
    queue_size: int = 64,
    read_mode: str = "tf",
    cache: str = "",
    on_error: str = "stop",
    on_failure: Callable[[InputError], None] | None = None,
    degrade: Chain | None = None,
) -> tf.data.Dataset:
    """Endless batches {'lq': [B, T, h, w, 3], 'gt': [B, h * scale, w * scale, 3]}, float32 RGB in [0, 1].

    Each pass over all windows of `clips` (see `training_samples`) has its own seeded order. The ground truth is
    that of frame `center_frame_idx` of the window (None: the middle one), or with the target 'all' that of every
    frame, [B, T, h * scale, w * scale, 3]. With `sigma` there is 'sigma': [B] too.

    Args:
        clips: those whose input files are their ground truth's are read once.
        num_frames: frames of a window, `interval` frames of the clip apart.
        crop_size: (h, w) in low-quality pixels.
        scale: size of the ground truth over that of the input, 1 or 4.
        batch_size: samples of a global step, over all workers.
        margin, stride: see `training_samples`.
        crops_per_example: S samples, each with its own place, turns, colors and noise, are made of the frames of
            one window once they are decoded; they stand side by side in the batch.
        random_reverse, flip, transpose, rot90: play backwards, mirror left-right and upside down, exchange height
            and width, turn counter-clockwise: each with probability 1/2, alike for all frames of a sample.
        rotation: turn by 0, 90, 180 or 270 degrees.
        mirror: T is twice `num_frames`: the window, and then its frames in reversed order.
        colors: the changes of `photometric.photometric` that are made, by name.
        noise: the settings `data.noise.*`, or None; falls on 'lq' only. Its `random_seed` None means `seed`.
        frame_noise_std: deviation of noise on input frames, on each with probability 1/2.
        sigma: (low, high) in 8-bit levels: Gaussian noise on 'lq', not clipped, of one deviation a sample, drawn
            evenly; 'sigma' is that deviation / 255.
        shard: (index, count) of this worker, which gets slice number `index` of each global batch, of
            B = batch_size / count samples.
        start_step: the global step that the first batch belongs to.
        num_threads: windows that are read at once.
        queue_size: windows that may wait, as 8- or 16-bit pixels.
        read_mode: who decodes PNG and JPEG, 'tf' or 'python' (Pillow, slower); equal pixels.
        cache: a folder of decoded frames, see `FrameCache`, or '' for none.
        on_error: what is done about a frame that cannot be read: 'replace' the sample by another one, see
            `WindowReader`, or 'stop'.
        on_failure: called, on a thread of the input, with what ends it; the iterator raises TensorFlow's error.
        degrade: what makes the input of the ground truth, in place of `lq`; its scale is `scale`.

    Raises `InputError` for clips and sizes that cannot be trained on.
    """
    samples = training_samples(
        clips, num_frames=num_frames, crop_size=crop_size, interval=interval, margin=margin, stride=stride
    )
    examples, share = examples_of_batch(batch_size, shard[1], crops_per_example)
    check_turns(crop_size, transpose=transpose, rot90=rot90, rotation=rotation)
    if mirror and target != "all":
        raise InputError("`mirror` doubles the frames of a sample, which is for networks that restore all of them")
    center = num_frames // 2 if center_frame_idx is None else center_frame_idx
    reader = WindowReader(
        clips,
        samples,
        num_frames=num_frames,
        interval=interval,
        crop_size=crop_size,
        scale=scale,
        center=center,
        target=target,
        random_reverse=random_reverse,
        read_mode=read_mode,
        cache=cache,
        seed=seed,
        on_error=on_error,
        on_failure=on_failure,
        degrade=degrade,
    )
    dtype = tf.as_dtype(f"uint{reader.bits}")
    gt_size = [side * scale for side in crop_size]

    def number_of(position):
        step, place = position // share, position % share
        return step * examples + shard[0] * share + place

    def load(example):
        window = _pick(example, len(samples), seed)
        numbers = example * crops_per_example + tf.range(crops_per_example, dtype=tf.int64)
        draws = tf.stack([_draws(seed, number) for number in tf.unstack(numbers)])
        lq, gt = tf.numpy_function(reader.read, [example, window, draws], [dtype, dtype])
        lq = tf.ensure_shape(lq, [crops_per_example, num_frames, *crop_size, 3])
        gt = tf.ensure_shape(gt, [crops_per_example, num_frames if target == "all" else 1, *gt_size, 3])
        gt = gt if target == "all" else tf.squeeze(gt, 1)
        return (lq, gt, numbers) if crops_per_example > 1 else tuple(tf.squeeze(x, 0) for x in (lq, gt, numbers))

    def finish(lq, gt, number):
        coins = _draws(seed, number)
        turns = (flip and coins[3] < 0.5, flip and coins[4] < 0.5, transpose and coins[5] < 0.5)
        lq, gt = augment(lq, *turns), augment(gt, *turns)
        if rot90 or rotation:
            quarters = tf.cast(coins[6] * (4 if rotation else 2), tf.int32)
            lq, gt = rotate(lq, quarters), rotate(gt, quarters)
        if mirror:
            lq, gt = (tf.concat([frames, frames[::-1]], axis=0) for frames in (lq, gt))
        lq, gt = _to_float(lq), _to_float(gt)
        if colors and any(colors.values()):
            lq, gt = photometric(lq, gt, tf.random.fold_in([seed, number], _PHOTOMETRIC), **colors)
        if noise is not None:
            noise_seed = seed if noise["random_seed"] is None else noise["random_seed"]
            lq = add_noise(lq, noise, tf.random.fold_in([noise_seed, number], _NOISE))
        if frame_noise_std:
            lq = frame_noise(lq, frame_noise_std, tf.random.fold_in([seed, number], _FRAME_NOISE))
        batch = {"lq": lq, "gt": gt}
        if sigma:
            low, high = sigma
            batch["lq"], batch["sigma"] = sigma_noise(lq, low, high, tf.random.fold_in([seed, number], _SIGMA))
        return batch

    dataset = tf.data.Dataset.counter(start_step * share)
    # AutoGraph would take longer to rewrite them than it takes to trace them.
    number_of, load, finish = map(tf.autograph.experimental.do_not_convert, (number_of, load, finish))
    dataset = dataset.map(number_of).map(load, num_parallel_calls=num_threads).prefetch(queue_size)
    if crops_per_example > 1:
        dataset = dataset.unbatch()
    dataset = dataset.map(finish, num_parallel_calls=num_threads)
    dataset = dataset.batch(share * crops_per_example, drop_remainder=True).prefetch(2)
    return dataset.with_options(_options(num_threads))


def _draws(seed: int, number: tf.Tensor) -> tf.Tensor:
    """[7] in [0, 1): what a sample draws for its place (2) and its turns."""
    return tf.random.stateless_uniform([7], [seed, number], dtype=tf.float64, alg="philox")


def _pick(number: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """The window that has this number: every `count` numbers are a permutation of all, by (seed, epoch)."""
    epoch, position = number // count, number % count
    return tf.random.experimental.index_shuffle(position, [seed, epoch], max_index=count - 1)


def _to_float(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(pixels, tf.float32) / pixels.dtype.max


def _options(num_threads: int) -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = num_threads + 1  # and one that makes batches
    # `shard` already gives each worker its part.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
