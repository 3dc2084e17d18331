"""Frames in folders and in packed files, LMDB and TFRecord, read alike.

A path may lead into an LMDB as it leads into a folder: where `train.lmdb` is an environment (a folder with
data.mdb), `train.lmdb/000/00000000.png` is the frame of key 000/00000000 and `train.lmdb/000` a folder of frames;
so it is with the file `train.tfrecord`. All that lists or reads frames uses the functions below, so that a packed
file stands wherever a folder may.
"""

import io
import os
import threading
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast

from ascendcv.dataloader.lmdb_file import Lmdb
from ascendcv.dataloader.tfrecord_file import TfRecords
from ascendcv.utils.errors import InputError

_TFRECORD = ".tfrecord"
_BUFFER = 4096
_SUFFIX = ".png"  # what BasicSR and KAIR keep, whatever the frames were before


class _Packed(NamedTuple):
    """A packed file: what is in it, as folders."""

    file: Lmdb | TfRecords
    folders: dict[str, list[str]]  # the names of folders in each folder; '' is the packed file itself
    files: dict[str, list[str]]  # the names of frames in each folder
    state: tuple[int, int]  # size and time of change of the file


class _Value(io.RawIOBase):
    """A value as a file, of which only what is asked for is read: headers are looked at by the thousand."""

    def __init__(self, file: Lmdb | TfRecords, key: str):
        self._file, self._key, self._at = file, key, 0
        self._size = file.places[key][1]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max({io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(self._key, self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        data = self._file.read(self._key, self._at)
        self._at += len(data)
        return data


_packed: dict[str, _Packed] = {}
_roots: dict[str, Path] = {}  # a folder in a packed file -> that file
_lock = threading.Lock()


def is_packed(path: str | os.PathLike) -> bool:
    """Whether it is an LMDB environment, which is a folder, or a TFRecord file."""
    if os.fspath(path).endswith(_TFRECORD):
        return os.path.isfile(path)
    return os.path.isfile(os.path.join(path, "data.mdb"))


def in_packed(path: str | os.PathLike) -> Path | None:
    """The packed file that this path is or leads into; None: it is, or would be, a place on the disk."""
    path = Path(path)
    if is_packed(path):
        return path
    if path.exists():
        return None
    parent = str(path.parent)
    if parent not in _roots:
        root = next((folder for folder in path.parents if is_packed(folder)), None)
        if root is None:
            return None
        _roots[parent] = root
    return _roots[parent]


def is_folder(path: str | os.PathLike) -> bool:
    """Whether it is a folder, on the disk or in a packed file."""
    root = in_packed(path)
    if root is None:
        return os.path.isdir(path)
    return _inside(path, root) in _opened(root).folders


def entries(folder: str | os.PathLike) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, on the disk or packed, in no order. Raises OSError without one."""
    folder = Path(folder)
    root = in_packed(folder)
    if root is not None:
        packed, inside = _opened(root), _inside(folder, root)
        if inside not in packed.folders:
            raise FileNotFoundError(f"{folder} is not in {root}")
        return [folder / name for name in packed.folders[inside]], [folder / name for name in packed.files[inside]]
    folders, files = [], []
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir():
                folders.append(folder / entry.name)
            elif entry.is_file():
                files.append(folder / entry.name)
    return folders, files


def open_frame(path: str | os.PathLike) -> BinaryIO:
    """A file, or a frame in a packed one, to be read. Raises OSError as `open`, `InputError` for a damaged one."""
    try:
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError):
        root = in_packed(path)
        if root is None:
            raise
    packed, inside = _opened(root), _inside(path, root)
    for key in (inside, inside.removesuffix(_SUFFIX)):
        if key in packed.file.places:
            return cast(BinaryIO, io.BufferedReader(_Value(packed.file, key), _BUFFER))
    raise FileNotFoundError(f"{root} has no key {inside.removesuffix(_SUFFIX)}")


def state_of(path: str | os.PathLike) -> tuple[int, int]:
    """Size and time of change (ns) of the file, packed or not, that holds a frame."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        root = in_packed(path)
        if root is None:
            raise
        status = os.stat(_file(root))
    return status.st_size, status.st_mtime_ns


def keys_of(packed: str | os.PathLike) -> Collection[str]:
    """The keys of a packed file. Raises `InputError` for a damaged one."""
    return _opened(Path(packed)).file.places.keys()


def folder_or_packed(path: str | os.PathLike) -> Path:
    """The folder itself; where there is none, the packed file of its name and .lmdb or .tfrecord."""
    path = Path(path)
    if is_folder(path) or not path.name:
        return path
    beside = (path.with_name(path.name + suffix) for suffix in (".lmdb", _TFRECORD))
    return next((packed for packed in beside if is_packed(packed)), path)


def _inside(path: str | os.PathLike, root: Path) -> str:
    inside = Path(path).relative_to(root).as_posix()
    return "" if inside == "." else inside


def _file(root: Path) -> Path:
    return root if root.name.endswith(_TFRECORD) else root / "data.mdb"


def _opened(root: Path) -> _Packed:
    """The packed file at `root`, read once as long as it does not change."""
    state = state_of(_file(root))
    with _lock:
        known = _packed.get(str(root))
        if known is None or known.state != state:
            known = _packed[str(root)] = _read(root, state)
    return known


def _read(root: Path, state: tuple[int, int]) -> _Packed:
    file = TfRecords(root) if root.name.endswith(_TFRECORD) else Lmdb(root)
    folders, files, known = defaultdict(list), defaultdict(list), {""}
    for key in file.places:
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
    return _Packed(file, {name: folders[name] for name in known}, {name: files[name] for name in known}, state)
