"""The command `join`: one video of the parts that processes have restored apart."""

import argparse
from pathlib import Path

from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.segments import join_parts, read_parts, segment_folder
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.command import read_start
from ascendvsr.restoration.jobs import check_target


def join(arguments: argparse.Namespace) -> None:
    """Runs the command; `ascendvsr.cli` has its arguments.

    All parts of all outputs are looked for before anything is written. Sound, subtitles and metadata come from the
    source, whose place the parts have noted. Raises `InputError` for parts that are missing.
    """
    targets = [_target(name) for name in arguments.outputs]
    jobs = [read_parts(segment_folder(target))["job"] for target in targets]
    sources = []
    for target, job in zip(targets, jobs, strict=True):
        check_target(str(target), [job["source"]], overwrite=arguments.overwrite)
        sources.append(
            open_source(
                job["source"],
                stream=job["stream"],
                start=read_start(job["start"]) if job["start"] else 0,
                frames=job["frames"],
                deinterlace=job["deinterlace"],
                on_error=job["on_error"],
            )
        )
    for target, source in zip(targets, sources, strict=True):
        notes: list[str] = []
        count = join_parts(target, source.footage, notes)
        for note in notes:
            print(note)
        print(f"{target}: {count} frames")


def _target(name: str) -> Path:
    """The video that is meant; the folder of its segments means it, too."""
    path = Path(name)
    if path.is_dir():
        if path.name.startswith(".") and path.name.endswith(".segments"):
            return path.with_name(path.name[1 : -len(".segments")])
        raise InputError(f"{name} is a folder: frames need no joining, parts write them there by their names")
    return path
