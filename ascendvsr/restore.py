"""Frames in, restored frames out, in constant memory: reading, computing and writing go on side by side."""

import contextlib
import functools
import itertools
import operator
import os
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from tqdm import tqdm
from yacs.config import CfgNode

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.frame_sink import Write, open_sink
from ascendcv.dataloader.frame_source import ImageSource, VideoSource, open_source, prefetch
from ascendcv.dataloader.image import IMAGE_SUFFIXES, to_rgb
from ascendcv.dataloader.reds import Clip
from ascendcv.dataloader.windows import window_indices
from ascendcv.utils.errors import InputError
from ascendvsr.datasets import evaluation_clips
from ascendvsr.tiles import Forward, restore_in_tiles

Source = str | os.PathLike | np.ndarray | Iterable[tuple[str, np.ndarray]]
Sink = str | os.PathLike | contextlib.AbstractContextManager[Write]


def restore(
    model,
    source: Source,
    sink: Sink,
    *,
    window_ends: str = "replicate",
    tile: tuple[int, int] | None = None,
    tile_overlap: int = 32,
    batch_size: int = 1,
    progress: bool = True,
) -> int:
    """Restores every frame of `source` into `sink`; returns how many there were.

    Gray frames stay gray, 16 bits stay 16 bits, and an alpha channel is resized apart (MATLAB bicubic).
    Values are clipped to [0, 1], scaled to the integer range and rounded half to even.

    Args:
        model: a network of `ascendvsr.models`.
        source: a folder of frames, an image, a video file, an array [T, H, W, C], or one of the sources of
            `ascendcv.dataloader.frame_source`.
        sink: a folder, a video file, or one of the sinks of `ascendcv.dataloader.frame_sink`.
        window_ends: what stands in for frames before the first and after the last: replicate, reflection,
            reflection_circle or circle (`ascendcv.dataloader.windows`).
        tile: (height, width) in input pixels; None: whole frames.
        tile_overlap: in input pixels; see `ascendvsr.tiles`.
        batch_size: windows that the network gets at once.
        progress: whether to say how far it is.
    Raises:
        InputError: a source that cannot be read, a sink that cannot hold the frames.
        OSError: the frames cannot be written.
    """
    if isinstance(source, str | os.PathLike | np.ndarray):
        source = open_source(source)
    if isinstance(sink, str | os.PathLike):
        sink = open_sink(sink, fps=getattr(source, "fps", None) or 24)
    originals, count = deque(), 0

    def inputs() -> Iterator[np.ndarray]:
        for name, pixels in frames:
            originals.append((name, pixels))
            yield to_unit_rgb(pixels)

    with sink as write, contextlib.closing(prefetch(source)) as frames:
        restored = restored_frames(
            model,
            inputs(),
            window_ends=window_ends,
            tile=tile,
            tile_overlap=tile_overlap,
            batch_size=batch_size,
        )
        if progress:
            restored = report_progress(restored, operator.length_hint(source), getattr(source, "name", "frames"))
        for frame in restored:
            count += 1
            name, original = originals.popleft()
            write(name, to_pixels(frame, original, model.scale))
    return count


def restored_frames(
    model,
    frames: Iterable[np.ndarray],
    *,
    window_ends: str = "replicate",
    tile: tuple[int, int] | None = None,
    tile_overlap: int = 32,
    batch_size: int = 1,
) -> Iterator[np.ndarray]:
    """Float32 RGB frames [H, W, 3] in [0, 1] -> as many restored ones [H', W', 3], not clipped, in order.

    Arguments as for `restore`. Holds no more frames than the windows need.
    """
    forward = compiled(model)
    if tile is not None:
        forward = functools.partial(restore_in_tiles, forward, scale=model.scale, tile=tile, overlap=tile_overlap)
    return _LOOPS[model.time](model, forward, frames, window_ends, batch_size)


def _restore_windows(
    model, forward: Forward, frames: Iterable[np.ndarray], window_ends: str, batch_size: int
) -> Iterator[np.ndarray]:
    windows = sliding_windows(frames, model.num_frame, model.center_frame_idx, window_ends)
    while batch := list(itertools.islice(windows, batch_size)):
        yield from forward(np.stack([np.stack(window) for window in batch]))


# By how a network eats time.
_LOOPS = {"window": _restore_windows}


def sliding_windows(
    frames: Iterable[np.ndarray], num_frames: int, centre: int, ends: str
) -> Iterator[list[np.ndarray]]:
    """For each frame the window of `num_frames` that has it at position `centre`, without knowing the length.

    A window that is not at the end of the clip is the same for every length, so that reading `reach` frames
    ahead, and a whole window at the beginning, is enough.
    """
    frames, held, count, ended = iter(frames), {}, 0, False
    reach = max(centre, num_frames - 1 - centre)
    for position in itertools.count():
        while not ended and count < max(position + reach, 2 * reach) + 1:
            frame = next(frames, None)
            if frame is None:
                ended = True
            else:
                held[count] = frame
                count += 1
        if position == count:
            return
        indices = window_indices(position, count, 2 * reach + 1, ends)[reach - centre :][:num_frames]
        yield [held[index] for index in indices]
        held.pop(position - 2 * reach, None)


_COMPILED = weakref.WeakKeyDictionary()


def compiled(model) -> Forward:
    """`model(clips)` for arrays as one TensorFlow function a model, with one trace a shape."""
    import tensorflow as tf

    if model not in _COMPILED:
        reference = weakref.ref(model)
        function = tf.function(lambda clips: reference()(clips, training=False))
        _COMPILED[model] = lambda clips: function(clips).numpy()
    return _COMPILED[model]


def to_unit_rgb(pixels: np.ndarray) -> np.ndarray:
    """[H, W, 1 to 4] uint8 or uint16 -> [H, W, 3] float32 in [0, 1], without alpha."""
    return to_rgb(pixels).astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def to_pixels(frame: np.ndarray, original: np.ndarray, scale: int) -> np.ndarray:
    """A restored frame [H', W', 3] float32 with the dtype and kind of channels of its original [H, W, C]."""
    channels = original.shape[-1]
    if channels <= 2:
        frame = frame @ np.array([[0.299], [0.587], [0.114]], np.float32)  # luma of BT.601
    pixels = quantize(frame, original.dtype)
    if channels in (1, 3):
        return pixels
    alpha = imresize(original[..., -1:], scale)[: pixels.shape[0], : pixels.shape[1]]
    return np.concatenate([pixels, alpha], axis=-1)


def quantize(frame: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float32 in [0, 1] -> uint8 or uint16: clipped, scaled, rounded half to even."""
    return np.rint(np.clip(frame, 0, 1) * np.float32(np.iinfo(dtype).max)).astype(dtype)


def report_progress(items: Iterable, total: int, name: str) -> Iterator:
    """Passes on `items`; a bar with the remaining time on a terminal, a line every half minute elsewhere."""
    start = last = time.monotonic()
    with tqdm(desc=name, total=total or None, unit="frame", leave=False, disable=not sys.stderr.isatty()) as bar:
        for count, item in enumerate(items, start=1):
            yield item
            bar.update()
            now = time.monotonic()
            if bar.disable and now - last > 30:
                last, rate = now, count / (now - start)
                left = tqdm.format_interval((total - count) / rate) if total > count else "?"
                print(f"{name}: {count} of {total or '?'} frames, {rate:.2f} frames/s, {left} left", flush=True)


def inference(cfg: CfgNode, network: Callable[[], object]) -> None:
    """The command: restores `inference.input` into `inference.output`, or else data_dir's evaluation set.

    The input is a folder of frames, a folder of such folders, an image or a video. The evaluation set goes to
    NAME/FOLDER/FRAME.png below output_dir/inference_result_dir, as the TensorFlow release put it. All inputs
    are checked before `network()` is called, which gives the model with its weights.
    Raises what `restore` raises.
    """
    jobs = _jobs(cfg)
    for source, _ in jobs:
        for note in source.notes:
            print(note)
    settings = restore_settings(cfg)
    sinks = [
        open_sink(
            target,
            fps=source.fps or Fraction(str(cfg.inference.fps)),
            num_threads=cfg.writer_num_threads,
            queue_size=cfg.writer_queue_size,
        )
        for source, target in jobs
    ]
    model = network()
    for (source, target), sink in zip(jobs, sinks, strict=True):
        start = time.perf_counter()
        count = restore(model, source, sink, **settings)
        seconds = time.perf_counter() - start
        print(f"{target}: {count} frames, {1000 * seconds / count:.0f} ms a frame", flush=True)


def restore_settings(cfg: CfgNode) -> dict[str, object]:
    """The arguments of `restore` and `restored_frames` that the configuration gives."""
    tile = tuple(cfg.data.eval_in_size) if cfg.data.eval_in_patch else None
    if tile is not None and not (len(tile) == 2 and min(tile) > cfg.data.eval_pad_size >= 0):
        raise InputError(
            f"data.eval_in_patch needs tiles (data.eval_in_size {list(tile)}) that are larger than their "
            f"overlap (data.eval_pad_size {cfg.data.eval_pad_size})"
        )
    return {
        "window_ends": cfg.eval.window_ends,
        "tile": tile,
        "tile_overlap": cfg.data.eval_pad_size,
        "batch_size": max(cfg.data.eval_batch_size, 1),
    }


def _jobs(cfg: CfgNode) -> list[tuple[ImageSource | VideoSource, Path]]:
    """What to restore, opened and checked, and where it goes."""
    results = Path(cfg.inference.output or Path(cfg.output_dir, cfg.inference_result_dir))
    if not cfg.inference.input:
        clips = evaluation_clips(cfg)
        return [(ImageSource(clip.lq, clip.name), results / clip_folder(clip)) for clip in clips]
    path = Path(cfg.inference.input)
    folders = _clip_folders(path)
    if folders:
        if results.resolve().is_relative_to(path.resolve()):
            raise InputError(f"{results} is inside {path}: its frames would be restored again; name another output")
        return [(open_source(folder), results / folder.name) for folder in folders]
    source = open_source(path)
    if not cfg.inference.output:
        results /= f"{path.stem}.mp4" if isinstance(source, VideoSource) else path.stem
    occupied = path.parent if path.is_file() and isinstance(source, ImageSource) else path
    if results.resolve() == occupied.resolve():
        raise InputError(f"restored frames would go where {path} is: name another output")
    return [(source, results)]


def _clip_folders(path: Path) -> list[Path]:
    """The folders of frames in a folder that has no frames itself."""
    if not path.is_dir() or any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir()):
        return []
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def clip_folder(clip: Clip) -> Path:
    """Where the restored frames of a clip of a set go: NAME/FOLDER, as its low-quality frames are stored."""
    folder = clip.lq[0].parent
    return Path(clip.name, folder.name if folder.name != clip.name else folder.parent.name)
