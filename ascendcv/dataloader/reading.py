"""Reading the frames of a training window: decoded once, cropped as often as samples are made of them."""

import logging
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import tensorflow as tf

from ascendcv.dataloader.augment import crop
from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.degradations import Chain
from ascendcv.dataloader.frame_cache import FrameCache
from ascendcv.dataloader.image import convert, picture_format, read_image
from ascendcv.dataloader.samples import Sample, frames_of
from ascendcv.dataloader.stored import open_frame
from ascendcv.utils.errors import InputError

logger = logging.getLogger(__name__)

ON_ERROR = ("replace", "stop")
_ATTEMPTS = 100  # windows that are tried in place of one that cannot be read

# decode(path) -> [H, W, 3], of the reader's bits
Decode = Callable[[Path], np.ndarray]


class WindowReader:
    """Reads crops of a window of a clip and of its ground truth.

    A window with a frame that cannot be read is replaced by another one, which the number of the sample decides, so
    that a run that goes on replaces it by the same; that is logged with the name of the file and counted.

    Attributes:
        replaced: samples that were replaced so far.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        windows: Sequence[Sample],
        *,
        num_frames: int,
        interval: int,
        crop_size: tuple[int, int],
        scale: int,
        center: int,
        target: str,
        random_reverse: bool,
        read_mode: str,
        cache: str,
        seed: int,
        on_error: str,
        on_failure: Callable[[InputError], None] | None = None,
        degrade: Chain | None = None,
    ):
        """`windows` are of `clips`; the other arguments are `training_dataset`'s."""
        if on_error not in ON_ERROR:
            raise InputError(f"`on_error` is {on_error!r}; it should be {' or '.join(ON_ERROR)}")
        self.bits = max(clip.bits for clip in clips)
        self.replaced = 0
        self._clips, self._windows = clips, windows
        self._num_frames, self._interval, self._crop_size, self._scale = num_frames, interval, crop_size, scale
        self._wanted = range(num_frames) if target == "all" else range(center, center + 1)
        self._reverse, self._seed, self._on_error, self._degrade = random_reverse, seed, on_error, degrade
        self._clean = degrade is None and all(clip.lq == clip.gt for clip in clips)  # the input is the ground truth
        self._decode = _decoder(read_mode, cache, self.bits)
        self._on_failure = on_failure or (lambda failure: None)
        self._lock = threading.Lock()
        if degrade is None:
            self._require_ground_truth()

    def _require_ground_truth(self) -> None:
        """Raises `InputError` naming a clip with ground truth of some frames only that is trained on at others."""
        indices = {index for at in self._wanted for index in ((at, -1 - at) if self._reverse else (at,))}
        for window in self._windows:
            clip = self._clips[window.clip]
            if None not in clip.gt:
                continue
            frames = frames_of(window, len(clip.lq), num_frames=self._num_frames, interval=self._interval)
            if any(clip.gt[frames[index]] is None for index in indices):
                raise InputError(
                    f"clip {clip.name} has ground truth of some frames only, and training needs that of others: "
                    f"windows of {len(clip.lq)} frames have it in their middle (`num_frames`)"
                )

    def read(self, number: int, window: int, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Crops [S, T, h, w, 3] of the input and [S, G, H, W, 3] of the ground truth; G is T, or 1: the center.

        Args:
            number: of the example, which decides what replaces a window that cannot be read.
            window: which one.
            draws: [S, 3 or more] in [0, 1): row, column, and (of the first) whether to play backwards.

        Raises InputError where that is asked for and where other windows cannot be read either.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return self._read(int(number), self._windows[int(window)], draws)
            except (InputError, OSError) as error:
                self._note(int(number), error)
                last = error
            drawn = np.random.default_rng([self._seed, int(number), attempt]).integers(len(self._windows))
            window = int(drawn)
        raise self._failed(f"none of {_ATTEMPTS} samples in a row can be read, the last because {last}")

    def _note(self, number: int, error: Exception) -> None:
        if self._on_error == "stop":
            raise self._failed(f"{error}; or say `on_error` replace to train without it") from error
        with self._lock:
            self.replaced += 1
            logger.warning("Sample %d is replaced by another one (%d so far): %s", number, self.replaced, error)

    def _failed(self, reason: str) -> InputError:
        failure = InputError(reason)
        self._on_failure(failure)
        return failure

    def _read(self, number: int, window: Sample, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        clip = self._clips[window.clip]
        frames = frames_of(window, len(clip.lq), num_frames=self._num_frames, interval=self._interval)
        if self._reverse and draws[0][2] < 0.5:
            frames = frames[::-1]
        free = [side - size + 1 for side, size in zip(clip.lq_size, self._crop_size, strict=True)]
        places = [(int(draw[0] * free[0]), int(draw[1] * free[1])) for draw in draws]
        wanted = [frames[index] for index in self._wanted]
        if self._degrade is not None:
            return self._degraded(self._degrade, number, clip, frames, wanted, places)
        lq = self._crops(clip.lq, frames, clip.lq_size, places, 1)
        if self._clean:
            return lq, lq[:, self._wanted.start : self._wanted.stop]
        return lq, self._crops(clip.gt, wanted, clip.gt_size, places, self._scale)

    def _crops(
        self,
        paths: Sequence,
        frames: Sequence[int],
        size: tuple[int, int],
        places: Sequence[tuple[int, int]],
        scale: int,
    ) -> np.ndarray:
        """[S, T, h * scale, w * scale, 3] of these frames; each file is decoded once."""
        height, width = (side * scale for side in self._crop_size)
        crops = np.empty((len(places), len(frames), height, width, 3), _DTYPES[self.bits])
        for file in dict.fromkeys(frames):
            pixels = self._frame(paths[file], size)
            for index in (index for index, frame in enumerate(frames) if frame == file):
                for sample, (top, left) in enumerate(places):
                    crops[sample, index] = crop(pixels, top * scale, left * scale, (height, width))
        return crops

    def _degraded(
        self,
        chain: Chain,
        number: int,
        clip: Clip,
        frames: Sequence[int],
        wanted: Sequence[int],
        places: Sequence[tuple[int, int]],
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ground truth's crops and what the degradation makes of them, with pixels and frames around."""
        scale, size = self._scale, self._crop_size
        truths = cast(list[Path], clip.gt)  # of clips to train on, every frame has one

        def around(frame: int) -> list[int]:
            return [min(max(frame + step, 0), len(clip.gt) - 1) for step in range(-chain.reach, chain.reach + 1)]

        needed = sorted({file for frame in frames for file in around(frame)})
        files = {file: self._frame(truths[file], clip.gt_size) for file in needed}
        lq = np.empty((len(places), len(frames), *size, 3), _DTYPES[self.bits])
        gt = np.empty((len(places), len(wanted), size[0] * scale, size[1] * scale, 3), _DTYPES[self.bits])
        for sample, (top, left) in enumerate(places):
            begin = [max(place - chain.margin, 0) for place in (top, left)]
            end = [
                min(place + side + chain.margin, whole)
                for place, side, whole in zip((top, left), size, clip.lq_size, strict=True)
            ]
            rows, columns = (slice(low * scale, high * scale) for low, high in zip(begin, end, strict=True))
            given = [[files[file][rows, columns] for file in around(frame)] for frame in frames]
            degraded = chain.degrade_window(given, np.random.default_rng([self._seed, number, sample]))
            lq[sample] = [crop(frame, top - begin[0], left - begin[1], size) for frame in degraded]
            for index, frame in enumerate(wanted):
                gt[sample, index] = crop(files[frame], top * scale, left * scale, gt.shape[2:4])
        return lq, gt

    def _frame(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        pixels = self._decode(path)
        if pixels.shape[:2] != size:
            raise InputError(
                f"{path} has {pixels.shape[1]}x{pixels.shape[0]} pixels; when training began it had "
                f"{size[1]}x{size[0]}"
            )
        return pixels


_DTYPES = {8: np.uint8, 16: np.uint16}


def _decoder(read_mode: str, cache: str, bits: int) -> Decode:
    """What decodes a frame. All ways give equal pixels, as `bits` (8 or 16) of RGB.

    With a folder as `cache` or the `read_mode` 'python', Pillow does; with 'tf', TensorFlow, which is faster, does
    PNG and JPEG, and Pillow other formats: the content tells which it is.
    """
    if read_mode not in ("tf", "python"):
        raise InputError(f"`read_mode` is {read_mode!r}; it should be tf or python")
    if cache or read_mode == "python":
        read = FrameCache(cache).read if cache else read_image
        return lambda path: convert(read(path), 3, bits)
    dtype = {8: tf.uint8, 16: tf.uint16}[bits]

    def decode(path):
        with open_frame(path) as file:
            data = file.read()
        kind = picture_format(data)
        try:
            with tf.device("/CPU:0"):
                if kind == "png":
                    return tf.io.decode_png(data, channels=3, dtype=dtype).numpy()
                if kind == "jpeg":
                    # The accurate inverse transform is what Pillow uses; the default differs by up to 6 levels.
                    pixels = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
                    return convert(pixels.numpy(), 3, bits)
        except tf.errors.OpError as error:
            reason = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error.message), flags=re.DOTALL).strip()
            raise InputError(f"{path} is no readable image ({reason}); copy or extract it again") from None
        return convert(read_image(path), 3, bits)

    return decode
