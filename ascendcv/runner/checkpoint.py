"""Training checkpoints as files: folders `<output_dir>/<Model>-<step>/`. Needs no TensorFlow.

A folder takes its name when it is complete, and its `meta.json` holds size and checksum of each other file,
so that a damaged one is noticed, and the score by which checkpoints are ranked.
"""

import contextlib
import json
import logging
import math
import os
import re
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_folder, remove_folder

META = "meta.json"

logger = logging.getLogger(__name__)


class CheckpointStore:
    """The checkpoints of the network `name` in `output_dir`.

    The `keep` newest (0: all) and the `keep_best` with the highest scores (with `lowest`: the lowest) stay.
    """

    def __init__(
        self, output_dir: str | os.PathLike, name: str, keep: int = 0, keep_best: int = 1, lowest: bool = False
    ):
        self.output_dir = Path(output_dir)
        self.name = name
        self.keep = keep
        self.keep_best = keep_best
        self.lowest = lowest

    def path(self, step: int) -> Path:
        """Where the checkpoint of `step` is."""
        return self.output_dir / f"{self.name}-{step}"

    def steps(self) -> list[int]:
        """Steps that have a complete checkpoint, ascending. Folders without `meta.json` are not complete."""
        pattern = re.compile(re.escape(self.name) + r"-(\d+)")
        matches = [pattern.fullmatch(folder.parent.name) for folder in self.output_dir.glob(f"*/{META}")]
        return sorted(int(match[1]) for match in matches if match)

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole; None without any.

        A damaged one is skipped with a warning. Raises `InputError` where all are damaged.
        """
        folders = [self.path(step) for step in reversed(self.steps())]
        return first_whole(folders) if folders else None

    def write(self, step: int, fill: Callable[[Path], dict[str, Any]], score: float | None = None) -> Path:
        """Adds a checkpoint: `fill(folder)` writes its files and returns what `meta.json` keeps."""
        with atomic_folder(self.path(step)) as folder:
            meta = fill(folder)
            files = {file.name: _fingerprint(file) for file in sorted(folder.iterdir())}
            noted = {} if score is None or math.isnan(score) else {"score": score}
            (folder / META).write_text(json.dumps(meta | noted | {"step": step, "files": files}, indent=1))
        self._prune(step)
        return self.path(step)

    def ranking(self) -> list[tuple[int, float]]:
        """Step and score of the checkpoints that have a score, the best first; of equal ones the earlier."""
        scores = []
        for step in self.steps():
            with contextlib.suppress(InputError):  # damaged
                score = read_meta(self.path(step)).get("score")
                scores += [] if score is None else [(step, score)]
        return sorted(scores, key=lambda entry: entry[1] if self.lowest else -entry[1])

    def best(self) -> tuple[int, float] | None:
        """Step and score of the best checkpoint; None where none has a score."""
        return next(iter(self.ranking()), None)

    def better(self, score: float, other: float) -> bool:
        """Whether `score` ranks before `other`."""
        return score < other if self.lowest else score > other

    def is_worthy(self, score: float) -> bool:
        """Whether a checkpoint with this score would be among the `keep_best` best."""
        if not self.keep_best or math.isnan(score):
            return False
        kept = self.ranking()[: self.keep_best]
        return len(kept) < self.keep_best or self.better(score, kept[-1][1])

    def remove_leftovers(self) -> None:
        """Removes what a killed process left of a checkpoint that it was writing."""
        for folder in self.output_dir.glob(f".tmp-*-{self.name}-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _prune(self, newest: int) -> None:
        """Removes what need not be kept once there is `newest`; later steps are damaged, and not counted."""
        best = {step for step, _ in self.ranking()[: self.keep_best]}
        steps = [step for step in self.steps() if step <= newest]
        for step in steps[: -self.keep] if self.keep else []:
            if step not in best:
                remove_folder(self.path(step))


def find_checkpoint(output_dir: str | os.PathLike, which: str, name: str = "", lowest: bool = False) -> Path:
    """The checkpoint of a run that `which` names: 'best', 'latest', 'epoch:N' or 'step:N'.

    Args:
        output_dir: the run's folder.
        which: by its score, its step, or the epoch that was complete when it was written.
        name: the network; '': the only one that has checkpoints there.
        lowest: the best score is the lowest.
    Raises:
        InputError: there is none such; the message lists what there is.
    """
    folders = Path(output_dir).glob(f"*-*/{META}")
    names = sorted({folder.parent.name.rpartition("-")[0] for folder in folders})
    if not name and len(names) > 1:
        raise InputError(f"{output_dir} holds checkpoints of {' and '.join(names)}: give the path of one of them")
    store = CheckpointStore(output_dir, name or "".join(names), lowest=lowest)
    steps = store.steps()
    if not steps:
        of = f" of {name}" if name else ""
        raise InputError(f"there is no checkpoint {which!r} in {output_dir}: it holds none{of}")
    if which == "latest":
        return first_whole([store.path(step) for step in reversed(steps)])
    if which == "best":
        ranked = [store.path(step) for step, _ in store.ranking()]
        if not ranked:
            raise InputError(f"no checkpoint in {output_dir} has a score: the run was not validated; say latest")
        return first_whole(ranked)
    if which.startswith("step:"):
        if which.removeprefix("step:") not in map(str, steps):
            there = ", ".join(map(str, steps))
            raise InputError(f"{output_dir} holds no checkpoint {which!r}; there are the steps {there}")
        return store.path(int(which.removeprefix("step:")))
    epochs = {read_meta(store.path(step)).get("epoch", 0): step for step in reversed(steps)}
    wanted = which.removeprefix("epoch:")
    if not wanted.isdecimal() or int(wanted) not in epochs:
        there = ", ".join(str(epoch) for epoch in sorted(epochs))
        raise InputError(f"{output_dir} holds no checkpoint {which!r}; there are the epochs {there}")
    return store.path(epochs[int(wanted)])


def first_whole(folders: Sequence[Path]) -> Path:
    """The first of these checkpoints that is whole.

    Each damaged one is skipped with a warning. Raises `InputError` where all are damaged.
    """
    for folder in folders:
        problem = damage(folder)
        if not problem:
            return folder
        logger.warning("The checkpoint %s is damaged (%s): going back to the one before", folder, problem)
    raise InputError(
        f"all checkpoints in {folder.parent} are damaged (in {folder.name} {problem}); remove them to start again"
    )


def read_meta(folder: Path) -> dict[str, Any]:
    """`meta.json` of a checkpoint. Raises `InputError` where it is not readable."""
    try:
        return json.loads((folder / META).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no complete training checkpoint: cannot read {META} ({error})") from error


def damage(folder: Path, file: str = "") -> str:
    """What is wrong with a checkpoint's files, or with one of them (if it is one that was written there), or ''."""
    try:
        files = dict(read_meta(folder)["files"])
    except (InputError, LookupError, TypeError, ValueError):
        return "" if file else f"{META} is not readable"
    for name, expected in files.items():
        if file and name != file:
            continue
        if not (folder / name).is_file():
            return f"{name} is missing"
        if _fingerprint(folder / name) != expected:
            return f"{name} is not what was written"
    return ""


def _fingerprint(path: Path) -> dict[str, int]:
    checksum, size = 0, 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            checksum, size = zlib.crc32(block, checksum), size + len(block)
    return {"bytes": size, "crc32": checksum}
