"""Checkpoint folders: complete or not there, damage noticed, the newest and the best kept."""

from pathlib import Path

import pytest

from ascendcv.runner.checkpoint import CheckpointStore, damage, read_meta
from ascendcv.utils.errors import InputError


def write(store: CheckpointStore, step: int, content: bytes = b"weights") -> Path:
    def fill(folder: Path) -> dict:
        (folder / "model.weights.h5").write_bytes(content)
        return {"elapsed_seconds": 1.5}

    return store.write(step, fill)


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path, "EDVR")


def test_a_checkpoint_is_a_folder_named_after_network_and_step(store):
    folder = write(store, 20)
    assert folder == store.output_dir / "EDVR-20"
    meta = read_meta(folder)
    assert (meta["step"], meta["elapsed_seconds"]) == (20, 1.5)
    assert damage(folder) == ""


def test_the_newest_is_the_one_of_the_highest_step(store):
    for step in (5, 100, 20):
        write(store, step)
    assert store.steps() == [5, 20, 100]
    assert store.newest().name == "EDVR-100"


def test_no_checkpoint_is_none(store):
    assert store.newest() is None
    assert CheckpointStore(store.output_dir / "missing", "EDVR").newest() is None


def test_other_networks_partial_folders_and_leftovers_are_ignored(store):
    write(store, 5)
    write(CheckpointStore(store.output_dir, "PVDNet"), 9)
    (store.output_dir / "EDVR-30").mkdir()
    leftover = store.output_dir / ".tmp-0123abcd-EDVR-40"
    leftover.mkdir()
    (leftover / "meta.json").write_text("{}")
    assert store.newest().name == "EDVR-5"
    store.remove_leftovers()
    assert not leftover.exists()


def test_an_exception_while_writing_leaves_nothing(store):
    def fill(folder: Path) -> dict:
        (folder / "model.weights.h5").write_bytes(b"half")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        store.write(7, fill)
    assert list(store.output_dir.iterdir()) == []


@pytest.mark.parametrize("harm", ["truncate", "change", "remove"])
def test_a_damaged_newest_one_is_skipped_with_a_warning(store, caplog, harm: str):
    write(store, 1)
    weights = write(store, 2) / "model.weights.h5"
    if harm == "remove":
        weights.unlink()
    else:
        weights.write_bytes(b"weigh" if harm == "truncate" else b"weighty")
    assert store.newest().name == "EDVR-1"
    assert "EDVR-2 is damaged (model.weights.h5" in caplog.text


def test_only_damaged_ones_are_an_error(store):
    for step in (1, 2):
        (write(store, step) / "meta.json").write_text('{"step"')
    with pytest.raises(InputError, match=r"all checkpoints in .* are damaged"):
        store.newest()


def test_the_newest_and_the_best_are_kept(tmp_path):
    store = CheckpointStore(tmp_path, "EDVR", keep=2)
    for step in (1, 2, 3):
        write(store, step)
        if step == 1:
            store.mark_best(1, 30.5)
    write(store, 4)
    assert store.steps() == [1, 3, 4]
    assert store.best() == (1, 30.5)
    store.mark_best(4, 31.0)
    assert store.steps() == [3, 4]


def test_a_run_that_went_back_over_a_damaged_one_keeps_its_own(tmp_path):
    store = CheckpointStore(tmp_path, "EDVR", keep=1)
    write(store, 10)
    write(CheckpointStore(tmp_path, "EDVR"), 20)
    (tmp_path / "EDVR-20/model.weights.h5").write_bytes(b"")
    write(store, 15)
    assert store.newest().name == "EDVR-15"
    write(store, 20)
    assert store.steps() == [20]


def test_all_are_kept_by_default(store):
    for step in range(1, 6):
        write(store, step)
    assert store.steps() == [1, 2, 3, 4, 5]


def test_reading_what_is_no_checkpoint_says_so(tmp_path):
    with pytest.raises(InputError, match="no complete training checkpoint"):
        read_meta(tmp_path)
