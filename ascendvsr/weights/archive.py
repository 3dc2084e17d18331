"""Zip archives of unknown origin: nothing is expanded before its declared size is found believable."""

import zipfile
from pathlib import Path

from ascendcv.utils.errors import InputError

_SMALL = 32 << 20
_MAX_EXPANSION = 20


def refuse_bomb(path: Path, expanded: int) -> None:
    """Raises `InputError` for a file that was made to fill the memory: trained weights do not compress."""
    size = path.stat().st_size
    if expanded > max(_SMALL, _MAX_EXPANSION * size):
        raise InputError(f"{path} is refused as a bomb: {size:,} bytes that claim to hold {expanded:,}")


def open_archive(path: Path) -> zipfile.ZipFile:
    """The archive at `path`, open. Raises `InputError` for a zip bomb."""
    archive = zipfile.ZipFile(path)
    refuse_bomb(path, sum(member.file_size for member in archive.infolist()))
    return archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """All bytes of a member that is stored or deflated."""
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{archive.filename} holds {name} in a compression that weights files do not use")
    data = archive.read(member)
    if len(data) != member.file_size:
        raise EOFError(f"{name} ends early")
    return data
