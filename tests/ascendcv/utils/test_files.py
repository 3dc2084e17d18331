"""Files and folders that are complete or absent."""

import errno
import os
import stat
from pathlib import Path

import pytest

from ascendcv.utils import files
from ascendcv.utils.files import atomic_folder, atomic_path, remove_folder


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new folder" / "frame.weights.h5"
    with atomic_path(path) as temporary:
        assert temporary.name.endswith(".weights.h5")
        temporary.write_bytes(b"done")
        assert not path.exists()
    assert path.read_bytes() == b"done"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "frame.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise OSError("disk full")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_usual_permissions(tmp_path):
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_bytes(b"")
    (tmp_path / "b").write_bytes(b"")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "EDVR-10"
    for content in ("first", "second"):
        with atomic_folder(path) as temporary:
            (temporary / content).write_text(content)
        assert [entry.name for entry in path.iterdir()] == [content]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_folder(tmp_path):
    path = tmp_path / "EDVR-10"
    with atomic_folder(path) as temporary:
        (temporary / "kept").write_text("")
    with pytest.raises(RuntimeError), atomic_folder(path) as temporary:
        (temporary / "lost").write_text("")
        raise RuntimeError
    assert [entry.name for entry in path.iterdir()] == ["kept"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def calls(monkeypatch, tmp_path) -> list[str]:
    """What is flushed, renamed and exchanged, in this order; temporary names as TMP."""
    happened = []

    def name(path: str | os.PathLike) -> str:
        parts = Path(path).relative_to(tmp_path).parts
        return "/".join("TMP" if part.startswith(".tmp-") else part for part in parts) or "."

    def note(module, function: str, paths) -> None:
        original = getattr(module, function)

        def noting(*arguments):
            happened.append(" ".join([function.strip("_"), *map(name, paths(*arguments))]))
            return original(*arguments)

        monkeypatch.setattr(module, function, noting)

    note(os, "fsync", lambda descriptor: [os.readlink(f"/proc/self/fd/{descriptor}")])
    note(os, "rename", lambda source, target: [source, target])
    note(os, "replace", lambda source, target: [source, target])
    note(files, "_exchange", lambda one, other: [one, other])
    return happened


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_after_that(tmp_path, calls):
    with atomic_path(tmp_path / "weights.h5") as temporary:
        temporary.write_bytes(b"whole")
    assert calls == ["fsync TMP", "replace TMP weights.h5", "fsync ."]


def test_a_folder_is_on_the_disk_before_it_has_its_name_and_the_name_after_that(tmp_path, calls):
    def write() -> list[str]:
        calls.clear()
        with atomic_folder(tmp_path / "EDVR-2") as temporary:
            (temporary / "state.npz").write_bytes(b"state")
        return list(calls)

    assert write() == ["fsync TMP/state.npz", "fsync TMP", "rename TMP EDVR-2", "fsync ."]
    assert write() == ["fsync TMP/state.npz", "fsync TMP", "exchange TMP EDVR-2", "fsync ."]


def test_where_folders_cannot_be_exchanged_the_old_one_goes_as_a_whole(tmp_path, monkeypatch, calls):
    path = tmp_path / "EDVR-2"
    path.mkdir()
    (path / "old").write_text("")
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    with atomic_folder(path) as temporary:
        (temporary / "new").write_text("")
    assert [call for call in calls if call.startswith("rename")] == ["rename EDVR-2 TMP", "rename TMP EDVR-2"]
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_removed_under_another_name(tmp_path, calls):
    (tmp_path / "EDVR-2").mkdir()
    remove_folder(tmp_path / "EDVR-2")
    assert calls == ["rename EDVR-2 TMP"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writer", [atomic_path, atomic_folder])
def test_an_error_of_the_disk_names_the_file_that_was_meant(tmp_path, writer):
    for told in (OSError(errno.ENOSPC, "many\nlines of a library"), None):
        refused = pytest.raises(OSError, match=r"cannot be written: No space left on device: '.*/result'")
        with refused, writer(tmp_path / "result") as temporary:
            raise told or OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="'elsewhere'"), writer(tmp_path / "result"):
        raise FileNotFoundError(errno.ENOENT, "not there", "elsewhere")
