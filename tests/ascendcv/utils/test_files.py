"""Files and folders that are complete or absent."""

import stat

import pytest

from ascendcv.utils.files import atomic_folder, atomic_path


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
