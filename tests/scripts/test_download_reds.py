"""Downloading REDS: interrupted, damaged and hostile archives, from a server on this machine."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from scripts import download_REDS
from tests.scripts.file_server import Server, serve

CONTENT = np.random.default_rng(0).bytes(300_000)  # PNG data does not compress, nor does this


@pytest.fixture
def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("val/val_sharp/000/00000000.png", CONTENT)
        file.writestr("val/val_sharp/000/00000001.png", CONTENT[:100])
    return buffer.getvalue()


@pytest.fixture
def server(tmp_path: Path, archive: bytes) -> Iterator[Server]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served/val_sharp.zip").write_bytes(archive)
    with serve(tmp_path / "served") as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "reds"


def run(server: Server, root: Path, *options: str) -> int:
    return download_REDS.main(["--root_dir", str(root), "--server", server.address, "--val_sharp", *options])


def test_an_archive_becomes_a_folder_of_frames(server: Server, root: Path):
    assert run(server, root) == 0
    frames = root / "val_sharp/000"
    assert (frames / "00000000.png").read_bytes() == CONTENT
    assert (frames / "00000001.png").read_bytes() == CONTENT[:100]
    assert sorted(path.name for path in root.iterdir()) == [".val_sharp.done", "val_sharp"]


def test_a_second_run_asks_the_server_nothing_even_if_the_frames_were_moved(server: Server, root: Path, capsys):
    run(server, root)
    asked = len(server.requests)
    (root / "val_sharp").rename(root / "elsewhere")
    assert run(server, root) == 0
    assert len(server.requests) == asked
    assert "val_sharp: done before" in capsys.readouterr().out


def test_a_partial_file_is_continued(server: Server, root: Path, archive: bytes):
    root.mkdir()
    (root / "val_sharp.zip.part").write_bytes(archive[:100_000])
    assert run(server, root) == 0
    assert server.requests == [("val_sharp.zip", 0), ("val_sharp.zip", 100_000)]  # the size, then the rest
    assert (root / "val_sharp/000/00000000.png").read_bytes() == CONTENT


def test_a_broken_connection_is_taken_up_where_it_broke(server: Server, root: Path, archive: bytes):
    root.mkdir()
    server.break_after = [120_000, 50_000]
    download_REDS.download(f"{server.address}/val_sharp.zip", root / "val_sharp.zip", pause=0)
    assert [start for _, start in server.requests] == [0, 120_000, 170_000]
    assert (root / "val_sharp.zip").read_bytes() == archive


def test_a_server_without_ranges_sends_the_file_anew(server: Server, root: Path, archive: bytes):
    root.mkdir()
    server.ranges = False
    (root / "val_sharp.zip.part").write_bytes(b"something older")
    download_REDS.download(f"{server.address}/val_sharp.zip", root / "val_sharp.zip", pause=0)
    assert (root / "val_sharp.zip").read_bytes() == archive


@pytest.mark.parametrize("surplus", [b"", b"more than there is"])
def test_a_partial_file_that_is_complete_or_too_long_ends_well(server, root, archive, surplus: bytes):
    root.mkdir()
    (root / "val_sharp.zip.part").write_bytes(archive + surplus)
    download_REDS.download(f"{server.address}/val_sharp.zip", root / "val_sharp.zip", pause=0)
    assert (root / "val_sharp.zip").read_bytes() == archive


def test_an_archive_that_was_put_there_is_used(server: Server, root: Path, archive: bytes):
    root.mkdir()
    (root / "val_sharp.zip").write_bytes(archive)
    assert run(server, root) == 0
    assert not server.requests
    assert (root / "val_sharp/000/00000000.png").read_bytes() == CONTENT


def test_unpacking_goes_on_with_the_files_that_are_missing(root: Path, tmp_path: Path, archive: bytes):
    path, done = tmp_path / "val_sharp.zip", root / "val_sharp.partial/000/00000000.png"
    path.write_bytes(archive)
    done.parent.mkdir(parents=True)
    done.write_bytes(b"unpacked before")
    (done.parent / "00000001.png.part").write_bytes(b"stopped in the middle")
    download_REDS.unpack(path, root / "val_sharp")
    files = {file.name: file.read_bytes() for file in (root / "val_sharp/000").iterdir()}
    assert files == {"00000000.png": b"unpacked before", "00000001.png": CONTENT[:100]}


def test_a_dry_run_tells_sizes_and_writes_nothing(server: Server, root: Path, archive: bytes, capsys):
    assert run(server, root, "--dry-run") == 0
    assert f"{server.address}/val_sharp.zip" in capsys.readouterr().out
    assert not root.exists()


def test_a_damaged_archive_is_named_and_leaves_no_folder(server: Server, root: Path, archive: bytes, capsys):
    damaged = bytearray(archive)
    damaged[5000] ^= 1
    (server.folder / "val_sharp.zip").write_bytes(damaged)
    assert run(server, root) == 2
    assert "val_sharp.zip is damaged" in capsys.readouterr().err
    assert not (root / "val_sharp").exists()
    (root / "val_sharp.zip").unlink()  # as the message says
    (server.folder / "val_sharp.zip").write_bytes(archive)
    assert run(server, root) == 0
    assert (root / "val_sharp/000/00000000.png").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "name", ["../outside.png", "/outside.png", "a/../../outside.png", "..\\outside.png", "C:/x"]
)
def test_an_archive_that_writes_elsewhere_is_refused(root: Path, tmp_path: Path, name: str):
    path = tmp_path / "val_sharp.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, b"data")
    with pytest.raises(InputError, match="would land elsewhere"):
        download_REDS.unpack(path, root / "val_sharp")
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["val_sharp.zip"]


def test_a_page_instead_of_an_archive_is_refused(server: Server, root: Path, capsys):
    (server.folder / "val_sharp.zip").write_bytes(b"<html>quota exceeded</html>")
    assert run(server, root) == 2
    assert "gave no zip archive" in capsys.readouterr().err
    assert not list(root.glob("*.zip*"))


def test_a_known_checksum_is_compared(tmp_path: Path):
    (tmp_path / "a.zip").write_bytes(CONTENT)
    download_REDS.check_sha256(tmp_path / "a.zip", hashlib.sha256(CONTENT).hexdigest())
    with pytest.raises(InputError, match=r"a\.zip has SHA-256"):
        download_REDS.check_sha256(tmp_path / "a.zip", hashlib.sha256(b"").hexdigest())


def test_too_little_room_is_noticed_before_anything_is_written(root: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"GB free; that needs 1000000000.0 GB"):
        download_REDS.check_space(tmp_path, 10**18, "that")


def test_what_is_not_there_is_told_with_what_to_do(server: Server, root: Path, capsys):
    (server.folder / "val_sharp.zip").unlink()
    assert run(server, root) == 2
    error = capsys.readouterr().err
    assert "404" in error
    assert "put the archive into the folder yourself" in error
    with pytest.raises(InputError, match="cannot download"):
        download_REDS.remote_size("http://127.0.0.1:9/val_sharp.zip")


def test_nothing_asked_for_and_an_unknown_server_are_told(root: Path, capsys):
    assert download_REDS.main(["--root_dir", str(root)]) == 2
    assert "say what to download" in capsys.readouterr().err
    assert download_REDS.main(["--root_dir", str(root), "--server", "mars", "--val_sharp"]) == 2
    assert "--server should be snu, google or an address, not 'mars'" in capsys.readouterr().err
