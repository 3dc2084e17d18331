"""The command `degrade`: clips made worse by a chain of steps, with a note of what was drawn."""

import argparse
import json
import operator
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from filelock import FileLock

from ascendcv.dataloader.clips import folders_of_frames
from ascendcv.dataloader.degradations import Chain, centers, read_chain
from ascendcv.dataloader.footage import Frame
from ascendcv.dataloader.frame_sink import VIDEO_SUFFIXES, open_sink
from ascendcv.dataloader.frame_source import Source, open_source
from ascendcv.dataloader.image import WRITTEN_SUFFIXES, is_image_name, to_rgb
from ascendcv.dataloader.stored import is_folder
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path
from ascendvsr.scaling.parts import Part, read_part
from ascendvsr.scaling.sharing import parts_for, run_parts
from ascendvsr.scaling.tasks import read_engine

NOTE = "degraded.json"
_RATE = Fraction(25)  # of a video that is made of pictures


def degrade(arguments: argparse.Namespace) -> None:
    """Writes what the chain makes of each clip, and `degraded.json` with steps, seed and what was drawn.

    Raises `InputError` for an unknown step, an input that cannot be read, and a result that exists.
    """
    chain = read_chain(arguments.steps)
    if arguments.sharp is not None and chain.steps[0].name != "average":
        raise InputError("--sharp is for chains that begin with average: other frames are those of the input")
    if arguments.seed < 0:
        raise InputError(f"--seed should be 0 or more, not {arguments.seed}")
    target = Path(arguments.target)
    clips = _clips(Path(arguments.source))
    is_file = _is_file(target)
    if is_file and (len(clips) > 1 or arguments.sharp is not None):
        raise InputError(f"{target} is one file: name a folder for several clips, and for what --sharp writes too")
    sources = {name: open_source(path) for name, path in clips.items()}
    part, engine = read_part(arguments.part), read_engine(arguments.cluster)
    own = part.of(list(sources)) if part else list(sources)
    for name in own:
        source = sources[name]
        _check_length(source, chain)
        for place in (target, arguments.sharp):
            if place is not None:
                _check_target(Path(place) / name, Path(arguments.source), arguments.overwrite)
    if engine:
        run_parts("ascendvsr.preparation.degrade:degrade", arguments, parts_for(engine, len(clips)), engine)
        return
    told = []
    for number, (name, source) in enumerate(sources.items()):
        if name not in own:
            continue
        drawn, count = _degrade_clip(source, chain, [arguments.seed, number], target / name)
        told.append({"name": name or target.name, "frames": count, "drawn": drawn})
        if arguments.sharp is not None:
            _write_centers(source, chain, Path(arguments.sharp) / name)
        for line in source.notes:
            print(line)
        print(f"{target / name}: {count} frames", flush=True)
    note = target.with_name(f"{target.name}.{NOTE}") if is_file else target / NOTE
    report = {"input": str(arguments.source), "steps": arguments.steps, "seed": arguments.seed, "clips": told}
    _write_note(note, report, part, list(sources))


def _write_note(note: Path, report: dict[str, object], part: Part | None, names: list[str]) -> None:
    """Writes the note; of a part its own, and that of the whole once all parts have theirs."""
    own = note if part is None else _note_of(note, part)
    with atomic_path(own) as temporary:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=True) + "\n")
    if part is None:
        return
    files = [_note_of(note, Part(number, part.count)) for number in range(1, part.count + 1)]
    with FileLock(note.with_name(f".{note.name}.lock")):
        if not all(file.exists() for file in files):
            return
        reports = [json.loads(file.read_text()) for file in files]
        if any(other | {"clips": []} != report | {"clips": []} for other in reports):
            return  # some of them are of a run before, with other steps
        clips = {clip["name"]: clip for other in reports for clip in other["clips"]}
        ordered = [clips[name] for name in names if name in clips]
        with atomic_path(note) as temporary:
            temporary.write_text(json.dumps(report | {"clips": ordered}, indent=1, ensure_ascii=True) + "\n")
        for file in files:
            file.unlink()


def _note_of(note: Path, part: Part) -> Path:
    return note.with_name(f"{note.stem}.{part.label}.json")


def _clips(source: Path) -> dict[str, Path]:
    """The clips in the input by the folders that they get in the result; '' is the result itself."""
    if not is_folder(source):
        return {"": source}
    return folders_of_frames(source, "")


def _degrade_clip(
    source: Source, chain: Chain, seed: list[int], target: Path
) -> tuple[list[dict[str, object]], int]:
    """Writes the degraded frames; returns what was drawn, and how many there are."""
    names: list[Frame] = []

    def pixels(frames: Iterator[Frame]) -> Iterator[np.ndarray]:
        for frame in frames:
            names.append(frame)
            yield to_rgb(frame.pixels)

    degraded, drawn = chain.apply(pixels(iter(source)), np.random.default_rng(seed))
    kept = centers(_endless(names), chain)
    first = next(degraded, None)
    if first is None:
        raise InputError(f"{source.name} has no frames")
    count = 0
    with open_sink(target, fps=source.fps or _RATE, image_format=None if _is_file(target) else "png") as write:
        frame: np.ndarray | None = first
        while frame is not None:
            write(next(kept).name, frame)
            count += 1
            frame = next(degraded, None)
    return drawn, count


def _endless(frames: list[Frame]) -> Iterator[Frame]:
    """The frames of a list that grows ahead of it; what has been taken is let go of."""
    while True:
        yield frames.pop(0)


def _write_centers(source: Source, chain: Chain, target: Path) -> None:
    with open_sink(target, image_format="png") as write:
        for frame in centers(source, chain):
            write(frame.name, to_rgb(frame.pixels))


def _check_length(source: Source, chain: Chain) -> None:
    length, needed = operator.length_hint(source), chain.steps[0].settings.get("frames", 1)
    if 0 < length < needed:
        raise InputError(f"{source.name} has {length} frames, fewer than are averaged: {needed}")


def _check_target(target: Path, source: Path, overwrite: bool) -> None:
    if target.resolve() == source.resolve() or target.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{target} is in what is to be degraded: name another folder for the result")
    if overwrite:
        return
    if target.is_file():
        raise InputError(f"{target} exists: say --overwrite to replace it, or name another output")
    if target.is_dir() and any(is_image_name(path) for path in target.iterdir()):
        raise InputError(f"{target} holds frames: say --overwrite to replace those of the same names")


def _is_file(target: Path) -> bool:
    """Whether the result is a video or a picture, and no folder of pictures."""
    return target.suffix.lower() in (*VIDEO_SUFFIXES, *WRITTEN_SUFFIXES) and not target.is_dir()
