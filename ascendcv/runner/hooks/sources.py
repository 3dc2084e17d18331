"""The program that trained, kept beside what it made."""

import importlib
import os
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ascendcv.runner.hooks.hook import Hook
from ascendcv.utils.files import atomic_path


class Sources(Hook):
    """At the start of a run writes `folder/sources-<time>.zip` with the source files of `packages`."""

    def __init__(self, folder: str | os.PathLike, packages: Sequence[str]):
        self.folder = Path(folder)
        self.packages = packages

    def start(self, trainer) -> None:
        time = datetime.now().strftime("%Y%m%dT%H%M%S")
        with atomic_path(self.folder / f"sources-{time}.zip") as temporary:
            write_sources(temporary, self.packages)


_WRITTEN = (".py", ".yaml", ".html", ".cc", ".cu", ".h")


def write_sources(path: str | os.PathLike, packages: Sequence[str]) -> None:
    """A zip file of what is written by hand in installed packages: programs and settings, no weights."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in packages:
            (root,) = importlib.import_module(package).__path__
            for file in sorted(Path(root).rglob("*")):
                if file.suffix in _WRITTEN and file.is_file():
                    archive.write(file, Path(package) / file.relative_to(root))
