"""Frames in folders and in LMDB files, read alike.

A path may lead into an LMDB as it leads into a folder: where `train.lmdb` is an environment (a folder with
data.mdb), `train.lmdb/000/00000000.png` is the frame of key 000/00000000 and `train.lmdb/000` a folder of frames.
All that lists or reads frames uses the functions below, so that an LMDB stands wherever a folder may.
"""

import io
import os
import threading
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from ascendcv.dataloader.lmdb_file import Lmdb
from ascendcv.utils.errors import InputError

_SUFFIX = ".png"  # what BasicSR and KAIR keep, whatever the frames were before


class _Environment(NamedTuple):
    """An LMDB: what is in it, as folders."""

    root: Path
    lmdb: Lmdb
    folders: dict[str, list[str]]  # the names of folders in each folder; '' is the LMDB itself
    files: dict[str, list[str]]  # the names of frames in each folder
    state: tuple[int, int]  # size and time of change of the file


_environments: dict[str, _Environment] = {}
_roots: dict[str, Path] = {}  # a folder in an LMDB -> that LMDB
_lock = threading.Lock()


def is_lmdb(path: str | os.PathLike) -> bool:
    """Whether this folder is an LMDB environment."""
    return os.path.isfile(os.path.join(path, "data.mdb"))


def in_lmdb(path: str | os.PathLike) -> Path | None:
    """The LMDB that this path is or leads into; None: it is, or would be, a place on the disk."""
    path = Path(path)
    if is_lmdb(path):
        return path
    if path.exists():
        return None
    parent = str(path.parent)
    if parent not in _roots:
        root = next((folder for folder in path.parents if is_lmdb(folder)), None)
        if root is None:
            return None
        _roots[parent] = root
    return _roots[parent]


def is_folder(path: str | os.PathLike) -> bool:
    """Whether it is a folder, on the disk or in an LMDB."""
    root = in_lmdb(path)
    if root is None:
        return os.path.isdir(path)
    return _inside(path, root) in _environment(root).folders


def entries(folder: str | os.PathLike) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, in no order; of an LMDB, its frames. Raises OSError without one."""
    folder = Path(folder)
    root = in_lmdb(folder)
    if root is not None:
        environment, inside = _environment(root), _inside(folder, root)
        if inside not in environment.folders:
            raise FileNotFoundError(f"{folder} is not in {root}")
        return [folder / name for name in environment.folders[inside]], [
            folder / name for name in environment.files[inside]
        ]
    folders, files = [], []
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir():
                folders.append(folder / entry.name)
            elif entry.is_file():
                files.append(folder / entry.name)
    return folders, files


def open_frame(path: str | os.PathLike) -> BinaryIO:
    """A file, or the value in an LMDB, to be read. Raises OSError as `open`, `InputError` for a damaged LMDB."""
    try:
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError):
        root = in_lmdb(path)
        if root is None:
            raise
    environment, inside = _environment(root), _inside(path, root)
    for key in (inside, inside.removesuffix(_SUFFIX)):
        if key in environment.lmdb.places:
            return io.BytesIO(environment.lmdb.read(key))
    raise FileNotFoundError(f"{root} has no key {inside.removesuffix(_SUFFIX)}")


def state_of(path: str | os.PathLike) -> tuple[int, int]:
    """Size and time of change (ns) of the file, or of the LMDB, that holds a frame."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        root = in_lmdb(path)
        if root is None:
            raise
        status = os.stat(root / "data.mdb")
    return status.st_size, status.st_mtime_ns


def keys_of(lmdb: str | os.PathLike) -> Collection[str]:
    """The keys of an LMDB. Raises `InputError` for a damaged one."""
    return _environment(Path(lmdb)).lmdb.places.keys()


def folder_or_lmdb(path: str | os.PathLike) -> Path:
    """The folder itself, or where there is none but an LMDB of its name and .lmdb, that."""
    path = Path(path)
    beside = path.with_name(f"{path.name}.lmdb") if path.name else path
    return beside if not is_folder(path) and is_lmdb(beside) else path


def _inside(path: str | os.PathLike, root: Path) -> str:
    inside = Path(path).relative_to(root).as_posix()
    return "" if inside == "." else inside


def _environment(root: Path) -> _Environment:
    """The LMDB in `root`, read once as long as it does not change."""
    state = state_of(root / "data.mdb")
    with _lock:
        known = _environments.get(str(root))
        if known is None or known.state != state:
            known = _environments[str(root)] = _read(root, state)
    return known


def _read(root: Path, state: tuple[int, int]) -> _Environment:
    lmdb = Lmdb(root)
    folders, files, known = defaultdict(list), defaultdict(list), {""}
    for key in lmdb.places:
        place = PurePosixPath(key)
        if str(place) != key or place.is_absolute() or ".." in place.parts or "\0" in key:
            raise InputError(f"{root} has a key that is no place in a folder: {key!r}")
        folder, _, name = key.rpartition("/")
        files[folder].append(name if place.suffix.lower() == _SUFFIX else name + _SUFFIX)
        while folder not in known:
            known.add(folder)
            above, _, name = folder.rpartition("/")
            folders[above].append(name)
            folder = above
    return _Environment(
        root, lmdb, {name: folders[name] for name in known}, {name: files[name] for name in known}, state
    )
