"""Reading the frames of a training window: decoded once, cropped as often as samples are made of them."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from ascendcv.dataloader.augment import crop
from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.frame_cache import FrameCache
from ascendcv.dataloader.image import convert, read_image
from ascendcv.utils.errors import InputError

_TF_SUFFIXES = (".png", ".jpg", ".jpeg")

# read(paths of the input [T], paths of the ground truth [G] or None, rows [S], columns [S] of the input's crops)
# -> crops [S, T, h, w, 3] and [S, G, H, W, 3] (None without paths), integers of the clips' bits
Reader = Callable[
    [tf.Tensor, tf.Tensor | None, Sequence[tf.Tensor], Sequence[tf.Tensor]], tuple[tf.Tensor, tf.Tensor | None]
]


def make_reader(
    clips: Sequence[Clip], read_mode: str, cache: str, crop_size: tuple[int, int], scale: int, bits: int
) -> Reader:
    """What reads crops of `crop_size` = (h, w), and of (H, W) = `crop_size` * `scale` of the ground truth.

    With a folder as `cache` or the `read_mode` 'python', Pillow decodes; with 'tf', TensorFlow, PNG and JPEG
    only. All give equal pixels, as `bits` (8 or 16) of RGB. Raises `InputError` for another mode or files that
    it cannot read.
    """
    dtype = {8: tf.uint8, 16: tf.uint16}[bits]
    if read_mode not in ("tf", "python"):
        raise InputError(f"`read_mode` is {read_mode!r}; it should be tf or python")
    if cache or read_mode == "python":
        crops = _python_crops(FrameCache(cache).read if cache else read_image, bits, dtype)
    else:
        _check_suffixes(clips)
        crops = _tf_crops(dtype)

    def read(lq_paths, gt_paths, tops, lefts):
        wanted = [(lq_paths, tops, lefts, crop_size)]
        if gt_paths is not None:
            gt_size = (crop_size[0] * scale, crop_size[1] * scale)
            wanted.append((gt_paths, [top * scale for top in tops], [left * scale for left in lefts], gt_size))
        lq, *gt = crops(wanted)
        return lq, gt[0] if gt else None

    return read


def _tf_crops(dtype: tf.DType) -> Callable:
    """f([(paths [T], rows [S], columns [S], size), ...]) -> crops [S, T, *size, 3], ..."""

    def crops(wanted):
        return [crops_of(*group) for group in wanted]

    def crops_of(paths, tops, lefts, size):
        frames = [_decode(path, dtype) for path in tf.unstack(paths)]
        places = list(zip(tops, lefts, strict=True))
        samples = [_stack([crop(frame, top, left, size) for frame in frames]) for top, left in places]
        return tf.ensure_shape(_stack(samples), [len(places), len(frames), *size, 3])

    return crops


def _stack(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.stack(tensors) if len(tensors) > 1 else tensors[0][tf.newaxis]  # which copies nothing


def _python_crops(read: Callable, bits: int, dtype: tf.DType) -> Callable:
    """As `_tf_crops`, of frames as `read` gives them, in one call of Python for all."""

    def crops(wanted):
        sizes = [size for *_, size in wanted]

        def read_all(*tensors):
            groups = zip(tensors[0::3], tensors[1::3], tensors[2::3], sizes, strict=True)
            return [read_crops(*group) for group in groups]

        def read_crops(paths, tops, lefts, size):
            pixels = np.empty((len(tops), len(paths), *size, 3), dtype.as_numpy_dtype)
            for index, path in enumerate(paths):
                frame = read(path.decode())
                for number, (top, left) in enumerate(zip(tops, lefts, strict=True)):
                    pixels[number, index] = convert(crop(frame, top, left, size), 3, bits)
            return pixels

        tensors = [tensor for paths, tops, lefts, _ in wanted for tensor in (paths, tops, lefts)]
        results = tf.numpy_function(read_all, tensors, [dtype] * len(wanted))
        shapes = [[len(tops), paths.shape[0], *size, 3] for paths, tops, _, size in wanted]
        return [tf.ensure_shape(pixels, shape) for pixels, shape in zip(results, shapes, strict=True)]

    return crops


def _check_suffixes(clips: Sequence[Clip]) -> None:
    for clip in clips:
        for path in [*clip.lq, *clip.gt]:
            if path.suffix.lower() not in _TF_SUFFIXES:
                raise InputError(f"{path} is neither PNG nor JPEG: read it with `read_mode` python")


def _decode(path: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    data = tf.io.read_file(path)
    if tf.io.is_jpeg(data):
        # The accurate inverse transform is what Pillow uses; TensorFlow's default differs by up to 6 levels.
        image = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
        image = tf.cast(image, dtype) * (257 if dtype == tf.uint16 else 1)
    else:
        image = tf.io.decode_png(data, channels=3, dtype=dtype)
    return image
