"""Downloads archives of the REDS data set and unpacks them, going on where an earlier run stopped.

    python scripts/download_REDS.py --root_dir data/reds --train_sharp --train_sharp_bicubic --val_sharp \
        --val_sharp_bicubic

An archive NAME.zip becomes the folder ROOT/NAME (train_sharp/000/00000000.png ...) and is then deleted.
Archives that are already in ROOT, however they came there, are used. REDS is published under CC BY 4.0 by Nah
et al., NTIRE 2019: https://seungjunnah.github.io/Datasets/reds.html
"""

import packages  # noqa: F401

# isort: split
import argparse
import contextlib
import hashlib
import http.client
import shutil
import sys
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from ascendcv.utils.errors import InputError

PAGE = "https://seungjunnah.github.io/Datasets/reds.html"
SNU = "http://data.cv.snu.ac.kr:8008/webdav/dataset/REDS"
GOOGLE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
GOOGLE_IDS = {
    "train_sharp": "1YLksKtMhd2mWyVSkvhDaDLWSc1qYNCz-",
    "train_blur": "1Be2cgzuuXibcqAuJekDgvHq4MLYkCgR8",
    "train_blur_comp": "1hi6348BB9QQFqVx2PY7pKn32HQM89CJ1",
    "train_sharp_bicubic": "1a4PrjqT-hShvY9IyJm3sPF0ZaXyrCozR",
    "train_blur_bicubic": "10u8gthv2Q95RMCb1LeCN8N4ozB8TVjMt",
    "val_sharp": "1MGeObVQ1-Z29f-myDP7-8c3u0_xECKXq",
    "val_blur": "1N8z2yD0GDWmh6U4d4EADERtcUgDzGrHx",
    "val_blur_comp": "13d1uzqLdbsQzeZkWgdF5QVHqDSjfE4zZ",
    "val_sharp_bicubic": "1sChhtzN9Css10gX7Xsmc2JaC-2Pzco6a",
    "val_blur_bicubic": "1i3NAb7EmF4fCYadGaHK54-Zgx9lIC2Gp",
    "test_blur": "1dr0--ZBKqr4P1M8lek6JKD1Vd6bhhrZT",
    "test_blur_comp": "1OctyKR3ER_YWrZxKxQsZzLis3BvLSOFO",
    "test_sharp_bicubic": "1y0Jle6xB41TdRK_QMJ_E8W_iBMxwq_Rh",
    "test_blur_bicubic": "14YszfzUAeAfwP0ZA2FRzAiVxxZLg7-tY",
}
NAMES = tuple(GOOGLE_IDS)
# The publishers state no checksums. A zip archive holds one of every file in it, and unpacking checks them
# all; an entry here, NAME: SHA-256, is checked before that.
SHA256: dict[str, str] = {}

_BLOCK = 1 << 20
_ATTEMPTS = 8  # in a row without a byte
_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def url_of(name: str, server: str) -> str:
    """Where NAME.zip is on `server`: snu, google, or the address of a folder that has it."""
    if server == "google":
        return GOOGLE + GOOGLE_IDS[name]
    if server != "snu" and "://" not in server:
        raise InputError(f"--server should be snu, google or an address, not {server!r}")
    return f"{SNU if server == 'snu' else server.rstrip('/')}/{name}.zip"


class Remote(contextlib.AbstractContextManager):
    """An HTTP answer to a request for a file from byte `start` on."""

    def __init__(self, url: str, start: int = 0):
        self.answer = urllib.request.urlopen(
            urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {}), timeout=60
        )
        self.start = start if self.answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0
        length = self.answer.headers.get("Content-Length")
        self.size = None if length is None else self.start + int(length)

    def __exit__(self, *_):
        self.answer.close()


def remote_size(url: str) -> int | None:
    """Bytes of the file at `url`; None where the server does not say. `InputError` if it is not there."""
    try:
        with Remote(url) as remote:
            return remote.size
    except _NETWORK_ERRORS as error:
        raise InputError(_unreachable(url, error)) from error


def download(url: str, path: Path, pause: float = 5.0) -> None:
    """Fetches `url` into `path`, by way of `path`.part, from which a later call goes on.

    Broken connections are taken up again, after `pause` seconds, as long as they bring anything. Raises
    `InputError` if the server cannot be reached or sends no zip archive.
    """
    part = path.with_name(path.name + ".part")
    failures, error = 0, None
    while failures < _ATTEMPTS:
        start = part.stat().st_size if part.exists() else 0
        try:
            if _fetch_rest(url, part, start):
                break
            error = ConnectionError("the connection broke")
        except urllib.error.HTTPError as answer:
            if answer.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise InputError(_unreachable(url, answer)) from answer
            if answer.headers.get("Content-Range", "").endswith(f"/{start}"):
                break  # an earlier run was stopped between the last byte and the new name
            error = answer
            part.unlink()  # longer than the file: not a part of it
        except _NETWORK_ERRORS as broken:
            error = broken
        arrived = part.exists() and part.stat().st_size > start
        failures = 0 if arrived else failures + 1
        time.sleep(pause)
    else:
        raise InputError(_unreachable(url, error)) from error
    with open(part, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
            part.unlink()
            raise InputError(f"{url} gave no zip archive (a page that says why not?): try later, or --server")
    part.replace(path)


def _fetch_rest(url: str, part: Path, start: int) -> bool:
    """Appends what is missing; whether the file is complete then."""
    with Remote(url, start) as remote, open(part, "ab" if remote.start else "wb") as file:
        with tqdm(total=remote.size, initial=remote.start, unit="B", unit_scale=True, desc=part.stem) as bar:
            while block := remote.answer.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
        return remote.size is None or file.tell() == remote.size


def check_sha256(path: Path, expected: str) -> None:
    """Raises `InputError` unless the file has this SHA-256."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise InputError(f"{path} has SHA-256 {found} instead of {expected}; delete it and run again")


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks NAME.zip into `folder` = .../NAME, which appears when all files are there and checked.

    Folders above NAME in the archive (train/train_sharp/000/...) are left away. A run that was stopped goes
    on with the files that are missing. Raises `InputError` for a damaged archive, for one whose files would
    land outside `folder`, and if the disk has no room.
    """
    partial = folder.with_name(folder.name + ".partial")
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            targets = {partial / _inside(member.filename, folder.name, archive): member for member in members}
            missing = {target: member for target, member in targets.items() if not target.exists()}
            size = sum(member.file_size for member in missing.values())
            check_space(folder.parent, size, f"unpacking {archive.name}")
            for target, member in tqdm(missing.items(), desc=f"unpacking {archive.name}", unit="file"):
                target.parent.mkdir(parents=True, exist_ok=True)
                unfinished = target.with_name(target.name + ".part")
                with opened.open(member) as source, open(unfinished, "wb") as file:
                    shutil.copyfileobj(source, file, _BLOCK)
                unfinished.replace(target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(f"{archive} is damaged ({error}); delete it and run again") from error
    partial.replace(folder)


def _inside(member: str, name: str, archive: Path) -> PurePosixPath:
    """The path of an archive's member below the folder `name`."""
    path = PurePosixPath(member.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise InputError(f"{archive} has a file {member}, which would land elsewhere: it is not the REDS archive")
    if name in path.parts[:-1]:
        return PurePosixPath(*path.parts[path.parts.index(name) + 1 :])
    return path


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raises `InputError` unless the disk of `folder` has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(f"{folder} has {free / 1e9:.1f} GB free; {what} needs {needed / 1e9:.1f} GB")


def plan(root: Path, name: str, url: str) -> tuple[int | None, int]:
    """(bytes, bytes still to be downloaded) of NAME.zip; unpacked, its frames take as many again."""
    archive, part = root / f"{name}.zip", root / f"{name}.zip.part"
    if archive.exists():
        return archive.stat().st_size, 0
    size = remote_size(url)
    return size, max(0, (size or 0) - (part.stat().st_size if part.exists() else 0))


def fetch(root: Path, name: str, url: str) -> None:
    """Downloads and unpacks one archive into ROOT/NAME; ROOT/.NAME.done remembers it."""
    archive, done = root / f"{name}.zip", root / f".{name}.done"
    if not archive.exists():
        download(url, archive)
    if name in SHA256:
        check_sha256(archive, SHA256[name])
    unpack(archive, root / name)
    done.touch()
    archive.unlink()


def is_done(root: Path, name: str) -> bool:
    """Whether NAME was unpacked before; its frames may have been moved since (regroup_reds_dataset.py)."""
    return (root / f".{name}.done").exists() or (root / name).is_dir()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--root_dir", type=Path, default=Path("data/reds"), help="where to (%(default)s)")
    parser.add_argument("--server", default="snu", help="snu, google, or the address of a folder of NAME.zip")
    parser.add_argument("--dry-run", action="store_true", help="say what would be downloaded, and stop")
    parser.add_argument("--all", action="store_true", help="every archive")
    for name in NAMES:
        parser.add_argument(f"--{name}", action="store_true", help=f"{name}.zip")
    options = parser.parse_args(argv)
    try:
        _run(options, [name for name in NAMES if options.all or getattr(options, name)])
    except InputError as error:
        print(f"download_REDS: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"download_REDS: {error}; what has arrived is kept, run it again", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace, names: list[str]) -> None:
    if not names:
        raise InputError("say what to download, for example --val_sharp; --help lists the archives")
    urls = {name: url_of(name, options.server) for name in names}
    todo = [name for name in names if not is_done(options.root_dir, name)]
    for name in sorted(set(names) - set(todo)):
        print(f"{name}: done before")
    plans = {name: plan(options.root_dir, name, urls[name]) for name in todo}
    for name, (size, missing) in plans.items():
        known = "unknown size" if size is None else f"{size / 1e9:.2f} GB, {missing / 1e9:.2f} GB to download"
        print(f"{name}: {known}, from {urls[name]}")
    if options.dry_run or not todo:
        return
    options.root_dir.mkdir(parents=True, exist_ok=True)
    # Unpacked frames stay, archives go one by one: the peak is everything unpacked and the largest archive.
    sizes = [size or 0 for size, _ in plans.values()]
    here = sum((size or 0) - missing for size, missing in plans.values())
    check_space(options.root_dir, sum(sizes) + max(sizes) - here, "downloading and unpacking that")
    for name in todo:
        fetch(options.root_dir, name, urls[name])


def _unreachable(url: str, error: Exception) -> str:
    return (
        f"cannot download {url} ({error}); try again later or another --server, or put the archive into the "
        f"folder yourself: {PAGE}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
