"""The command `restore`: footage of any kind, one clip or many, each as one line at the end."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.frame_sink import Sink, open_sink
from ascendcv.dataloader.frame_source import Source, open_source
from ascendcv.utils.errors import InputError
from ascendvsr.models.card import Card
from ascendvsr.restoration.jobs import STREAM, Job, check_target, find_jobs, target_of
from ascendvsr.restoration.memory import fitting_tile, read_size
from ascendvsr.restoration.restore import marker, restore_frames
from ascendvsr.restoration.runner import Runner
from ascendvsr.restoration.settings import Settings, read_settings
from ascendvsr.restoration.sigma import Sigma, read_noise_level, sigma_of


@dataclass
class Clip:
    """A clip that is to be restored, opened and checked."""

    source: Source
    target: str
    sink: Sink
    settings: Settings
    sigma: float | np.ndarray | None


def restore_clips(arguments: argparse.Namespace, cfg: CfgNode, card: Card, network: Callable[[], Runner]) -> None:
    """Restores what the command line names; `ascendvsr.cli` has its arguments.

    All that is named is opened and checked before `network()` is called, which gives the runner. Raises
    `InputError` for what cannot be done, and RuntimeError where clips of several failed: the others are restored.
    """
    scene_cuts = read_cuts(arguments.scene_cuts)
    budget = read_size(arguments.memory) if arguments.memory else None
    settings = _settings(arguments, read_settings(cfg, card), budget)
    sigma = read_noise_level(cfg, card)
    jobs, notes = find_jobs(arguments.inputs, arguments.output)
    to_stream = any(job.place == STREAM for job in jobs)
    say = _say_on(sys.stderr if to_stream else sys.stdout)
    for note in notes:
        say(note)
    clips = [_open(job, arguments, cfg, settings, sigma) for job in jobs]
    _check_targets(clips, jobs, overwrite=arguments.overwrite)
    for clip in clips:
        for note in clip.source.notes:
            say(note)
    runner = network()
    lines, failed = [], 0
    for clip in clips:
        try:
            lines.append(_restore(clip, runner, card, cfg, scene_cuts, budget, say))
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
    if text.isdecimal():
        return int(text)
    seconds = Fraction(0)
    try:
        parts = text.removesuffix("s").split(":")
        if len(parts) > 3:
            raise ValueError
        for part in parts:
            seconds = 60 * seconds + Fraction(part)
    except (ValueError, ZeroDivisionError):
        raise InputError(f"--start should be a number of frames or a time such as 1:23.5, not {text!r}") from None
    if seconds < 0:
        raise InputError(f"--start should not be before the beginning, as {text} is")
    return seconds


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
    source = open_source(
        job.source,
        stream=arguments.stream,
        start=read_start(arguments.start) if arguments.start else 0,
        frames=arguments.frames,
        deinterlace=arguments.deinterlace,
        on_error=arguments.on_error,
        hdr=arguments.hdr,
    )
    target = target_of(job, source.footage, arguments.format)
    sink = open_sink(
        target,
        like=source.footage,
        fps=source.fps or Fraction(str(cfg.inference.fps)),
        num_threads=cfg.writer_num_threads,
        queue_size=cfg.writer_queue_size,
        image_format=arguments.format,
        codec=arguments.codec,
        crf=arguments.crf,
        preset=arguments.preset,
        pixel_format=arguments.pix_fmt,
    )
    return Clip(source, target, sink, settings, sigma_of(sigma, Path(job.source).name))


def _check_targets(clips: Sequence[Clip], jobs: Sequence[Job], *, overwrite: bool) -> None:
    sources = [job.source for job in jobs]
    for clip in clips:
        check_target(clip.target, sources, overwrite=overwrite)
    targets = [str(Path(clip.target).resolve()) for clip in clips]
    for target in targets:
        if targets.count(target) > 1 and target != STREAM:
            raise InputError(f"two clips would go to {target}: restore them one by one, each to its own output")


def _restore(
    clip: Clip,
    runner: Runner,
    card: Card,
    cfg: CfgNode,
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
    cuts = scene_cuts
    if cuts == "auto" and footage.kind != "video":
        cuts = "off"  # the pixels of a folder of frames are the papers'
    said = len(clip.source.notes)
    start = time.perf_counter()
    rates = restore_frames(runner, clip.source, clip.sink, settings, sigma=clip.sigma, mark=marker(cuts))
    seconds = time.perf_counter() - start
    for note in [*clip.source.notes[said:], *clip.sink.notes]:
        say(note)
    line = (
        f"{clip.target}: {rates.frames} frames in {seconds:.1f} s, {rates.frames / seconds:.2f} frames/s ({rates})"
    )
    say(line)
    return line
