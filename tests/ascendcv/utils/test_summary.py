"""Summaries from inside a network land in the run's file, under its step."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.runner.hooks.tensorboard import TensorBoard
from ascendcv.runner.hooks.validation import Validation
from ascendcv.utils import summary
from tests.ascendcv.runner.tiny_training import SquaredError, make_trainer


class Telling(keras.Model):
    """A convolution that tells the mean of what it gives, and shows it."""

    def __init__(self):
        super().__init__()
        self.convolution = keras.layers.Conv2D(3, 3, padding="same")

    def call(self, frames, training=False):
        restored = self.convolution(frames)
        summary.scalar("inside/mean", keras.ops.mean(restored))
        summary.images("inside/frames", restored, most=2)
        return restored


def telling() -> Telling:
    keras.utils.set_random_seed(0)
    model = Telling()
    model(np.zeros((1, 6, 6, 3), np.float32))
    return model


def written(folder: Path) -> dict[str, list[tuple[int, np.ndarray]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


def test_what_a_network_tells_while_it_is_trained_stands_under_the_step_of_its_update(tmp_path):
    model = telling()
    hooks = [Validation(1, lambda model, step: {"mean": float(np.mean(model(np.ones((1, 6, 6, 3)))))})]
    trainer = make_trainer(model, total_steps=6, hooks=[*hooks, TensorBoard(tmp_path, interval=2)])
    trainer.fit()
    found = written(tmp_path)
    assert [step for step, _ in found["inside/mean"]] == [2, 4, 6]  # and not those of validations
    assert [step for step, _ in found["inside/frames"]] == [2, 4, 6]
    assert len(found["inside/frames"][0][1]) == 2 + 2  # width, height, two pictures
    assert [step for step, _ in found["val/mean"]] == [1, 2, 3, 4, 5, 6]


def test_it_is_the_value_of_that_very_update(tmp_path):
    class Told(SquaredError):
        def loss(self, model, batch, index, state):
            loss, report, state = super().loss(model, batch, index, state)
            summary.scalar("loss again", loss)
            return loss, report, state

    kept = []

    class Keep(TensorBoard):
        def after_batch(self, trainer):
            kept.append(trainer.reports[-1]["loss"])
            super().after_batch(trainer)

    make_trainer(updates=Told(), total_steps=3, hooks=[Keep(tmp_path, interval=1)]).fit()
    found = [(step, float(value)) for step, value in written(tmp_path)["loss again"]]
    assert [step for step, _ in found] == [1, 2, 3]
    assert [value for _, value in found] == pytest.approx(kept)


def test_without_a_run_in_a_pause_and_under_xla_nothing_happens(tmp_path):
    model = telling()
    frames = np.random.default_rng(0).random((1, 6, 6, 3), np.float32)
    expected = model(frames)
    with summary.writing_to(tmp_path) as run:
        run.go_to(7)
        found = tf.function(model)(frames)
        with summary.paused():
            tf.function(model)(frames)
        tf.function(model, jit_compile=True)(frames)
    tf.function(model)(frames)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert [step for step, _ in written(tmp_path)["inside/mean"]] == [7]


def test_pictures_are_clipped_and_8_bit_ones_taken_as_they_are(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (1, 5, 4, 3), np.uint8)
    with summary.writing_to(tmp_path):
        summary.images("bytes", levels)
        summary.images("floats", np.full((1, 2, 2, 1), 1.5, np.float32))
    found = written(tmp_path)
    np.testing.assert_array_equal(tf.io.decode_png(found["bytes"][0][1][2]), levels[0])
    assert np.all(tf.io.decode_png(found["floats"][0][1][2]) == 255)
