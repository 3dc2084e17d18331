"""Frames in, restored frames out, in constant memory: reading, computing and writing go on side by side."""

import contextlib
import operator
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from ascendcv.dataloader.footage import Frame
from ascendcv.dataloader.frame_sink import Write, open_sink
from ascendcv.dataloader.frame_source import open_source, prefetch
from ascendcv.dataloader.image import to_rgb
from ascendcv.dataloader.pixels import to_pixels, to_unit_rgb
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.progress import Rates, report_progress, timed
from ascendvsr.restoration.runner import Runner, as_runner
from ascendvsr.restoration.settings import Settings
from ascendvsr.restoration.shots import marked_at, marked_by_content, shots

Source = str | os.PathLike | np.ndarray | Iterable[Frame | tuple[str, np.ndarray]]
Sink = str | os.PathLike | contextlib.AbstractContextManager[Write]
Marker = Callable[[Iterable[Frame]], Iterator[tuple[Frame, bool]]]
Watcher = Callable[[Frame, np.ndarray], None]


def restore(
    network: Runner | Any,
    source: Source,
    sink: Sink,
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    *,
    sigma: float | np.ndarray | None = None,
    scene_cuts: str | Iterable[int] = "off",
    progress: bool = True,
) -> int:
    """Restores every frame of `source` into `sink`; returns how many there were.

    Gray frames stay gray, 16 bits stay 16 bits, and an alpha channel is resized apart (MATLAB bicubic). A video
    keeps its times, sound, subtitles and colors. What the user should be told comes as `warnings`.

    Args:
        network: a Keras model of `ascendvsr.models`, or a runner (`ascendvsr.restoration.runner`), which keeps
            what is compiled from video to video.
        source: a folder of frames, an image, a video file, an array [T, H, W, C], or one of the sources of
            `ascendcv.dataloader.frame_source`.
        sink: a folder, a video file, or one of the sinks of `ascendcv.dataloader.frame_sink`.
        settings: windows, tiles and chunks.
        sigma: standard deviation of the noise in 8-bit levels, or a map of it [H, W], for networks that must be
            told.
        scene_cuts: 'auto' finds them, 'off' takes the clip as one shot; or the numbers, from 0, of the frames that
            shots begin with. Nothing of one shot is used in another.
        progress: whether to say how far it is.
    Raises:
        InputError: a source that cannot be read, a sink that cannot hold the frames; what `restored_frames` raises.
        OSError: the frames cannot be written.
    """
    if isinstance(source, str | os.PathLike | np.ndarray):
        source = open_source(source)
    if isinstance(sink, str | os.PathLike):
        footage = getattr(source, "footage", None)
        sink = open_sink(sink, like=footage, fps=getattr(source, "fps", None) or Fraction(24))
    rates = restore_frames(
        as_runner(network), source, sink, settings, sigma=sigma, mark=marker(scene_cuts), progress=progress
    )
    for note in [*getattr(source, "notes", ()), *getattr(sink, "notes", ())]:
        warnings.warn(note, stacklevel=2)
    return rates.frames


def marker(scene_cuts: str | Iterable[int]) -> Marker:
    """What finds the first frames of shots, by the argument `scene_cuts` of `restore`."""
    if scene_cuts == "auto":
        return marked_by_content
    cuts = () if scene_cuts == "off" else scene_cuts
    if isinstance(cuts, str):
        raise InputError(f"scene cuts are auto, off or a list of frame numbers, not {cuts!r}")
    return lambda frames: marked_at(frames, cuts)


def restore_frames(
    runner: Runner,
    source: Iterable[Frame | tuple[str, np.ndarray]],
    sink: contextlib.AbstractContextManager[Write],
    settings: Settings,
    *,
    sigma: float | np.ndarray | None = None,
    mark: Marker,
    watch: Watcher | None = None,
    lead: int = 0,
    count: int | None = None,
    progress: bool = True,
) -> Rates:
    """The work of `restore` on an opened source and sink.

    Args:
        mark: what finds the first frames of shots.
        watch: called with each frame and what became of it.
        lead: how many frames at the beginning are there only for what the network sees around the others.
        count: how many frames behind those are written; what comes after them is there to be seen, too. None: all.
    """
    originals: deque[Frame] = deque()
    rates = Rates()

    def inputs(shot: Iterable[Frame]) -> Iterator[np.ndarray]:
        for frame in shot:
            originals.append(frame)
            # Of gray frames the network's values are asked for: their luma is rounded, not that of rounded colors.
            yield to_rgb(frame.pixels) if frame.pixels.shape[-1] > 2 else to_unit_rgb(frame.pixels)

    def computed(frames: Iterable[Frame]) -> Iterator[np.ndarray]:
        left = lead
        for shot in shots(mark(frames)):
            for pixels in restored_frames(runner, inputs(shot), settings, sigma=sigma, skip=left):
                left = max(left - 1, 0)
                yield pixels

    with sink as write, contextlib.closing(prefetch(timed(_frames(source), rates))) as frames:
        restored = _computed(rates, computed(frames))
        if progress:
            name = getattr(source, "name", "frames")
            restored = report_progress(restored, operator.length_hint(source), name, rates)
        for number, values in enumerate(restored):
            if count is not None and number == lead + count:
                break
            frame = originals.popleft()
            if number < lead:
                continue
            pixels = to_pixels(values, frame.pixels, runner.scale)
            write(frame.name, pixels, frame)
            if watch is not None:
                watch(frame, pixels)
            rates.frames += 1
        if progress and (left := getattr(sink, "waiting", 0)):
            named = getattr(source, "name", "frames")
            print(f"{named}: {left} frame{'s are' if left > 1 else ' is'} still being written", file=sys.stderr)
    rates.writing = getattr(sink, "seconds", 0.0)
    return rates


def _frames(source: Iterable[Frame | tuple[str, np.ndarray]]) -> Iterator[Frame]:
    """Frames; a pair of name and pixels becomes one."""
    return (item if isinstance(item, Frame) else Frame(*item) for item in source)


def _computed(rates: Rates, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Passes on restored frames; the time that they take counts as computing."""
    while True:
        start = time.perf_counter()
        frame = next(frames, None)
        rates.computing += time.perf_counter() - start
        if frame is None:
            return
        yield frame
