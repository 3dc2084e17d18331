"""Checkpoint folders: complete or not there, damage noticed, the newest and the best kept."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.runner.checkpoint import CheckpointStore, damage, find_checkpoint, read_meta
from ascendcv.utils.errors import InputError
from tests.ascendcv.runner import killed_writer
from tests.support import PROJECT


def write(
    store: CheckpointStore, step: int, content: bytes = b"weights", score: float | None = None, epoch: int = 0
) -> Path:
    def fill(folder: Path) -> dict:
        (folder / "model.weights.h5").write_bytes(content)
        return {"elapsed_seconds": 1.5, "epoch": epoch}

    return store.write(step, fill, score)


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
    for step, score in ((1, 30.5), (2, None), (3, 30.5), (4, 29.0)):
        write(store, step, score=score)
    assert store.steps() == [1, 3, 4]
    assert store.best() == (1, 30.5)
    write(store, 5, score=31.0)
    assert store.steps() == [4, 5]


def test_any_number_of_the_best_is_kept_and_the_lowest_may_be_the_best(tmp_path):
    store = CheckpointStore(tmp_path, "EDVR", keep=1, keep_best=3, lowest=True)
    for step, score in enumerate([0.5, 0.2, 0.9, 0.3, 0.4, 0.6], 1):
        write(store, step, score=score)
    assert store.steps() == [2, 4, 5, 6]
    assert store.ranking() == [(2, 0.2), (4, 0.3), (5, 0.4), (6, 0.6)]
    assert store.is_worthy(0.39)
    assert not store.is_worthy(0.4)
    assert not store.is_worthy(float("nan"))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=12), st.integers(1, 3), st.integers(0, 3))
def test_what_is_kept_are_the_newest_and_the_best_of_all_that_were_written(scores, keep: int, keep_best: int):
    with tempfile.TemporaryDirectory() as folder:
        store = CheckpointStore(folder, "EDVR", keep=keep, keep_best=keep_best)
        for step, score in enumerate(scores):
            write(store, step, b"", score)
        ranked = sorted((-score, step) for step, score in enumerate(scores) if score is not None)
        best = {step for _, step in ranked[:keep_best]}
        assert store.steps() == sorted(set(range(len(scores))[-keep:]) | best)


def test_a_checkpoint_is_found_by_what_it_is(tmp_path):
    store = CheckpointStore(tmp_path, "EDVR")
    for step, score, epoch in ((10, 30.0, 0), (20, 31.0, 1), (25, 29.0, 1), (40, None, 2)):
        write(store, step, score=score, epoch=epoch)
    assert find_checkpoint(tmp_path, "best").name == "EDVR-20"
    assert find_checkpoint(tmp_path, "best", lowest=True).name == "EDVR-25"
    assert find_checkpoint(tmp_path, "latest").name == "EDVR-40"
    assert find_checkpoint(tmp_path, "epoch:1").name == "EDVR-20"
    assert find_checkpoint(tmp_path, "epoch:2", "EDVR").name == "EDVR-40"
    for which in ("epoch:3", "epoch:x"):
        with pytest.raises(InputError, match=r"there are the epochs 0, 1, 2"):
            find_checkpoint(tmp_path, which)


def test_a_checkpoint_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="it holds none"):
        find_checkpoint(tmp_path / "missing", "best")
    write(CheckpointStore(tmp_path, "EDVR"), 1)
    with pytest.raises(InputError, match="the run was not validated; say latest"):
        find_checkpoint(tmp_path, "best")
    write(CheckpointStore(tmp_path, "PVDNet"), 1)
    with pytest.raises(InputError, match="of EDVR and PVDNet: give the path"):
        find_checkpoint(tmp_path, "latest")
    assert find_checkpoint(tmp_path, "latest", "PVDNet").name == "PVDNet-1"
    with pytest.raises(InputError, match="it holds none of DBN"):
        find_checkpoint(tmp_path, "latest", "DBN")


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


def test_a_writer_that_is_killed_at_any_file_event_leaves_whole_checkpoints(tmp_path, caplog):
    command = [sys.executable, "-m", killed_writer.__name__, tmp_path]
    process = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    events = int(process.stdout)
    assert events > 40
    seen = set()
    for number in range(1, events + 1):
        store = killed_writer.store_in(tmp_path / str(number))
        newest = store.newest()
        content = (newest / "state.npz").read_text().split()[0]
        seen.add((newest.name, content))
        for folder in store.output_dir.glob("EDVR-*"):
            assert damage(folder) == "", f"{folder.name} after event {number}"
        store.remove_leftovers()
        assert {folder.name for folder in store.output_dir.iterdir()} == {f"EDVR-{step}" for step in store.steps()}
    assert seen == {("EDVR-4", "old"), ("EDVR-4", "new"), ("EDVR-6", "new")}
    assert not caplog.records


@pytest.mark.parametrize("lowest", [False, True])
def test_a_damaged_best_one_gives_the_next_best_with_a_warning(tmp_path, caplog, lowest):
    store = CheckpointStore(tmp_path, "EDVR", keep_best=4, lowest=lowest)
    scores = {10: 30.0, 20: 31.0, 30: 29.0} if not lowest else {10: 2.0, 20: 1.0, 30: 3.0}
    for step, score in scores.items():
        write(store, step, score=score)
    assert find_checkpoint(tmp_path, "best", lowest=lowest).name == "EDVR-20"
    (store.path(20) / "model.weights.h5").write_bytes(b"other")
    assert find_checkpoint(tmp_path, "best", lowest=lowest).name == "EDVR-10"
    assert "EDVR-20 is damaged" in caplog.text
    for step in (10, 30):
        (store.path(step) / "model.weights.h5").write_bytes(b"other")
    with pytest.raises(InputError, match=r"all checkpoints in .* are damaged"):
        find_checkpoint(tmp_path, "best", lowest=lowest)


@pytest.mark.parametrize("content", ["[]", "{}", '{"files": 3}', '{"files": [1]}', "null", '"x"'])
def test_a_meta_file_of_another_kind_is_damage(store, content):
    write(store, 10)
    (store.path(10) / "meta.json").write_text(content)
    assert damage(store.path(10)) == "meta.json is not readable"
