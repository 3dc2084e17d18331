"""Where downloaded files are kept: in the user's cache folder, or where ASCENDVSR_HOME says."""

import hashlib
import os
from pathlib import Path

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path
from ascendvsr.models.zoo import Record, Shipped, is_record, record_named

SHIPPED = Path(__file__).parent / "shipped"


def home() -> Path:
    """The folder that holds `models/` and `testsets/`."""
    if chosen := os.environ.get("ASCENDVSR_HOME"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ascendvsr"


def place_of(record: Record, folder: str | os.PathLike | None = None) -> Path:
    """Where the file of a record is, or would be: in `folder`, in the package, or in the cache."""
    if Shipped() in record.sources:
        return SHIPPED / record.file
    return Path(folder or home() / "models") / record.file


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(path: Path, sha256: str = "", size: int = 0) -> None:
    """Raises `InputError` unless the file has this size and SHA-256 (its first digits are enough).

    Where none is known, the first one is written beside the file, as `sha256sum` would, and holds from then on.
    """
    if size and path.stat().st_size != size:
        raise InputError(
            f"{path} has {path.stat().st_size:,} bytes instead of {size:,}: delete it and download it again"
        )
    noted = path.with_name(path.name + ".sha256")
    expected = sha256 or (noted.read_text(encoding="ascii", errors="replace")[:64] if noted.exists() else "")
    found = sha256_of(path)
    if expected and not found.startswith(expected.lower()):
        raise InputError(
            f"{path} has SHA-256 {found[:16]}... instead of {expected[:16]}: it is damaged or another file; delete "
            f"it{'' if sha256 else f' and {noted.name}'} and download it again"
        )
    if not expected:
        with atomic_path(noted) as temporary:
            temporary.write_text(f"{found}  {path.name}\n")


def local_file(name: str | os.PathLike) -> Path:
    """The file that `name` means: a path that exists, or the file of published weights, downloaded before.

    Raises `InputError`, which says how to get it, where it was not. Other names are returned as they are.
    """
    path = Path(name)
    if path.exists() or not is_record(os.fspath(name)):
        return path
    record = record_named(os.fspath(name))
    path = place_of(record)
    if not path.exists():
        how = (
            "it is not in this installation" if Shipped() in record.sources else "`ascendvsr download` fetches them"
        )
        raise InputError(f"the weights {record.name} are not here: {how} (as {path})")
    if Shipped() not in record.sources:
        check(path, record.sha256, record.size)
    return path
