"""What a run writes and prints beside training."""

import csv
import json
import logging
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ascendcv.runner.checkpoint import CheckpointStore, read_meta
from ascendcv.runner.hooks import averages
from ascendcv.runner.hooks.averages import Averages
from ascendcv.runner.hooks.csv_file import CsvFile, read_rows
from ascendcv.runner.hooks.hook import Hook
from ascendcv.runner.hooks.log_line import LogLine, format_duration, format_line
from ascendcv.runner.hooks.offsets import OffsetMagnitude
from ascendcv.runner.hooks.plots import Plots
from ascendcv.runner.hooks.samples import Samples
from ascendcv.runner.hooks.saver import CheckpointSaver
from ascendcv.runner.hooks.tensorboard import TensorBoard
from ascendcv.runner.hooks.validation import Validation
from ascendcv.runner.logs import logging_to
from tests.ascendcv.runner.tiny_training import GLOBAL_BATCH, Keep, build_model, make_trainer


def save(model, path):
    model.save_weights(path)


def test_the_line_is_that_of_the_release_and_more():
    scalars = {"lr": 4e-4, "loss": 9476.21899544, "time": 209.62, "fps": 19.08, "eta": 3723.0}
    line = "Step:20, lr:0.00040000, loss:9476.21899544, time:209.62ms, fps:19.08"
    assert format_line(20, scalars) == f"{line}, eta:1:02:03"
    more = scalars | {"loss/px": 0.04821, "loss/l1": 0.5, "psnr": 25.314, "epoch": 1.25, "eta_epoch": 61.0}
    end = "loss/l1:0.500000, loss/px:0.048210, psnr:25.31, epoch:1.25, eta_epoch:0:01:01, eta:1:02:03"
    assert format_line(20, more) == f"{line}, {end}"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (86399, "23:59:59"), (200000, "2d 07:33:20")]
)
def test_durations(seconds: float, text: str):
    assert format_duration(seconds) == text


def test_averages_weigh_the_past_less_and_appear_at_their_interval():
    keep = Keep()
    make_trainer(hooks=[Averages(2, GLOBAL_BATCH, decay=0.5), keep]).fit()
    assert [step for step, scalars in keep.scalars.items() if scalars] == [2, 4]
    losses = [report["loss"] for report in keep.reports]
    weights = np.array([1 / 8, 1 / 4, 1 / 2, 1])
    found = keep.scalars[4]
    assert found["loss"] == pytest.approx(np.average(losses[:4], weights=weights), rel=1e-6)
    assert found["lr"] == keep.reports[3]["lr"]
    assert found["fps"] == pytest.approx(GLOBAL_BATCH / (found["time"] / 1000))
    assert 0 < found["time"] < 1000 * found["elapsed"]
    assert found["eta"] > 0


class Clock(Hook):
    """The clock that `Averages` looks at: the first batch of a process takes 100 seconds, all others take 2."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now, self.batches = 0.0, 0
        monkeypatch.setattr(averages, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def after_batch(self, trainer):
        self.now += 2.0 if self.batches else 100.0
        self.batches += 1


def test_the_time_left_is_that_of_all_updates_but_the_first_which_is_traced(monkeypatch):
    keep = Keep()
    hooks = [Clock(monkeypatch), Averages(1, 4), keep]
    make_trainer(hooks=hooks, steps_per_epoch=4, total_steps=6).fit()
    assert keep.scalars[3]["eta"] == 3 * 2.0
    assert keep.scalars[3]["eta_epoch"] == 1 * 2.0
    assert keep.scalars[3]["epoch"] == 0.75
    assert keep.scalars[4]["eta_epoch"] == 0.0
    assert keep.scalars[6]["eta"] == 0.0


def test_the_time_left_is_right_from_the_first_update_after_a_resume_on(monkeypatch):
    first, second, keep = Averages(1, 4), Averages(1, 4), Keep()
    make_trainer(hooks=[Clock(monkeypatch), first], total_steps=5).fit()
    second.restore(json.loads(json.dumps(first.state())))
    trainer = make_trainer(hooks=[Clock(monkeypatch), second, keep], total_steps=101)
    trainer.step = 90
    trainer.fit()
    assert keep.scalars[91]["eta"] == 10 * 2.0


def test_averages_go_on_in_a_resumed_run_and_leave_out_what_is_not_finite():
    first, second, keep = Averages(1, 4), Averages(1, 4), Keep()
    make_trainer(hooks=[first], total_steps=3).fit()
    second.restore(first.state())
    make_trainer(hooks=[second, keep], total_steps=1).fit()
    assert second._weights["loss"] == pytest.approx(1 + 0.995 * (1 + 0.995 * (1 + 0.995)))


def test_lines_go_to_the_screen_and_at_once_to_the_file(tmp_path, capsys):
    path = tmp_path / "log/train.log"
    lines = []

    class Read(Hook):
        def after_batch(self, trainer):
            lines.append(path.read_text())

    with logging_to(path):
        make_trainer(hooks=[Averages(1, 4), LogLine(), Read()], total_steps=2).fit()
    pattern = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d Step:1, lr:0\.01000000, loss:\d+\.\d{8}, time:\d+\.\d\dms, fps:\d+"
    assert re.match(pattern, lines[0])
    assert lines[1].count("\n") == 2
    assert capsys.readouterr().out == path.read_text()
    assert logging.getLogger("ascendcv").handlers == []


def test_other_workers_show_warnings_only(capsys):
    with logging_to(None):
        logging.getLogger("ascendcv.x").info("a step")
        logging.getLogger("ascendcv.x").warning("a problem")
    assert capsys.readouterr().out.endswith("a problem\n")


def test_csv_has_a_row_each_time_and_new_columns_when_needed(tmp_path):
    path = tmp_path / "log.csv"

    class Extra(Hook):
        def after_batch(self, trainer):
            if trainer.step == 3:
                trainer.scalars["val/psnr"] = 30.25

    make_trainer(hooks=[Averages(2, 4), Extra(), CsvFile(path)], total_steps=4).fit()
    rows = list(csv.DictReader(path.open()))
    assert [row["step"] for row in rows] == ["2", "3", "4"]
    assert [row["val/psnr"] for row in rows] == ["", "30.25", ""]
    assert [row["loss"] != "" for row in rows] == [True, False, True]


def test_csv_of_a_continued_run_keeps_the_rows_up_to_its_step(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n1,5.0\n2,4.0\n3,3.5\n4,3.")
    trainer = make_trainer(hooks=[Averages(1, 4), CsvFile(path)], total_steps=3)
    trainer.step = 2
    trainer.fit()
    rows = read_rows(path)
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert [row["loss"] for row in rows[:2]] == ["5.0", "4.0"]
    assert float(rows[2]["loss"]) < 1


def test_tensorboard_gets_scalars_and_pictures(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    picture = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    hooks = [
        Averages(2, 4),
        Samples(2, tmp_path / "sample", lambda model, batch: {"sample": picture, "flow": picture[::-1]}),
        TensorBoard(tmp_path),
    ]
    make_trainer(hooks=hooks, total_steps=4).fit()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Tensors("loss")] == [2, 4]
    encoded = tf.make_ndarray(events.Tensors("sample")[0].tensor_proto)[2]
    np.testing.assert_array_equal(tf.io.decode_png(encoded).numpy(), picture)
    assert [event.step for event in events.Tensors("flow")] == [2, 4]
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "sample/00000004.png")), picture)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "sample/00000004-flow.png")), picture[::-1])


@pytest.mark.parametrize("package", ["matplotlib", "tensorboard"])
def test_a_missing_package_is_named_with_its_extra_and_training_goes_on(
    tmp_path, monkeypatch, caplog, package: str
):
    monkeypatch.setitem(sys.modules, package, None)
    log = tmp_path / "log.csv"
    hooks = {"matplotlib": Plots(log, tmp_path / "plots"), "tensorboard": TensorBoard(tmp_path / "board")}
    make_trainer(hooks=[Averages(1, 4), CsvFile(log), hooks[package]], total_steps=1).fit()
    assert "pip install 'ascendvsr[train]'" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_sample_pictures_are_cleared_away_as_asked(tmp_path):
    picture = np.zeros((4, 4, 3), np.uint8)

    def left(**options: int) -> list[str]:
        folder = tmp_path / "-".join(options)
        folder.mkdir()
        (folder / "mine.png").write_bytes(b"")
        pictures = {"sample": picture, "flow": picture}
        make_trainer(hooks=[Samples(1, folder, lambda model, batch: pictures, **options)]).fit()
        return sorted(path.name for path in folder.iterdir())

    names = [f"0000000{step}{ending}.png" for step in (4, 5) for ending in ("-flow", "")]
    assert left(keep=2) == [*names, "mine.png"]
    assert left(clear_interval=4) == [*names, "mine.png"]


def test_offsets_are_measured_on_one_sample_of_the_batch(caplog):
    caplog.set_level(logging.INFO)
    keep, clips = Keep(), []

    def magnitudes(model, clip):
        clips.append(clip.shape)
        return {"pcd_align.dcn_pack.l3": 1.5}

    make_trainer(hooks=[OffsetMagnitude(2, magnitudes), keep], total_steps=3).fit()
    assert clips == [(1, 6, 6, 3)]
    assert "Mean |offset| in pixels at step 2: pcd_align.dcn_pack.l3 1.500" in caplog.text
    assert keep.scalars == {1: {}, 2: {"offset/pcd_align.dcn_pack.l3": 1.5}, 3: {}}


def test_the_best_validation_is_kept(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    store = CheckpointStore(tmp_path, "Tiny", keep=1)
    scores = iter([30.0, 32.5, 31.0])
    hooks = [Validation(2, lambda model, step: {"psnr": next(scores)}), CheckpointSaver(store, 0, save)]
    make_trainer(hooks=hooks, total_steps=7).fit()
    assert store.best() == (4, 32.5)
    assert store.steps() == [4, 7]
    assert "Validation at step 4: psnr:32.5000" in caplog.text
    assert f"Best so far: {store.path(4)} (val/psnr 32.5000)" in caplog.text


def test_any_scalar_ranks_checkpoints_and_less_may_be_better(tmp_path):
    class Score(Hook):
        def after_batch(self, trainer):
            trainer.scalars["val/epe"] = [5.0, 2.0, 3.0, 1.0, 4.0][trainer.step - 1]

    store = CheckpointStore(tmp_path, "Tiny", keep=1, keep_best=2, lowest=True)
    saver = CheckpointSaver(store, 0, save, best_by="val/epe", settings={"random_seed": 3})
    make_trainer(hooks=[Score(), saver], steps_per_epoch=2, total_steps=5).fit()
    assert store.ranking() == [(4, 1.0), (2, 2.0)]
    assert store.steps() == [2, 4, 5]
    meta = read_meta(store.path(4))
    assert (meta["epoch"], meta["score"], meta["settings"]) == (2, 1.0, {"random_seed": 3})


def test_the_validated_network_is_the_moving_average_where_there_is_one():
    seen = []
    average = build_model()
    validation = Validation(1, lambda model, step: seen.append(model) or {"psnr": 1.0})
    make_trainer(ema_model=average, hooks=[validation], total_steps=1).fit()
    assert seen == [average]


def test_checkpoints_are_written_at_their_interval_and_at_the_end_once(tmp_path):
    store = CheckpointStore(tmp_path, "Tiny")
    (tmp_path / ".tmp-0123abcd-Tiny-2").mkdir()
    make_trainer(hooks=[CheckpointSaver(store, 2, save)], total_steps=5).fit()
    assert store.steps() == [2, 4, 5]
    assert not list(tmp_path.glob(".tmp-*"))
