"""Frames that are not finite end a restoration and an evaluation, rather than become black pictures and NaN."""

import keras
import numpy as np
import pytest

from ascendcv.dataloader.reds import read_set
from ascendcv.utils.errors import InputError
from ascendvsr.evaluation.protocols import PROTOCOLS
from ascendvsr.evaluation.scoring import evaluate_model
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.restore import restore
from ascendvsr.restoration.settings import Settings
from tests.networks import Mixture, Neighbors, Recurrence, runner


class BrokenWindow(Mixture):
    def call(self, clip, training=False):
        return spoiled(super().call(clip), self.value)


class BrokenClip(Neighbors):
    def call(self, clip, training=False):
        return spoiled(super().call(clip), self.value)


class BrokenRecurrence(Recurrence):
    def step(self, frames, state=None):
        restored, state = super().step(frames, state)
        return spoiled(restored, self.value), state


def spoiled(frames, value: float):
    """One value in a corner is another."""
    ones = keras.ops.ones_like(frames[..., :1, :1, :])
    height, width = frames.shape[-3] - 1, frames.shape[-2] - 1
    padding = [(0, 0)] * (len(frames.shape) - 3) + [(0, height), (0, width), (0, 0)]
    return keras.ops.where(keras.ops.pad(ones, padding) > 0, keras.ops.cast(value, frames.dtype), frames)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("network", [BrokenWindow, BrokenClip, BrokenRecurrence])
def test_a_restoration_ends(tmp_path, frame_folder, network, value):
    model = network()
    model.value = value
    with pytest.raises(InputError, match=r"frame 1 came out of Broken\w+ with values that are not finite"):
        restore(runner(model), frame_folder(), tmp_path / "out", progress=False)
    assert not list(tmp_path.glob("out/*"))


class BrokenAtWhite(Mixture):
    """Not finite where the frame's first pixel is white."""

    def call(self, clip, training=False):
        frame = super().call(clip)
        return frame / keras.ops.where(frame[:, :1, :1] == 1, 0.0, 1.0)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_frame_is_named(dtype, batch_size):
    frames = np.full((5, 6, 7, 3), 0.5 if dtype == np.float32 else 100, dtype)
    frames[3] = 1 if dtype == np.float32 else 255
    with pytest.raises(InputError, match="frame 4 came out of BrokenAtWhite"):
        list(restored_frames(runner(BrokenAtWhite()), frames, Settings(batch_size=batch_size)))


@pytest.mark.parametrize("protocol", ["rvrt", "pvdnet_eval"])
def test_an_evaluation_ends(reds_set, protocol):
    model = BrokenWindow(scale=4)
    model.value = np.nan
    with pytest.raises(InputError, match="not finite"):
        evaluate_model(runner(model), read_set(reds_set, "val.json"), PROTOCOLS[protocol])
