"""The command `restore`: footage of any kind, one clip or many, each as one line at the end."""

import argparse
import contextlib
import itertools
import operator
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
from ascendcv.dataloader.segments import PartOfVideo, frames_done, open_segmented
from ascendcv.utils.errors import InputError
from ascendvsr import __version__
from ascendvsr.models.card import Card
from ascendvsr.restoration.compare import comparison_sink, side_by_side
from ascendvsr.restoration.jobs import STREAM, Job, check_target, find_jobs, target_of, truths_of
from ascendvsr.restoration.memory import fitting_tile, read_size
from ascendvsr.restoration.on_cluster import Divided, restore_on
from ascendvsr.restoration.parts import AROUND, Piece, cut_into, parts_of
from ascendvsr.restoration.progress import Rates
from ascendvsr.restoration.quality import Quality
from ascendvsr.restoration.report import Report
from ascendvsr.restoration.restore import Watcher, marker, restore_frames
from ascendvsr.restoration.runner import Runner
from ascendvsr.restoration.runtimes import Exported
from ascendvsr.restoration.settings import Settings, read_settings
from ascendvsr.restoration.sigma import Sigma, read_noise_level, sigma_of
from ascendvsr.scaling.parts import read_part
from ascendvsr.scaling.tasks import Engine, read_engine


@dataclass
class Clip:
    """A clip that is to be restored, opened and checked.

    Attributes:
        source: the frames that are left to do, with `lead` of them at the beginning that the network only sees.
        whole: all of its frames.
        facts: what makes two runs the same.
        is_video: whether the target is a video, which is made in segments.
        piece: the part of it that is restored; None: all.
        done: how many frames of that an earlier run has restored.
        begin: the number of the first frame that is left to do.
        count: how many are left, where the source has some behind them to be seen, too; None: all of it.
        truth: the ground truth.
        comparison: where frames go beside what became of them.
    """

    source: Source
    target: str
    sink: Sink
    settings: Settings
    sigma: float | np.ndarray | None
    whole: Source
    facts: dict[str, object]
    is_video: bool
    piece: Piece | None = None
    done: int = 0
    begin: int = 0
    lead: int = 0
    count: int | None = None
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
    if arguments.report:
        _check_report(arguments, jobs)
    part, engine = read_part(arguments.part), read_engine(arguments.cluster, arguments.devices)
    if part or engine:
        _check_divided(arguments, jobs)
    truths = truths_of(jobs, arguments.gt) if arguments.gt else []
    if engine:
        _restore_on(engine, jobs, arguments, cfg, settings, sigma, scene_cuts, say)
        return
    pieces: list[Piece | None] = [None] * len(jobs)
    if part and len(jobs) > 1:
        jobs = part.of(jobs)
        say(f"part {part}: {len(jobs)} clips" if jobs else f"part {part} has none of the clips")
    elif part:
        pieces = [_divide(jobs[0], part.count, arguments, scene_cuts)(part.number)]
    clips = [_open(job, arguments, cfg, settings, sigma, piece) for job, piece in zip(jobs, pieces, strict=False)]
    for clip, truth in zip(clips, truths, strict=False):
        clip.truth = open_source(truth, start=_first(arguments) + clip.done)
    if not clips:
        return
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


def restore_piece(
    arguments: argparse.Namespace,
    cfg: CfgNode,
    card: Card,
    runner: Runner,
    exported: Exported | None,
    job: Job,
    piece: Piece | None,
) -> int:
    """Restores a piece of one clip, or all of it, and says nothing; gives how many frames it has."""
    budget = read_size(arguments.memory) if arguments.memory else None
    settings = _settings(arguments, read_settings(cfg, card), budget)
    if exported is not None:
        settings = exported.fitted(settings)
    clip = _open(job, arguments, cfg, settings, read_noise_level(cfg, card), piece)
    if budget is not None:
        clip.settings = _fitting(clip, runner, card, cfg, budget)
    return _run(clip, runner, read_cuts(arguments.scene_cuts), progress=False).frames


def _fitting(clip: Clip, runner: Runner, card: Card, cfg: CfgNode, budget: int) -> Settings:
    """The clip's settings with the largest tile that fits into a budget of bytes."""
    footage, smallest = clip.source.footage, card.smallest_tile(cfg)
    size = (footage.height, footage.width)
    return fitting_tile(runner, size, clip.settings, budget, smallest=smallest, bits=footage.bits)


def _check_divided(arguments: argparse.Namespace, jobs: Sequence[Job]) -> None:
    for option in ("report", "gt", "compare"):
        if getattr(arguments, option):
            raise InputError(f"--{option} is of a whole clip: leave it out where parts are restored apart")
    if arguments.part and (arguments.cluster or arguments.devices):
        raise InputError(
            "--part is for a queue that runs all parts, --cluster and --devices share them out: say one"
        )
    if any(STREAM in (job.source, job.place) for job in jobs):
        raise InputError("a stream has no parts: restore it in one process")


def _divide(
    job: Job, count: int, arguments: argparse.Namespace, scene_cuts: str | list[int]
) -> Callable[[int], Piece]:
    """The pieces of a clip by their number."""
    start = _first(arguments)
    if not isinstance(start, int):
        raise InputError("parts are counted in frames: give --start as a number of them")

    def opened(first: int | Fraction, frames: int | None) -> Source:
        return _source(job, arguments, start + first, frames)

    source = _source(job, arguments, start, arguments.frames)
    if source.footage.kind not in ("video", "pictures"):
        raise InputError(f"{job.source}: parts are of videos and folders of frames")
    cuts = "off" if scene_cuts == "auto" and source.footage.kind != "video" else scene_cuts
    return cut_into(source, count, cuts, opened)


def _restore_on(
    engine: Engine,
    jobs: Sequence[Job],
    arguments: argparse.Namespace,
    cfg: CfgNode,
    settings: Settings,
    sigma: Sigma,
    scene_cuts: str | list[int],
    say: Callable[[str], None],
) -> None:
    """Restores the clips on a cluster."""
    begin, divided = time.perf_counter(), []
    from_the_start = argparse.Namespace(**vars(arguments) | {"resume": False})
    clips = [_open(job, from_the_start, cfg, settings, sigma) for job in jobs]
    _check_targets(clips, jobs, overwrite=arguments.overwrite, resume=arguments.resume)
    for job, clip in zip(jobs, clips, strict=True):
        for note in clip.whole.notes:
            say(note)
        count = parts_of(clip.whole) if clip.whole.footage.kind in ("video", "pictures") else 1
        pieces = _divide(job, count, arguments, scene_cuts) if count > 1 or clip.is_video else None
        divided.append(Divided(job, clip, count, pieces))
    restore_on(engine, divided, arguments, say)
    frames, seconds = sum(operator.length_hint(clip.whole) for clip in clips), time.perf_counter() - begin
    say(f"{frames} frames of {len(clips)} clips in {seconds:.1f} s, {frames / seconds:.2f} frames/s")


def _source(job: Job, arguments: argparse.Namespace, start: int | Fraction, frames: int | None) -> Source:
    """Frames of a clip, read as the command line says."""
    return open_source(
        job.source,
        stream=arguments.stream,
        start=start,
        frames=frames,
        deinterlace=arguments.deinterlace,
        on_error=arguments.on_error,
        hdr=arguments.hdr,
    )


def _check_report(arguments: argparse.Namespace, jobs: Sequence[Job]) -> None:
    if len(jobs) > 1:
        raise InputError("--report is of one clip: name one")
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


def _first(arguments: argparse.Namespace) -> int | Fraction:
    """Where the command line says to begin: a frame, or seconds."""
    return read_start(arguments.start) if arguments.start else 0


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


def _open(
    job: Job,
    arguments: argparse.Namespace,
    cfg: CfgNode,
    settings: Settings,
    sigma: Sigma,
    piece: Piece | None = None,
) -> Clip:
    """A clip, or a piece of it, behind what an earlier run has done of it."""
    start = _first(arguments)
    source = whole = _source(job, arguments, start, arguments.frames)
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
    part = piece.of_video(whole.footage.offset) if piece else None
    done = _frames_done(target, source, facts, is_video, piece, part) if arguments.resume else 0
    begin, stop = done + (piece.first if piece else 0), piece.stop if piece else None
    lead = min(AROUND, begin)
    if begin or stop is not None:
        if not isinstance(start, int):
            raise InputError("--resume and --part count frames: give --start as a number of them")
        ends = [end for end in (arguments.frames, None if stop is None else stop + AROUND) if end is not None]
        source = _source(job, arguments, start + begin - lead, min(ends) - begin + lead if ends else None)
    if is_video:
        sink = open_segmented(target, facts, like=source.footage, resume=bool(done), part=part, **writing)
    else:
        sink = open_sink(
            target,
            like=source.footage,
            num_threads=cfg.writer_num_threads,
            queue_size=cfg.writer_queue_size,
            image_format=arguments.format,
            **writing,
        )
    level = sigma_of(sigma, Path(job.source).name)
    clip = Clip(source, target, sink, settings, level, whole, facts, is_video, piece, done, begin, lead)
    clip.count = None if stop is None else stop - begin
    if arguments.compare:
        clip.comparison = comparison_sink(target, like=source.footage, **writing)
    return clip


def _job_facts(job: Job, arguments: argparse.Namespace, cfg: CfgNode) -> dict[str, object]:
    """What makes two runs the same, so that one can go on where the other stopped."""
    options = ("start", "frames", "stream", "tile", "tile_overlap", "scene_cuts", "deinterlace", "codec", "crf")
    facts = {name: getattr(arguments, name) for name in (*options, "preset", "pix_fmt", "on_error", "sigma")}
    return facts | {"source": os.path.abspath(job.source), "checkpoint": cfg.checkpoint}


def _frames_done(
    target: str,
    source: Source,
    facts: dict[str, object],
    is_video: bool,
    piece: Piece | None,
    part: PartOfVideo | None,
) -> int:
    """How many frames an earlier run has restored: of a video in whole segments, of a folder one by one."""
    path = Path(target)
    if is_video:
        return 0 if path.exists() and part is None else frames_done(path, facts, part)
    if not path.is_dir() or not isinstance(source, ImageSource):
        return 0
    there = {entry.stem for entry in path.iterdir() if is_image_name(entry)}
    return sum(1 for _ in itertools.takewhile(lambda name: name in there, _names(source, piece)))


def _names(source: ImageSource, piece: Piece | None) -> list[str]:
    """The names of the frames of a folder, or of a piece of it."""
    paths = source.paths if piece is None else source.paths[piece.first : piece.stop]
    return [path.stem for path in paths]


def _check_targets(clips: Sequence[Clip], jobs: Sequence[Job], *, overwrite: bool, resume: bool) -> None:
    sources = [job.source for job in jobs]
    for clip in clips:
        goes_on = (resume or clip.piece) and Path(clip.target).is_dir()
        check_target(clip.target, sources, overwrite=overwrite or bool(goes_on))
        if goes_on and not (resume or overwrite) and isinstance(clip.whole, ImageSource):
            own = set(_names(clip.whole, clip.piece))
            if held := [entry for entry in Path(clip.target).iterdir() if entry.stem in own]:
                raise InputError(
                    f"{clip.target} holds frames of this part ({held[0].name} ...): say --overwrite to replace "
                    "them, or --resume to go on behind them"
                )
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
        settings = _fitting(clip, runner, card, cfg, budget)
        tile = f"tiles of {settings.tile[1]}x{settings.tile[0]}" if settings.tile else "whole frames"
        say(f"{clip.source.name}: {tile} of {footage.width}x{footage.height} fit into {budget >> 20} MiB")
    if clip.done:
        say(f"{clip.target}: going on behind {clip.done} frames")
    said = len(clip.source.notes)
    report = Report(footage) if arguments.report else None
    quality = report.quality if report is not None else Quality()
    start = time.perf_counter()
    clip.settings = settings
    try:
        with contextlib.ExitStack() as stack:
            rates = _run(clip, runner, scene_cuts, _watcher(clip, report, quality, stack))
    except (KeyboardInterrupt, SystemExit):
        say(f"{clip.target}: stopped; what is complete is kept, and --resume goes on from there")
        raise
    seconds = time.perf_counter() - start
    for note in [*clip.source.notes[said:], *clip.sink.notes]:
        say(note)
    line = (
        f"{clip.target}: {rates.frames} frames in {seconds:.1f} s, {rates.frames / seconds:.2f} frames/s ({rates})"
    )
    if clip.piece is not None:
        line = f"part {clip.piece.number}/{clip.piece.count} of {line}"
    say(line)
    if str(quality):
        say(f"{clip.target}: {quality}")
        line = f"{line}\n    {quality}"
    if clip.piece is not None and clip.is_video:
        say(f"`ascendvsr join {clip.target}` joins the parts once all are there")
    if report is not None:
        report.write(arguments.report, _facts(clip, runner, cfg, settings, rates, seconds))
        say(f"{arguments.report}: before and after")
    return line


def _run(
    clip: Clip,
    runner: Runner,
    scene_cuts: str | list[int],
    watch: Watcher | None = None,
    progress: bool = True,
) -> Rates:
    """Restores what is left to do of a clip."""
    cuts = scene_cuts
    if cuts == "auto" and clip.source.footage.kind != "video":
        cuts = "off"  # the pixels of a folder of frames are the papers'
    elif isinstance(cuts, list):
        cuts = [cut - clip.begin + clip.lead for cut in cuts]
    return restore_frames(
        runner,
        clip.source,
        clip.sink,
        clip.settings,
        sigma=clip.sigma,
        mark=marker(cuts),
        watch=watch,
        lead=clip.lead,
        count=clip.count,
        progress=progress,
    )


def _watcher(clip: Clip, report: Report | None, quality: Quality, stack: contextlib.ExitStack) -> Watcher | None:
    """What sees each frame and what became of it: the comparison, the report and the measures."""
    if report is None and clip.comparison is None and clip.truth is None:
        return None
    write = stack.enter_context(clip.comparison) if clip.comparison is not None else None
    truths = stack.enter_context(contextlib.closing(prefetch(clip.truth))) if clip.truth is not None else None

    def watch(frame: Frame, pixels: np.ndarray) -> None:
        if write is not None:
            write(frame.name, side_by_side(frame.pixels, pixels), frame)
        truth = next(truths, None) if truths is not None else None
        if report is not None:
            report.add(frame.name, frame.pixels, pixels, None if truth is None else truth.pixels)
        elif truth is not None:
            quality.add(quality.count, frame.name, frame.pixels, pixels, truth.pixels)

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
