"""A Keras model as a runner: what the model gives, in arrays, compiled once per shape."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from ascendvsr.models import card_named
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.restoration.runner import Stream as VideoStream
from tests.networks import Mixture, Neighbors, Recurrence, Stream, runner
from tests.support import BACKENDS, PROJECT

PROPORTIONS = [0.1, 0.3, 0.05, 0.35, 0.2]


class Difference(keras.Model):
    """A flow network of known outcome."""

    def __init__(self):
        super().__init__()
        self.traces = 0

    def call(self, frames, training=False):
        self.traces += 1
        return frames[0][..., :2] - frames[1][..., 1:]


def frames_of(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def assert_same(found, expected) -> None:
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_window_gives_its_frame():
    model, frames = Mixture(proportions=PROPORTIONS), frames_of(2, 5, 6, 7, 3)
    restored, state = runner(model)(frames)
    assert_same(restored, model(frames))
    assert state is None


@pytest.mark.parametrize("channels", [3, 4])
def test_a_clip_gives_all_its_frames(channels):
    model, frames = Neighbors(scale=2, in_channels=channels), frames_of(1, 4, 6, 7, channels)
    restored, state = runner(model)(frames)
    assert_same(restored, model(frames))
    assert state is None


def test_a_step_gives_its_frame_and_what_the_next_one_needs():
    model, windows = Recurrence(), [frames_of(2, 3, 6, 7, 3, seed=seed) for seed in range(3)]
    network, state, expected_state = runner(model), None, None
    for window in windows:
        restored, state = network(window, state)
        expected, expected_state = model.step(window, expected_state)
        assert_same(restored, expected)
        assert_same(np.asarray(state["restored"]), expected_state["restored"])


def test_windows_that_share_frames_are_told_which_ones():
    model, frames = Stream(proportions=PROPORTIONS), frames_of(1, 7, 6, 7, 3)
    network, stream = runner(model), VideoStream()
    for start in range(3):
        stream.numbers = range(start, start + 5)
        window = frames[:, start : start + 5]
        restored, state = network(window, stream)
        assert state is stream
        assert_same(restored, Mixture(proportions=PROPORTIONS)(window))
    assert model.seen == list(range(7))
    assert set(stream.kept) == set(range(2, 7))


def test_two_frames_give_their_flow():
    frames = frames_of(2, 2, 6, 7, 3)
    flow, state = KerasRunner(Difference(), card_named("PWCNet"))(frames)
    assert_same(flow, frames[:, 0, ..., :2] - frames[:, 1, ..., 1:])
    assert state is None


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (runner(Mixture(5, 1, scale=2)), ("window", 2, 5, 1, 3, False)),
        (runner(Neighbors(scale=2, in_channels=4)), ("clip", 2, 0, 0, 4, False)),
        (runner(Recurrence()), ("recurrent", 1, 3, 1, 3, False)),
        (runner(Stream(scale=1)), ("window", 1, 5, 2, 3, True)),
        (KerasRunner(Difference(), card_named("PWCNet")), ("flow", 1, 2, 0, 3, False)),
    ],
    ids=lambda value: value.name if isinstance(value, KerasRunner) else "",
)
def test_what_is_said_of_it(network, expected):
    said = (network.kind, network.scale, network.window, network.center, network.channels, network.shares_frames)
    assert said == expected
    assert network.dtype == "float32"


def test_there_is_one_trace_per_shape():
    """Whatever the arrays hold, whichever video they are of."""
    mixture, neighbors, difference, stream = Mixture(), Neighbors(), Difference(), Stream()
    runners = [runner(mixture), runner(neighbors), KerasRunner(difference, card_named("PWCNet")), runner(stream)]
    for seed, height in enumerate((6, 8, 6, 8, 6)):
        for network in runners[:3]:
            network(frames_of(1, network.window or 4, height, 7, 3, seed=seed))
        runners[3](frames_of(1, 5, height, 7, 3, seed=seed), VideoStream(range(5)))
    assert (mixture.traces, len(neighbors.lengths), difference.traces, stream.traces) == (2, 2, 2, 2)


def test_a_recurrent_network_has_one_trace_for_all_frames():
    class Counted(Recurrence):
        traces = 0

        def step(self, frames, state=None):
            Counted.traces += 1
            return super().step(frames, state)

    network = runner(Counted())
    for seed in range(2):
        state = None
        for _ in range(4):
            _, state = network(frames_of(1, 3, 6, 7, 3, seed=seed), state)
    assert Counted.traces == 1


def test_weights_that_change_between_calls_are_used():
    class Scaled(Mixture):
        def build(self, shape):
            self.gain = self.add_weight(shape=(), initializer="ones", name="gain")

        def call(self, clip, training=False):
            return super().call(clip) * self.gain

    model, frames = Scaled(), frames_of(1, 5, 6, 7, 3)
    network = runner(model)
    before, _ = network(frames)
    model.gain.assign(0.5)
    assert_same(network(frames)[0], 0.5 * before)


OTHER_BACKEND = """
import sys
import keras
import numpy as np
from ascendcv.dataloader.pixels import quantize, to_unit
from ascendvsr.models import card_named
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.restoration.loops import restored_frames
from tests.ascendvsr.models.test_keras_runner import Difference, PROPORTIONS, frames_of
from tests.networks import Mixture, Neighbors, Recurrence, Stream, runner

networks = [Mixture(proportions=PROPORTIONS), Neighbors(), Recurrence(), Stream(proportions=PROPORTIONS)]
results = [np.stack(list(restored_frames(runner(network), frames_of(7, 6, 7, 3)))) for network in networks]
for dtype in (np.uint8, np.uint16):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (7, 41, 43, 3), dtype, endpoint=True)
    for network in networks:
        restored = list(restored_frames(runner(network), pixels))
        assert {frame.dtype for frame in restored} == {np.dtype(dtype)}
        values = restored_frames(runner(network), map(to_unit, pixels))
        np.testing.assert_array_equal(restored, [quantize(frame, dtype) for frame in values])
results.append(KerasRunner(Difference(), card_named("PWCNet"))(frames_of(2, 2, 6, 7, 3))[0])
assert keras.backend.backend() == sys.argv[1]
np.savez(sys.argv[2], *results)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_backends_give_the_same(tmp_path, backend):
    results = []
    for name in ("tensorflow", backend):
        # One operation at a time, so that TensorFlow's sums have the same bits again.
        environment = os.environ | {
            "KERAS_BACKEND": name,
            "PYTHONPATH": str(PROJECT),
            "TF_NUM_INTEROP_THREADS": "1",
        }
        command = [sys.executable, "-c", OTHER_BACKEND, name, str(tmp_path / f"{name}.npz")]
        process = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        results.append(np.load(tmp_path / f"{name}.npz"))
    expected, found = results
    assert len(expected.files) == 5
    for name in expected.files:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)
