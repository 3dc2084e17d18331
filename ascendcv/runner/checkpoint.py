"""Training checkpoints as files: folders `<output_dir>/<Model>-<step>/`. Needs no TensorFlow.

A folder takes its name when it is complete, and its `meta.json` holds size and checksum of each other file,
so that a damaged one is noticed. `best.json` beside the folders names the one with the best validation score.
"""

import json
import logging
import os
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_folder, atomic_path

META = "meta.json"
_BEST = "best.json"

logger = logging.getLogger(__name__)


class CheckpointStore:
    """The checkpoints of the network `name` in `output_dir`; the `keep` newest (0: all) and the best stay."""

    def __init__(self, output_dir: str | os.PathLike, name: str, keep: int = 0):
        self.output_dir = Path(output_dir)
        self.name = name
        self.keep = keep

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
        steps = self.steps()
        for step in reversed(steps):
            problem = damage(self.path(step))
            if not problem:
                return self.path(step)
            logger.warning(
                "The checkpoint %s is damaged (%s): going back to the one before", self.path(step), problem
            )
        if steps:
            raise InputError(
                f"all checkpoints in {self.output_dir} are damaged (in {self.path(step).name} {problem}); "
                "remove them to start again"
            )
        return None

    def write(self, step: int, fill: Callable[[Path], dict[str, Any]]) -> Path:
        """Adds a checkpoint: `fill(folder)` writes its files and returns what `meta.json` keeps."""
        with atomic_folder(self.path(step)) as folder:
            meta = fill(folder)
            files = {file.name: _fingerprint(file) for file in sorted(folder.iterdir())}
            (folder / META).write_text(json.dumps(meta | {"step": step, "files": files}, indent=1))
        self._prune(step)
        return self.path(step)

    def mark_best(self, step: int, score: float) -> None:
        """Notes that the checkpoint of `step` has the best score so far, so that it is kept."""
        with atomic_path(self.output_dir / _BEST) as temporary:
            note = {"checkpoint": self.path(step).name, "step": step, "score": score}
            temporary.write_text(json.dumps(note))
        self._prune(step)

    def best(self) -> tuple[int, float] | None:
        """Step and score of the best checkpoint; None where none was marked."""
        try:
            note = json.loads((self.output_dir / _BEST).read_text())
        except FileNotFoundError:
            return None
        return note["step"], note["score"]

    def remove_leftovers(self) -> None:
        """Removes what a killed process left of a checkpoint that it was writing."""
        for folder in self.output_dir.glob(f".tmp-*-{self.name}-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _prune(self, newest: int) -> None:
        """Removes what need not be kept once there is `newest`; later steps are damaged, and not counted."""
        best = self.best()
        steps = [step for step in self.steps() if step <= newest]
        for step in steps[: -self.keep] if self.keep else []:
            if best is None or step != best[0]:
                shutil.rmtree(self.path(step))


def read_meta(folder: Path) -> dict[str, Any]:
    """`meta.json` of a checkpoint. Raises `InputError` where it is not readable."""
    try:
        return json.loads((folder / META).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no complete training checkpoint: cannot read {META} ({error})") from error


def damage(folder: Path) -> str:
    """What is wrong with a checkpoint's files, or ''."""
    try:
        files = read_meta(folder)["files"]
    except InputError:
        return f"{META} is not readable"
    for name, expected in files.items():
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
