"""The command `restore`: footage of any kind, one clip or many, each as one line at the end."""

import argparse
import contextlib
import itertools
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.footage import Frame
from ascendcv.dataloader.frame_sink import VIDEO_SUFFIXES, Sink, open_sink
from ascendcv.dataloader.frame_source import ImageSource, Source, open_source, prefetch
from ascendcv.dataloader.image import is_image_name
from ascendcv.dataloader.segments import frames_done, open_segmented
from ascendcv.utils.errors import InputError
from ascendvsr import __version__
from ascendvsr.models.card import Card
from ascendvsr.restoration.compare import comparison_sink, side_by_side
from ascendvsr.restoration.jobs import STREAM, Job, check_target, find_jobs, target_of
from ascendvsr.restoration.memory import fitting_tile, read_size
from ascendvsr.restoration.progress import Rates
from ascendvsr.restoration.report import Report
from ascendvsr.restoration.restore import Watcher, marker, restore_frames
from ascendvsr.restoration.runner import Runner
from ascendvsr.restoration.runtimes import Exported
from ascendvsr.restoration.settings import Settings, read_settings
from ascendvsr.restoration.sigma import Sigma, read_noise_level, sigma_of


@dataclass
class Clip:
    """A clip that is to be restored, opened and checked.

    Attributes:
        source: its frames; with those, `lead` of them at the beginning, that the network sees before what is left
            to do of a clip that was stopped, of which `done` frames are restored.
        truth: the ground truth, for the report.
        comparison: where frames go beside what became of them.
    """

    source: Source
    target: str
    sink: Sink
    settings: Settings
    sigma: float | np.ndarray | None
    done: int = 0
    lead: int = 0
    truth: Source | None = None
    comparison: Sink | None = None


def restore_clips(
    arguments: argparse.Namespace,
    cfg: CfgNode,
    card: Card,
    network: Callable[[], Runner],
    exported: Exported | None = None,
) -> None:
    """Restores what the command line names; `ascendvsr.cli` has its arguments.

    All that is named is opened and checked before `network()` is called, which gives the runner; `exported` is what
    it is loaded from, if it takes frames of one size only. Raises
    `InputError` for what cannot be done, and RuntimeError where clips of several failed: the others are restored.
    """
    scene_cuts = read_cuts(arguments.scene_cuts)
    budget = read_size(arguments.memory) if arguments.memory else None
    settings = _settings(arguments, read_settings(cfg, card), budget)
    if exported is not None:
        settings = exported.fitted(settings)
    sigma = read_noise_level(cfg, card)
    jobs, notes = find_jobs(arguments.inputs, arguments.output)
    to_stream = any(job.place == STREAM for job in jobs)
    say = _say_on(sys.stderr if to_stream else sys.stdout)
    for note in notes:
        say(note)
    if arguments.report or arguments.gt:
        _check_report(arguments, jobs)
    clips = [_open(job, arguments, cfg, settings, sigma) for job in jobs]
    if exported is not None:
        for clip in clips:
            exported.check_size(clip.source.name, clip.source.footage.height, clip.source.footage.width)
    _check_targets(clips, jobs, overwrite=arguments.overwrite, resume=arguments.resume)
    for clip in clips:
        for note in clip.source.notes:
            say(note)
    runner = network()
    lines, failed = [], 0
    for clip in clips:
        try:
            lines.append(_restore(clip, runner, card, cfg, arguments, scene_cuts, budget, say))
        except (InputError, OSError) as error:
            if len(clips) == 1:
                raise
            failed += 1
            lines.append(f"{clip.source.name}: not restored: {error}")
            say(lines[-1])
    if len(clips) > 1:
        say(f"\n{len(clips) - failed} of {len(clips)} clips restored:")
        for line in lines:
            say(line)
    if failed:
        raise RuntimeError(f"{failed} of {len(clips)} clips could not be restored")


def _check_report(arguments: argparse.Namespace, jobs: Sequence[Job]) -> None:
    if len(jobs) > 1:
        raise InputError("--report and --gt are of one clip: name one")
    if not arguments.report:
        raise InputError("--gt is for the report: name one with --report FILE.html")
    if Path(arguments.report).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--report {arguments.report} should be a page, FILE.html")
    check_target(arguments.report, [job.source for job in jobs], overwrite=arguments.overwrite)


def _say_on(stream) -> Callable[[str], None]:
    return lambda text: print(text, file=stream, flush=True)


def read_cuts(text: str) -> str | list[int]:
    """`--scene-cuts`: auto, off, or frame numbers with commas between them."""
    if text in ("auto", "off"):
        return text
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"--scene-cuts should be auto, off or frame numbers such as 48,240, not {text!r}")
    return [int(part) for part in parts]


def read_start(text: str) -> int | Fraction:
    """`--start`: a number of frames, or a time: 83.5s, 1:23.5, 0:01:23.5."""
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return int(text)
    found = re.fullmatch(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,9}(?:\.\d{1,9})?)s?", text, re.ASCII)
    if not found:
        raise InputError(f"--start should be a number of frames or a time such as 1:23.5, not {text!r}")
    hours, minutes, seconds = (Fraction(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


def _settings(arguments: argparse.Namespace, settings: Settings, budget: int | None) -> Settings:
    """The configuration's settings, changed by `--tile` and `--tile-overlap`."""
    tile, overlap = arguments.tile, arguments.tile_overlap
    if arguments.tile_auto:
        if tile:
            raise InputError("--tile is auto, or three numbers")
        if overlap:
            raise InputError("--tile auto chooses the overlap too: leave --tile-overlap out")
        return replace(settings, adapts=True)
    if budget is not None:
        raise InputError("--memory is for --tile auto, which chooses a tile that fits into it")
    if tile:
        frames, height, width = _three("--tile", tile)
        if frames % 2:
            raise InputError(f"--tile {frames} ...: the number of frames should be even, or 0 for the whole video")
        settings = replace(settings, tile_frames=frames, tile=(height, width) if height and width else None)
    if overlap:
        frames, height, width = _three("--tile-overlap", overlap)
        settings = replace(settings, tile_frames_overlap=frames, tile_overlap=(height, width))
        if settings.tile is not None and not (height < settings.tile[0] and width < settings.tile[1]):
            raise InputError(f"--tile-overlap {height} {width} should be smaller than the tile {settings.tile}")
    if settings.tile_frames and settings.tile_frames_overlap >= settings.tile_frames:
        settings = replace(settings, tile_frames_overlap=settings.tile_frames // 4)
    return settings


def _three(option: str, values: Sequence[str]) -> tuple[int, int, int]:
    if not all(value.isdecimal() for value in values):
        raise InputError(f"{option} takes frames, height and width, three whole numbers, not {' '.join(values)!r}")
    frames, height, width = map(int, values)
    return frames, height, width


def _open(job: Job, arguments: argparse.Namespace, cfg: CfgNode, settings: Settings, sigma: Sigma) -> Clip:
    def opened(start: int | Fraction, frames: int | None) -> Source:
        return open_source(
            job.source,
            stream=arguments.stream,
            start=start,
            frames=frames,
            deinterlace=arguments.deinterlace,
            on_error=arguments.on_error,
            hdr=arguments.hdr,
        )

    start = read_start(arguments.start) if arguments.start else 0
    source = opened(start, arguments.frames)
    target = target_of(job, source.footage, arguments.format)
    writing = {
        "fps": source.fps or Fraction(str(cfg.inference.fps)),
        "codec": arguments.codec,
        "crf": arguments.crf,
        "preset": arguments.preset,
        "pixel_format": arguments.pix_fmt,
    }
    is_video = Path(target).suffix.lower() in VIDEO_SUFFIXES and not arguments.format and not Path(target).is_dir()
    facts = _job_facts(job, arguments, cfg)
    done = _frames_done(target, source, facts, is_video) if arguments.resume else 0
    lead = 0
    if done:
        if not isinstance(start, int):
            raise InputError("--resume goes on from a number of frames: give --start as one")
        lead = min(_LEAD, done)
        left = None if arguments.frames is None else arguments.frames - done + lead
        source = opened(start + done - lead, left)
    if is_video:
        sink = open_segmented(target, facts, like=source.footage, resume=bool(done), **writing)
    else:
        sink = open_sink(
            target,
            like=source.footage,
            num_threads=cfg.writer_num_threads,
            queue_size=cfg.writer_queue_size,
            image_format=arguments.format,
            **writing,
        )
    clip = Clip(source, target, sink, settings, sigma_of(sigma, Path(job.source).name), done, lead)
    if arguments.gt:
        clip.truth = open_source(arguments.gt, start=start + done)
    if arguments.compare:
        clip.comparison = comparison_sink(target, like=source.footage, **writing)
    return clip


# Frames before what is left of a clip that was stopped: more than windows, overlapping chunks and the detection of
# cuts look back.
_LEAD = 16


def _job_facts(job: Job, arguments: argparse.Namespace, cfg: CfgNode) -> dict[str, object]:
    """What makes two runs the same, so that one can go on where the other stopped."""
    options = ("start", "frames", "stream", "tile", "tile_overlap", "scene_cuts", "deinterlace", "codec", "crf")
    facts = {name: getattr(arguments, name) for name in (*options, "preset", "pix_fmt", "on_error", "sigma")}
    return facts | {"source": os.path.abspath(job.source), "checkpoint": cfg.checkpoint}


def _frames_done(target: str, source: Source, facts: dict[str, object], is_video: bool) -> int:
    """How many frames an earlier run has restored: of a video in whole segments, of a folder one by one."""
    path = Path(target)
    if is_video:
        return 0 if path.exists() else frames_done(path, facts)
    if not path.is_dir() or not isinstance(source, ImageSource):
        return 0
    there = {entry.stem for entry in path.iterdir() if is_image_name(entry)}
    return sum(1 for _ in itertools.takewhile(lambda name: name in there, (p.stem for p in source.paths)))


def _check_targets(clips: Sequence[Clip], jobs: Sequence[Job], *, overwrite: bool, resume: bool) -> None:
    sources = [job.source for job in jobs]
    for clip in clips:
        goes_on = resume and Path(clip.target).is_dir()
        check_target(clip.target, sources, overwrite=overwrite or goes_on)
    targets = [str(Path(clip.target).resolve()) for clip in clips]
    for target in targets:
        if targets.count(target) > 1 and target != STREAM:
            raise InputError(f"two clips would go to {target}: restore them one by one, each to its own output")


def _restore(
    clip: Clip,
    runner: Runner,
    card: Card,
    cfg: CfgNode,
    arguments: argparse.Namespace,
    scene_cuts: str | list[int],
    budget: int | None,
    say: Callable[[str], None],
) -> str:
    """Restores one clip; returns the line that tells of it."""
    footage, settings = clip.source.footage, clip.settings
    if budget is not None:
        size = (footage.height, footage.width)
        settings = fitting_tile(runner, size, settings, budget, smallest=card.smallest_tile(cfg))
        tile = f"tiles of {settings.tile[1]}x{settings.tile[0]}" if settings.tile else "whole frames"
        say(f"{clip.source.name}: {tile} of {footage.width}x{footage.height} fit into {budget >> 20} MiB")
    if clip.done:
        say(f"{clip.target}: going on behind {clip.done} frames")
    cuts = scene_cuts
    if cuts == "auto" and footage.kind != "video":
        cuts = "off"  # the pixels of a folder of frames are the papers'
    elif isinstance(cuts, list):
        cuts = [cut - clip.done + clip.lead for cut in cuts]
    said = len(clip.source.notes)
    report = Report(footage) if arguments.report else None
    start = time.perf_counter()
    try:
        with contextlib.ExitStack() as stack:
            watch = _watcher(clip, report, stack)
            rates = restore_frames(
                runner,
                clip.source,
                clip.sink,
                settings,
                sigma=clip.sigma,
                mark=marker(cuts),
                watch=watch,
                lead=clip.lead,
            )
    except (KeyboardInterrupt, SystemExit):
        say(f"{clip.target}: stopped; what is complete is kept, and --resume goes on from there")
        raise
    seconds = time.perf_counter() - start
    for note in [*clip.source.notes[said:], *clip.sink.notes]:
        say(note)
    line = (
        f"{clip.target}: {rates.frames} frames in {seconds:.1f} s, {rates.frames / seconds:.2f} frames/s ({rates})"
    )
    say(line)
    if report is not None:
        report.write(arguments.report, _facts(clip, runner, cfg, settings, rates, seconds))
        say(f"{arguments.report}: before and after")
    return line


def _watcher(clip: Clip, report: Report | None, stack: contextlib.ExitStack) -> Watcher | None:
    """What sees each frame and what became of it: the comparison and the report."""
    if report is None and clip.comparison is None:
        return None
    write = stack.enter_context(clip.comparison) if clip.comparison is not None else None
    truths = stack.enter_context(contextlib.closing(prefetch(clip.truth))) if clip.truth is not None else None

    def watch(frame: Frame, pixels: np.ndarray) -> None:
        if write is not None:
            write(frame.name, side_by_side(frame.pixels, pixels), frame)
        if report is not None:
            truth = next(truths, None) if truths is not None else None
            report.add(frame.name, frame.pixels, pixels, None if truth is None else truth.pixels)

    return watch


def _facts(
    clip: Clip, runner: Runner, cfg: CfgNode, settings: Settings, rates: Rates, seconds: float
) -> dict[str, object]:
    """What the report says beside the frames."""
    footage = clip.source.footage
    scale = f" x{runner.scale}" if runner.scale > 1 else ""
    tile = (
        f"{settings.tile[1]}x{settings.tile[0]}, overlap {settings.tile_overlap}"
        if settings.tile
        else "whole frames"
    )
    return {
        "Network": runner.name,
        "Weights": cfg.checkpoint,
        "Input": f"{clip.source.name}, {footage.width}x{footage.height}",
        "Output": f"{clip.target}, {footage.width * runner.scale}x{footage.height * runner.scale}{scale}",
        "Frames": f"{rates.frames} in {seconds:.1f} s",
        "Rates": str(rates),
        "Tiles": tile,
        "Computed in": runner.dtype,
        "Ascendvsr": __version__,
    }
