"""Unpacking archives of frames safely: nothing outside the folder, no links, no more than the disk holds."""

import functools
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from tqdm import tqdm

from ascendcv.dataloader.image import SKIPPED_FOLDERS
from ascendcv.utils.errors import InputError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_BLOCK = 1 << 20
_MAX_FILES = 5_000_000
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


class _Member(NamedTuple):
    name: str
    size: int
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether it is one, by its ending."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def unpacked_name(path: Path) -> str:
    """The name of an archive without its ending."""
    ending = next(
        suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(suffix)
    )
    return path.name[: -len(ending)]


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks `archive` into `folder`, which appears when all files are there and were checked by their checksums.

    Folders above one that is called as `folder` (train/train_sharp/000/...) are left away, and so are hidden files
    and those that other programs add (__MACOSX). A run that was stopped goes on with the files that are missing.
    Raises `InputError` for an archive that is damaged or encrypted, that holds links, devices or files that would
    land outside of `folder`, or more than the disk has room for.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    folder.parent.mkdir(parents=True, exist_ok=True)
    room = shutil.disk_usage(folder.parent).free
    try:
        for member in tqdm(_members(archive), desc=f"unpacking {archive.name}", unit=" files", leave=False):
            place = _inside(member.name, archive)
            if place is None:
                continue
            if folder.name in place.parts[:-1]:
                place = PurePosixPath(*place.parts[place.parts.index(folder.name) + 1 :])
            target = partial / place
            if target.is_file() and target.stat().st_size == member.size:
                continue
            room -= member.size
            if room < 0:
                raise InputError(f"{archive} holds more than the disk of {folder.parent} has room for")
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_name(f".{target.name}.part")
            with member.open() as source, open(unfinished, "wb") as file:
                _copy(source, file, member.size, archive)
            unfinished.replace(target)
    except _DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{archive} is damaged or encrypted ({error}); copy or download it again") from error
    except OSError as error:
        if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
            raise InputError(f"{archive} has a file where it has a folder too ({error.filename})") from error
        raise
    if not partial.is_dir():
        raise InputError(f"{archive} holds no files")
    partial.replace(folder)


def _members(archive: Path) -> Iterator[_Member]:
    """The files in an archive. Raises `InputError` for anything that is neither a file nor a folder."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as opened:
            infos = opened.infolist()
            if len(infos) > _MAX_FILES:
                raise InputError(
                    f"{archive} lists {len(infos)} files, more than the {_MAX_FILES} that are accepted"
                )
            for info in infos:
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise InputError(f"{archive} holds {info.filename}, which is a link or a device")
                if not info.is_dir():
                    yield _Member(info.filename, info.file_size, functools.partial(opened.open, info))
        return
    with tarfile.open(archive) as unpacked:
        for number, member in enumerate(unpacked):
            if number > _MAX_FILES:
                raise InputError(f"{archive} lists more than the {_MAX_FILES} files that are accepted")
            if not (member.isfile() or member.isdir()):
                raise InputError(f"{archive} holds {member.name}, which is a link or a device")
            if member.isfile():
                yield _Member(member.name, member.size, functools.partial(_content, unpacked, member))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    return cast(IO[bytes], archive.extractfile(member))  # None for what is no file


def _inside(name: str, archive: Path) -> PurePosixPath | None:
    """A member's place in the folder; None: it is to be left out. Raises `InputError` for one outside of it."""
    place = PurePosixPath(name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or not place.parts or ":" in place.parts[0] or "\0" in name:
        raise InputError(f"{archive} has a file {name!r}, which would land elsewhere: it is no archive of frames")
    if any(part.startswith(".") or part in SKIPPED_FOLDERS for part in place.parts):
        return None
    return place


def _copy(source: IO[bytes], target: IO[bytes], size: int, archive: Path) -> None:
    """Exactly `size` bytes: what an archive says of a file is not to be believed."""
    copied = 0
    while block := source.read(_BLOCK):
        copied += len(block)
        if copied > size:
            raise InputError(f"{archive} is damaged: a file is longer than it says")
        target.write(block)
    if copied != size:
        raise InputError(f"{archive} is damaged: a file is shorter than it says")
