"""Frames in, restored frames out, in constant memory: reading, computing and writing go on side by side."""

import contextlib
import operator
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from tqdm import tqdm
from yacs.config import CfgNode

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.frame_sink import Write, open_sink
from ascendcv.dataloader.frame_source import ImageSource, VideoSource, open_source, prefetch
from ascendcv.dataloader.image import IMAGE_SUFFIXES, to_rgb
from ascendcv.utils.errors import InputError
from ascendvsr.datasets import evaluation_clips
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.sigma import Sigma, check_sigma, read_sigma, sigma_of

Source = str | os.PathLike | np.ndarray | Iterable[tuple[str, np.ndarray]]
Sink = str | os.PathLike | contextlib.AbstractContextManager[Write]


def restore(
    model,
    source: Source,
    sink: Sink,
    *,
    sigma: float | np.ndarray | None = None,
    progress: bool = True,
    **settings: object,
) -> int:
    """Restores every frame of `source` into `sink`; returns how many there were.

    Gray frames stay gray, 16 bits stay 16 bits, and an alpha channel is resized apart (MATLAB bicubic).
    Values are clipped to [0, 1], scaled to the integer range and rounded half to even.

    Args:
        model: a network of `ascendvsr.models`.
        source: a folder of frames, an image, a video file, an array [T, H, W, C], or one of the sources of
            `ascendcv.dataloader.frame_source`.
        sink: a folder, a video file, or one of the sinks of `ascendcv.dataloader.frame_sink`.
        sigma: deviation of the noise in 8-bit levels, or a map of it [H, W], for networks that must be told.
        progress: whether to say how far it is.
        settings: windows, tiles and chunks, as `ascendvsr.loops.Settings` names them.
    Raises:
        InputError: a source that cannot be read, a sink that cannot hold the frames; what `restored_frames` raises.
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
        restored = restored_frames(model, inputs(), sigma=sigma, **settings)
        if progress:
            restored = report_progress(restored, operator.length_hint(source), getattr(source, "name", "frames"))
        for frame in restored:
            count += 1
            name, original = originals.popleft()
            write(name, to_pixels(frame, original, model.scale))
    return count


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
    settings, sigma = restore_settings(cfg), read_noise_level(cfg)
    names = [Path(source.name).name if cfg.inference.input else source.name for source, _ in jobs]
    levels = [sigma_of(sigma, name) for name in names]
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
    for (source, target), sink, level in zip(jobs, sinks, levels, strict=True):
        start = time.perf_counter()
        count = restore(model, source, sink, sigma=level, **settings)
        seconds = time.perf_counter() - start
        print(f"{target}: {count} frames, {1000 * seconds / count:.0f} ms a frame", flush=True)


def restore_settings(cfg: CfgNode) -> dict[str, object]:
    """The settings (`ascendvsr.loops.Settings`) that the configuration gives.

    Raises `InputError` for tiles and chunks that make no sense.
    """
    data, options = cfg.data, cfg.eval
    tile = tuple(data.eval_in_size) if data.eval_in_patch else None
    if tile is not None and not (len(tile) == 2 and min(tile) > data.eval_pad_size >= 0):
        raise InputError(
            f"data.eval_in_patch needs tiles (data.eval_in_size {list(tile)}) that are larger than their "
            f"overlap (data.eval_pad_size {data.eval_pad_size})"
        )
    minimum = _MIN_TILES.get((cfg.model.name, cfg.model.scale), 1)
    if tile is not None and min(tile) < minimum:
        raise InputError(
            f"data.eval_in_size {list(tile)}: this network needs tiles of at least {minimum}x{minimum} pixels"
        )
    if tile is not None and options.blending == "official" and any(side % 8 for side in tile):
        raise InputError(f"data.eval_in_size {list(tile)}: with eval.blending official, sides are multiples of 8")
    if options.tile_frames < 0 or options.tile_frames % 2:
        raise InputError(f"eval.tile_frames is {options.tile_frames}; it should be even, or 0 for the whole video")
    if options.tile_frames and not 0 <= options.tile_frames_overlap < options.tile_frames:
        raise InputError(
            f"eval.tile_frames_overlap ({options.tile_frames_overlap}) should be 0 or more, and less than "
            f"eval.tile_frames ({options.tile_frames})"
        )
    return {
        "window_ends": options.window_ends,
        "tile": tile,
        "tile_overlap": data.eval_pad_size,
        "tile_frames": options.tile_frames,
        "tile_frames_overlap": options.tile_frames_overlap,
        "blending": options.blending,
        "batch_size": max(data.eval_batch_size, 1),
    }


# Smallest tile by network and scale: RVRT's SpyNet needs more than 32 pixels where it computes flow, which is at a
# quarter of the size without upscaling. Smaller frames are padded, but tiles of padding are not worth their time.
_MIN_TILES = {("RVRT", 4): 33, ("RVRT", 1): 132}


def read_noise_level(cfg: CfgNode) -> Sigma:
    """What `inference.sigma` says. Raises `InputError` where it is missing, or the network has no use for it."""
    sigma = read_sigma(cfg.inference.sigma)
    check_sigma(4 if cfg.model.name == "RVRT" and cfg.rvrt.nonblind_denoising else 3, sigma)
    return sigma


def validation_noise_level(cfg: CfgNode) -> Sigma:
    """What `inference.sigma` says; where it says nothing, the middle of what training draws from (`data.sigma`)."""
    if cfg.inference.sigma or not cfg.data.sigma:
        return read_noise_level(cfg)
    return sum(cfg.data.sigma) / 2


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
