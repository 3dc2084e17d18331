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
from typing import Any

import numpy as np
from tqdm import tqdm
from yacs.config import CfgNode

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.frame_sink import Write, open_sink
from ascendcv.dataloader.frame_source import ImageSource, VideoSource, open_source, prefetch
from ascendcv.dataloader.image import IMAGE_SUFFIXES
from ascendcv.dataloader.pixels import to_pixels, to_unit_rgb
from ascendcv.utils.errors import InputError
from ascendvsr.datasets import evaluation_clips
from ascendvsr.models.card import Card
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.runner import Runner, as_runner
from ascendvsr.restoration.settings import Settings, read_settings
from ascendvsr.restoration.sigma import read_noise_level, sigma_of

Source = str | os.PathLike | np.ndarray | Iterable[tuple[str, np.ndarray]]
Sink = str | os.PathLike | contextlib.AbstractContextManager[Write]


def restore(
    network: Runner | Any,
    source: Source,
    sink: Sink,
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    *,
    sigma: float | np.ndarray | None = None,
    progress: bool = True,
) -> int:
    """Restores every frame of `source` into `sink`; returns how many there were.

    Gray frames stay gray, 16 bits stay 16 bits, and an alpha channel is resized apart (MATLAB bicubic).
    Values are clipped to [0, 1], scaled to the integer range and rounded half to even.

    Args:
        network: a Keras model of `ascendvsr.models`, or a runner (`ascendvsr.restoration.runner`), which keeps
            what is compiled from video to video.
        source: a folder of frames, an image, a video file, an array [T, H, W, C], or one of the sources of
            `ascendcv.dataloader.frame_source`.
        sink: a folder, a video file, or one of the sinks of `ascendcv.dataloader.frame_sink`.
        settings: windows, tiles and chunks.
        sigma: deviation of the noise in 8-bit levels, or a map of it [H, W], for networks that must be told.
        progress: whether to say how far it is.
    Raises:
        InputError: a source that cannot be read, a sink that cannot hold the frames; what `restored_frames` raises.
        OSError: the frames cannot be written.
    """
    if isinstance(source, str | os.PathLike | np.ndarray):
        source = open_source(source)
    if isinstance(sink, str | os.PathLike):
        sink = open_sink(sink, fps=getattr(source, "fps", None) or 24)
    runner, originals, count = as_runner(network), deque(), 0

    def inputs() -> Iterator[np.ndarray]:
        for name, pixels in frames:
            originals.append((name, pixels))
            yield to_unit_rgb(pixels)

    with sink as write, contextlib.closing(prefetch(source)) as frames:
        restored = restored_frames(runner, inputs(), settings, sigma=sigma)
        if progress:
            restored = report_progress(restored, operator.length_hint(source), getattr(source, "name", "frames"))
        for frame in restored:
            count += 1
            name, original = originals.popleft()
            write(name, to_pixels(frame, original, runner.scale))
    return count


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


def inference(cfg: CfgNode, card: Card, network: Callable[[], Runner]) -> None:
    """The command: restores `inference.input` into `inference.output`, or else data_dir's evaluation set.

    The input is a folder of frames, a folder of such folders, an image or a video. The evaluation set goes to
    NAME/FOLDER/FRAME.png below output_dir/inference_result_dir, as the TensorFlow release put it. All inputs
    are checked before `network()` is called, which gives the runner.
    Raises what `restore` raises.
    """
    jobs = _jobs(cfg)
    for source, _ in jobs:
        for note in source.notes:
            print(note)
    settings, sigma = read_settings(cfg, card), read_noise_level(cfg, card)
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
    runner = network()
    for (source, target), sink, level in zip(jobs, sinks, levels, strict=True):
        start = time.perf_counter()
        count = restore(runner, source, sink, settings, sigma=level)
        seconds = time.perf_counter() - start
        print(f"{target}: {count} frames, {1000 * seconds / count:.0f} ms per frame", flush=True)


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
