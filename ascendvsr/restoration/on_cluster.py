"""`restore --cluster` and `--devices`: parts of clips as tasks of worker processes, which keep their network."""

import argparse
import json
import operator
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ascendcv.dataloader.segments import join_parts, part_is_complete, segment_folder
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.jobs import Job
from ascendvsr.restoration.parts import Piece
from ascendvsr.scaling.tasks import Engine, run_tasks, with_threads

if TYPE_CHECKING:
    from ascendvsr.restoration.command import Clip


@dataclass
class Divided:
    """A clip that a cluster restores.

    Attributes:
        count: into how many pieces it is divided.
        pieces: the piece of a number, from 1; None: the clip is one task, and nothing is joined.
    """

    job: Job
    clip: "Clip"
    count: int
    pieces: Callable[[int], Piece] | None

    def is_done(self, piece: Piece) -> bool:
        """Whether an earlier run has made it; of a folder of frames its task finds out."""
        clip = self.clip
        part = piece.of_video(clip.whole.footage.offset)
        return clip.is_video and part_is_complete(Path(clip.target), clip.facts, part)

    def join(self) -> str:
        """Makes one file of the pieces; gives the line that tells of the clip."""
        notes: list[str] = []
        if self.pieces and self.clip.is_video:
            join_parts(Path(self.clip.target), self.clip.whole.footage, notes)
        return "\n".join([*notes, f"{self.clip.target}: restored in {self.count} parts"])


def restore_on(
    engine: Engine, clips: Sequence[Divided], arguments: argparse.Namespace, say: Callable[[str], None]
) -> None:
    """Restores the pieces of all clips on the workers, and tells of each clip as it is complete.

    A worker loads the network once. Pieces are written beside the target, in a folder that all hosts share, and
    joined here; those that are complete are not made again with `--resume`. A clip that cannot be restored is said,
    and the others go on; raises `InputError` where it is the only one, and RuntimeError at the end of several.
    """
    settings = with_threads(arguments.settings, engine)
    common = vars(arguments) | {"settings": settings, "cluster": None, "devices": None}
    asked: list[Divided] = []
    problems: dict[str, str] = {}

    def tasks() -> Iterator[dict[str, Any]]:
        for divided in clips:
            if not arguments.resume and divided.clip.is_video:
                shutil.rmtree(segment_folder(Path(divided.clip.target)), ignore_errors=True)
            for number in range(1, divided.count + 1):
                piece = divided.pieces(number) if divided.pieces else None
                if piece and arguments.resume and divided.is_done(piece):
                    continue
                asked.append(divided)
                # A task that a dying worker had done already may be begun again: what is complete stays.
                resume = {"resume": arguments.resume or divided.clip.is_video}
                yield {
                    "arguments": common | resume,
                    "folder": os.getcwd(),
                    "job": asdict(divided.job),
                    "piece": asdict(piece) if piece else None,
                }

    left = list(clips)
    total = sum(operator.length_hint(divided.clip.whole) for divided in clips)
    with tqdm(
        desc="restoring", total=total or None, unit="frame", leave=False, disable=not sys.stderr.isatty()
    ) as bar:

        def done(index: int, result: tuple[int, str]) -> None:
            bar.update(result[0])

        results = run_tasks(restore_task, tasks(), engine, done=done, say=say)
        for index, (_, problem) in enumerate(results):
            # Clips before the one that this task belongs to are complete: results come in order.
            while left[0] is not asked[index]:
                _finish(left.pop(0), problems, say)
            if problem:
                problems.setdefault(asked[index].clip.target, problem)
        for divided in left:
            _finish(divided, problems, say)
    if problems and len(clips) == 1:
        raise InputError(problems[clips[0].clip.target])
    if problems:
        raise RuntimeError(f"{len(problems)} of {len(clips)} clips could not be restored")


def _finish(divided: Divided, problems: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Joins a clip whose pieces are all done, or says why it cannot be."""
    target = divided.clip.target
    say(f"{target}: not restored: {problems[target]}" if target in problems else divided.join())


_kept: dict[str, tuple] = {}
_one_at_a_time = threading.Lock()


def restore_task(task: dict[str, Any]) -> tuple[int, str]:
    """Restores a piece of a clip in a worker process; gives how many frames it has, and what went wrong or ''."""
    from ascendvsr.commands import restorer
    from ascendvsr.restoration.command import restore_piece

    with _one_at_a_time:
        os.chdir(task["folder"])
        arguments = argparse.Namespace(**task["arguments"])
        key = json.dumps(task["arguments"] | {"resume": None}, sort_keys=True, default=str)
        if key not in _kept:
            _kept.clear()
            cfg, card, network, exported = restorer(arguments)
            _kept[key] = (cfg, card, network(), exported)
        cfg, card, runner, exported = _kept[key]
        piece = Piece(**task["piece"]) if task["piece"] else None
        try:
            return restore_piece(arguments, cfg, card, runner, exported, Job(**task["job"]), piece), ""
        except (InputError, OSError) as error:
            return 0, str(error)
