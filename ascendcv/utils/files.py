"""Files and folders that appear under their final name only when they are complete."""

import contextlib
import ctypes
import errno
import getpass
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary path beside `path` that replaces it when the block ends without an exception.

    The temporary name ends in the name of `path`, because writers choose a format by the ending. After an
    exception the temporary file is removed and whatever stood at `path` is untouched. The file is flushed to
    the disk before it is renamed and its folder after that, so that a power cut leaves the old file or the new
    one, never a part. An OSError, such as that of a full disk, names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        with _naming(path, temporary):
            yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary folder that replaces the one at `path` when the block ends without an exception.

    Where the system can exchange two folders (Linux, on most file systems), there is no moment without a whole
    one at `path`; elsewhere an old one disappears just before the new one comes. An OSError names `path`.
    """
    path = Path(path)
    temporary = _temporary_name(path)
    temporary.mkdir(parents=True)
    try:
        with _naming(path, temporary):
            yield temporary
        for entry in [*temporary.rglob("*"), temporary]:
            if entry.is_file() or entry.is_dir():
                _flush(entry)
        if not (path.exists() and _exchange(temporary, path)):
            if path.exists():
                remove_folder(path)
            os.rename(temporary, path)
        _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(path: str | os.PathLike) -> None:
    """Removes a folder so that nobody ever sees a part of it under its name."""
    retired = _temporary_name(Path(path))
    os.rename(path, retired)
    shutil.rmtree(retired, ignore_errors=True)


def user_id() -> str:
    """What tells users of one machine apart in the names of shared files."""
    return str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()


@contextlib.contextmanager
def _naming(path: Path, temporary: Path) -> Iterator[None]:
    """Gives errors of writing to `temporary` the name of the file that was meant.

    Many libraries tell a full disk without a name, some in several lines.
    """
    try:
        yield
    except OSError as error:
        if not error.errno or str(temporary) not in str(error.filename or temporary):
            raise
        raise OSError(error.errno, f"cannot be written: {os.strerror(error.errno)}", str(path)) from error


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".tmp-{uuid.uuid4().hex[:8]}-{path.name}")


def _flush(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk, where the system lets a folder be opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # folders on Windows
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # file systems that cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Lets two paths change places in one step; False where the system cannot.

    Source: renameat2(2) of Linux with RENAME_EXCHANGE; Python has no call for it.
    """
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    at_current_folder, rename_exchange = -100, 2
    paths = os.fsencode(one.absolute()), os.fsencode(other.absolute())
    return renameat2 is not None and not renameat2(
        at_current_folder, paths[0], at_current_folder, paths[1], rename_exchange
    )
