"""What one update is, and what happens around it."""

import os
import signal
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.layers.precision import computing_in
from ascendcv.runner.checkpoint import CheckpointStore
from ascendcv.runner.hooks.hook import Hook
from ascendcv.runner.hooks.nonfinite import NonFiniteWatch
from ascendcv.runner.hooks.saver import CheckpointSaver
from ascendcv.runner.optimizers import MOMENTUM, Optimizer
from ascendcv.runner.precision import LossScale
from ascendcv.runner.state import restore_state
from ascendcv.utils.errors import InputError
from tests.ascendcv.runner.tiny_training import SquaredError, batches, build_model, make_trainer, weights


class Recorder(Hook):
    """Keeps what the trainer reports, and how often its own methods were called."""

    def __init__(self):
        self.reports = []
        self.calls = []

    def start(self, trainer):
        self.calls.append("start")

    def after_batch(self, trainer):
        self.calls.append(trainer.step)
        self.reports += trainer.reports

    def end(self, trainer):
        self.calls.append("end")


def plain_descent(model, rate: float) -> Optimizer:
    """Gradient descent without momentum, whose arithmetic a test can repeat."""
    return Optimizer(
        MOMENTUM, [v.value for v in model.trainable_variables], {"learning_rate": rate, "momentum": 0.0}
    )


def gradients(model, batch) -> list[np.ndarray]:
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(batch["lq"]) - batch["gt"]))
    return [gradient.numpy() for gradient in tape.gradient(loss, [v.value for v in model.trainable_variables])]


def assert_equal(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_update_is_one_step_against_the_gradient_at_the_scheduled_rate():
    model = build_model()
    expected = weights(model)
    trainer = make_trainer(model, optimizer=plain_descent(model, 0.0), total_steps=1)
    gradient = gradients(model, next(batches(0)))
    trainer.fit()
    for found, before, slope in zip(weights(model), expected, gradient, strict=True):
        np.testing.assert_allclose(found, before - 1e-2 * slope, rtol=1e-5, atol=1e-7)


def test_hooks_are_called_around_the_batches_and_rates_follow_the_schedule():
    recorder = Recorder()
    make_trainer(hooks=[recorder], total_steps=3).fit()
    assert recorder.calls == ["start", 1, 2, 3, "end"]
    assert [report["lr"] for report in recorder.reports] == [1e-2, 1e-2 / 2, 1e-2 / 3]
    assert all(report["finite"] == 1 for report in recorder.reports)
    assert all(report.keys() >= {"loss", "error", "gradient_norm"} for report in recorder.reports)


def test_other_rates_follow_their_own_schedule():
    """As the momentum does in a one-cycle schedule."""
    seen = []

    class Look(Hook):
        def after_batch(self, trainer):
            seen.append(float(trainer.optimizer.rates["beta_1"].numpy()))

    trainer = make_trainer(other_rates=lambda step: {"beta_1": 0.5 + 0.1 * step}, hooks=[Look()], total_steps=3)
    trainer.fit()
    assert seen == pytest.approx([0.5, 0.6, 0.7])
    fixed = make_trainer(total_steps=3)
    fixed.fit()
    pairs = zip(weights(trainer.model), weights(fixed.model), strict=True)
    assert any(np.abs(found - plain).max() > 1e-4 for found, plain in pairs)


def test_training_reduces_the_loss():
    recorder = Recorder()
    trainer = make_trainer(hooks=[recorder], total_steps=40, batches=lambda first: iter([next(batches(0))] * 40))
    trainer.fit()
    assert recorder.reports[-1]["loss"] < 0.5 * recorder.reports[0]["loss"]


class Recurrent(SquaredError):
    """Three updates a batch; each hands the sum of its predecessors' indices and its prediction on."""

    count = 3

    def start(self, model, batch):
        return tf.constant(10.0), tf.zeros_like(batch["gt"])

    def loss(self, model, batch, index, state):
        total, previous = state
        prediction = model(batch["lq"] + 0.1 * previous, training=True)
        total += tf.cast(index, tf.float32)
        return tf.reduce_mean(tf.square(prediction - batch["gt"])), {"total": total}, (total, prediction)


def test_a_batch_may_give_several_updates_that_hand_on_a_state():
    recorder = Recorder()
    trainer = make_trainer(updates=Recurrent(), hooks=[recorder], total_steps=6)
    trainer.fit()
    assert recorder.calls == ["start", 3, 6, "end"]
    assert [report["total"] for report in recorder.reports] == [10, 11, 13] * 2
    assert [report["lr"] for report in recorder.reports] == [1e-2 / (1 + step) for step in range(6)]
    np.testing.assert_array_equal(trainer.optimizer.counts.numpy(), [6] * 4)


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("updates", [SquaredError("mean"), SquaredError("sum"), Recurrent()])
def test_gradients_accumulated_from_parts_of_a_batch_are_those_of_the_batch(updates, parts: int):
    whole, divided = Recorder(), Recorder()
    expected = make_trainer(updates=updates, clip_norm=0.1, hooks=[whole], total_steps=6)
    found = make_trainer(updates=updates, clip_norm=0.1, hooks=[divided], total_steps=6, accumulate=parts)
    expected.fit()
    found.fit()
    for a, b in zip(weights(found.model), weights(expected.model), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)
    for a, b in zip(divided.reports, whole.reports, strict=True):
        assert a == pytest.approx(b, rel=1e-5)


def test_a_run_that_accumulates_goes_on_to_the_same_bits(tmp_path):
    store = CheckpointStore(tmp_path, "Tiny")
    straight = make_trainer(total_steps=6, accumulate=4)
    straight.fit()
    make_trainer(total_steps=3, accumulate=4, hooks=[CheckpointSaver(store, 0, save)]).fit()
    resumed = make_trainer(build_model(seed=9), total_steps=6, accumulate=4)
    restore_state(resumed, store.newest(), load)
    resumed.fit()
    assert_equal(weights(resumed.model), weights(straight.model))


def test_a_batch_that_memory_does_not_hold_is_divided_until_it_does(caplog):
    """As on a device whose memory runs out above one sample."""

    class Small(SquaredError):
        def loss(self, model, batch, index, state):
            if batch["lq"].shape[0] > 1:
                raise tf.errors.ResourceExhaustedError(None, None, "out of memory")
            return super().loss(model, batch, index, state)

    asked = make_trainer(updates=Small(), total_steps=4, accumulate=0)
    asked.fit()
    assert asked.parts == 4
    assert [record.args for record in caplog.records] == [(4, 2, 2), (4, 4, 1)]
    plain = make_trainer(total_steps=4, accumulate=4)
    plain.fit()
    assert_equal(weights(asked.model), weights(plain.model))
    with pytest.raises(tf.errors.ResourceExhaustedError):
        make_trainer(updates=Small(), total_steps=4, accumulate=2).fit()


def test_with_several_updates_a_batch_a_resumed_run_begins_with_the_batch_that_comes_next(tmp_path):
    store = CheckpointStore(tmp_path, "Tiny")
    asked = []

    def numbered(first: int):
        asked.append(first)
        return batches(first)

    def trainer():
        options = {"ema_model": build_model(), "batches": numbered, "hooks": [CheckpointSaver(store, 3, save)]}
        return make_trainer(updates=Recurrent(), total_steps=12, **options)

    whole, resumed = trainer(), trainer()
    whole.fit()
    restore_state(resumed, store.path(6), load)
    resumed.fit()
    assert asked == [0, 2]
    assert_equal(everything(resumed), everything(whole))


def test_the_last_batch_makes_no_more_updates_than_are_left():
    recorder = Recorder()
    make_trainer(updates=Recurrent(), hooks=[recorder], total_steps=4).fit()
    assert recorder.calls == ["start", 3, 4, "end"]


@pytest.mark.parametrize(("interval", "steps"), [(3, [3, 6, 9, 12]), (5, [6, 12]), (1, [3, 6, 9, 12]), (0, [])])
def test_an_interval_is_due_with_the_batch_that_completes_it(interval: int, steps: list[int]):
    due = []

    class Ask(Hook):
        def after_batch(self, trainer):
            if trainer.due(interval):
                due.append(trainer.step)

    make_trainer(updates=Recurrent(), hooks=[Ask()], total_steps=12).fit()
    assert due == steps


def test_the_moving_average_follows_the_weights():
    model, average = build_model(), build_model()
    expected = weights(average)

    class Follow(Hook):
        def after_batch(self, trainer):
            for index, weight in enumerate(weights(model)):
                expected[index] = 0.9 * expected[index] + 0.1 * weight

    make_trainer(model, ema_model=average, ema_decay=0.9, hooks=[Follow()]).fit()
    for found, follows in zip(weights(average), expected, strict=True):
        np.testing.assert_allclose(found, follows, rtol=1e-5, atol=1e-7)


def test_the_moving_average_has_the_statistics_of_batch_norm_as_they_are():
    def build():
        keras.utils.set_random_seed(2)
        return keras.Sequential(
            [keras.Input((6, 6, 3)), keras.layers.Conv2D(3, 1), keras.layers.BatchNormalization()]
        )

    model, average = build(), build()
    initial = [variable.numpy() for variable in average.non_trainable_variables]
    make_trainer(model, ema_model=average, ema_decay=0.9).fit()
    found = [variable.numpy() for variable in average.non_trainable_variables]
    assert_equal(found, [variable.numpy() for variable in model.non_trainable_variables])
    assert all((value != before).any() for value, before in zip(found, initial, strict=True))


def test_a_long_gradient_is_shortened_and_a_short_one_is_not():
    model = build_model()
    before, slopes = weights(model), gradients(model, next(batches(0)))
    norm = np.sqrt(sum(np.sum(slope**2) for slope in slopes))
    recorder = Recorder()
    options = {"hooks": [recorder], "total_steps": 1}
    make_trainer(model, optimizer=plain_descent(model, 0.0), clip_norm=norm / 4, **options).fit()
    np.testing.assert_allclose(recorder.reports[0]["gradient_norm"], norm, rtol=1e-5)
    for found, start, slope in zip(weights(model), before, slopes, strict=True):
        np.testing.assert_allclose(found, start - 1e-2 * slope / 4, rtol=1e-4, atol=1e-7)
    same = build_model()
    make_trainer(same, optimizer=plain_descent(same, 0.0), clip_norm=norm * 4, **options).fit()
    for found, start, slope in zip(weights(same), before, slopes, strict=True):
        np.testing.assert_allclose(found, start - 1e-2 * slope, rtol=1e-4, atol=1e-7)


def test_resting_variables_do_not_move_until_their_step():
    model = build_model()
    before = weights(model)
    seen = []

    class Watch(Hook):
        def after_batch(self, trainer):
            seen.append([bool(np.any(a != b)) for a, b in zip(weights(model), before, strict=True)])

    make_trainer(model, active=lambda step: [2, 3] if step < 2 else range(4), hooks=[Watch()], total_steps=3).fit()
    assert seen == [[False, False, True, True]] * 2 + [[True] * 4]


def with_poison(*bad_steps: int):
    """The tiny batches, with a NaN in the ground truth of some."""

    def poisoned(first: int):
        for step, batch in enumerate(batches(first), first):
            if step in bad_steps:
                batch["gt"] = tf.tensor_scatter_nd_update(batch["gt"], [[0, 0, 0, 0]], [np.nan])
            yield batch

    return poisoned


def everything(trainer) -> list[np.ndarray]:
    optimizer = trainer.optimizer
    slots = [variable for slot in optimizer.slots.values() for variable in slot]
    models = [*trainer.model.variables, *trainer.ema_model.variables]
    return [variable.numpy() for variable in [*models, *slots, optimizer.counts]]


def test_an_update_that_is_not_finite_changes_nothing():
    layers = [keras.layers.Conv2D(3, 3, padding="same"), keras.layers.BatchNormalization()]
    model, average = (keras.Sequential([keras.layers.Input((6, 6, 3)), *layers]) for _ in range(2))
    states = []

    class Remember(Hook):
        def after_batch(self, trainer):
            states.append(everything(trainer))

    # The poison is in the input, so that it reaches the statistics of the normalization too.
    def poisoned(first):
        for step, batch in enumerate(batches(first), first):
            yield {"lq": batch["lq"] * np.nan if step == 1 else batch["lq"], "gt": batch["gt"]}

    recorder = Recorder()
    trainer = make_trainer(model, ema_model=average, batches=poisoned, hooks=[Remember(), recorder], total_steps=3)
    trainer.fit()
    assert_equal(states[1], states[0])
    assert any(np.any(a != b) for a, b in zip(states[2], states[1], strict=True))
    assert [report["finite"] for report in recorder.reports] == [1, 0, 1]
    assert trainer.step == 3


def test_training_goes_on_after_single_bad_steps_and_stops_after_several_in_a_row(caplog):
    watch = NonFiniteWatch(limit=2)
    make_trainer(batches=with_poison(1, 3), hooks=[watch]).fit()
    assert watch.total == 2
    assert "Step:2 skipped, its loss is not finite (1 in a row, 1 in all)" in caplog.text
    with pytest.raises(RuntimeError, match=r"stopped at step 3: the loss was not finite 2 times in a row"):
        make_trainer(batches=with_poison(1, 2), hooks=[NonFiniteWatch(limit=2)]).fit()


def test_a_loss_scale_changes_nothing_but_the_scale_of_the_gradient():
    plain, scaled = build_model(), build_model()
    make_trainer(plain).fit()
    make_trainer(scaled, loss_scale=LossScale(2.0**12)).fit()
    assert_equal(weights(scaled), weights(plain))


def test_float16_trains_while_the_dynamic_scale_comes_down():
    """At 2^32 the gradients overflow; those updates are skipped and do not count as failures."""
    with computing_in("float16"):
        model = build_model()
    before, scale, recorder = weights(model), LossScale(2.0**32, dynamic=True), Recorder()

    class Float32Loss(SquaredError):
        def loss(self, model, batch, index, state):
            error = tf.square(tf.cast(model(batch["lq"], training=True), tf.float32) - batch["gt"])
            return tf.reduce_mean(error), {}, state

    hooks = [recorder, NonFiniteWatch(limit=1)]
    make_trainer(model, Float32Loss(), 30, loss_scale=scale, hooks=hooks).fit()
    skipped = [report["finite"] for report in recorder.reports].count(0)
    assert 5 < skipped < 25
    assert scale.value == 2.0 ** (32 - skipped)
    assert all(v.dtype == np.float32 for v in weights(model))
    assert any(np.any(a != b) for a, b in zip(weights(model), before, strict=True))
    assert recorder.reports[-1]["finite"] == 1


def test_xla_gives_the_same_update():
    plain, compiled = build_model(), build_model()
    make_trainer(plain).fit()
    make_trainer(compiled, xla=True).fit()
    for a, b in zip(weights(compiled), weights(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_training_after_the_step_and_hooks_end_as_usual(number: int):
    class Interrupt(Hook):
        def after_batch(self, trainer):
            if trainer.step == 2:
                os.kill(os.getpid(), number)

    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    recorder = Recorder()
    assert make_trainer(hooks=[Interrupt(), recorder], total_steps=100).fit() == number
    assert recorder.calls[-1] == "end"
    assert recorder.calls[-2] == 2
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_training_works_in_a_thread_where_signals_cannot_be_caught():
    results = []
    thread = threading.Thread(target=lambda: results.append(make_trainer(total_steps=1).fit()))
    thread.start()
    thread.join()
    assert results == [0]


def save(model, path):
    model.save_weights(path)


def load(model, path):
    model.load_weights(path)


def test_a_restored_run_goes_on_as_if_it_had_never_stopped(tmp_path):
    store = CheckpointStore(tmp_path, "Tiny")

    def trainer(total_steps: int):
        saver = CheckpointSaver(store, 2, save)
        options = {"ema_model": build_model(), "loss_scale": LossScale(64.0, True, growth_interval=3)}
        return make_trainer(total_steps=total_steps, hooks=[saver], **options)

    whole = trainer(5)
    whole.fit()
    resumed = trainer(5)
    restore_state(resumed, store.path(2), load)
    assert (resumed.step, resumed.elapsed_before > 0) == (2, True)
    resumed.fit()
    assert_equal(everything(resumed), everything(whole))
    assert (resumed.loss_scale.value, resumed.loss_scale.good_updates) == (128.0, 2)


def test_random_numbers_go_on_where_they_were(tmp_path):
    store = CheckpointStore(tmp_path, "Tiny")
    model = keras.Sequential([keras.layers.Input((6, 6, 3)), keras.layers.Conv2D(3, 1), keras.layers.Dropout(0.5)])
    trainer = make_trainer(model, hooks=[CheckpointSaver(store, 0, save)], total_steps=2)
    trainer.fit()
    draws = [np.random.random(), model(tf.ones([1, 6, 6, 3]), training=True).numpy()]
    restore_state(trainer, store.path(2), load)
    again = [np.random.random(), model(tf.ones([1, 6, 6, 3]), training=True).numpy()]
    assert_equal(again, draws)


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    store = CheckpointStore(tmp_path, "Tiny")
    make_trainer(hooks=[CheckpointSaver(store, 0, save)], total_steps=1).fit()
    model = build_model()
    other = make_trainer(model, optimizer=plain_descent(model, 0.1))
    with pytest.raises(InputError, match="another network or optimizer"):
        restore_state(other, store.path(1), load)
