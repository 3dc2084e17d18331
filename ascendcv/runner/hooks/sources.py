"""The program that trained, kept beside what it made."""

import importlib.util
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


def write_sources(path: str | os.PathLike, packages: Sequence[str]) -> None:
    """A zip file of all files of installed packages, but for compiled Python."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in packages:
            (root,) = importlib.util.find_spec(package).submodule_search_locations
            for file in sorted(Path(root).rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    archive.write(file, Path(package) / file.relative_to(root))
