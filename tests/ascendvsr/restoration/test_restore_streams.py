"""Networks that can share work between the windows of a video do so, frame by frame, and nothing else changes."""

import gc
import weakref

import keras
import numpy as np
import pytest

from ascendcv.dataloader.windows import MODES, window_indices
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.runner import Runner
from ascendvsr.restoration.settings import Settings
from tests.networks import Mixture, Stream, runner
from tests.support import TINY_EDVR

PROPORTIONS = [0.1, 0.3, 0.05, 0.35, 0.2]


def frames_of(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((length, 4, 5, 3), dtype=np.float32)


def restored(network: Runner, frames, **settings) -> np.ndarray:
    return np.stack(list(restored_frames(network, iter(frames), Settings(**settings))))


@pytest.mark.parametrize("ends", MODES)
@pytest.mark.parametrize("length", [1, 2, 4, 5, 9])
def test_the_result_is_that_of_windows_one_by_one(ends, length):
    frames = frames_of(length)
    streamed, one_by_one = (
        restored(runner(network(proportions=PROPORTIONS)), frames, window_ends=ends)
        for network in (Stream, Mixture)
    )
    np.testing.assert_allclose(streamed, one_by_one, atol=1e-6)


@pytest.mark.parametrize("ends", ["replicate", "reflection"])
def test_each_frame_is_looked_at_once(ends):
    """Replicated and reflected ends are frames that are there already."""
    model = Stream(proportions=PROPORTIONS)
    restored(runner(model), frames_of(9), window_ends=ends)
    assert len(model.seen) == len(set(model.seen)) == 9


def test_the_frames_of_another_video_are_other_frames():
    model = Stream(proportions=PROPORTIONS)
    network = runner(model)
    for seed in (0, 1):
        frames = frames_of(5, seed)
        windows = [frames[window_indices(position, 5, 5, "replicate")] for position in range(5)]
        expected = [np.tensordot(PROPORTIONS, window, 1).repeat(2, 0).repeat(2, 1) for window in windows]
        np.testing.assert_allclose(restored(network, frames), expected, atol=1e-6)
    assert model.seen == [*range(5), *range(5)]


@pytest.mark.parametrize("settings", [{"batch_size": 2}, {"tile": (3, 3), "tile_overlap": 1}])
def test_tiles_and_batches_are_windows_by_themselves(settings):
    with pytest.raises(AssertionError, match="computed once"):
        restored(runner(Stream()), frames_of(5), **settings)


def test_a_model_that_is_no_longer_used_is_forgotten():
    network = runner(Stream())
    restored(network, frames_of(3))
    reference = weakref.ref(network.model)
    del network
    gc.collect()
    assert reference() is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("CDVDTSP", {"cdvd_tsp.n_resblock": 1, "cdvd_tsp.n_feat": 8}),
        ("FlowDBN", {"deblur_devil.num_feat": 8}),
    ],
)
@pytest.mark.parametrize("ends", ["replicate", "reflection"])
def test_the_networks_that_stream_give_what_they_give_window_by_window(name, settings, ends):
    keras.utils.set_random_seed(0)
    model = build_model(
        load_config(settings={"model.name": name, "model.scale": 1, "model.num_frames": 5} | settings)
    )
    frames = np.random.default_rng(0).random((7, 65, 70, 3), dtype=np.float32)
    network = KerasRunner(model)
    one_by_one = restored(network, frames, window_ends=ends, batch_size=2)
    np.testing.assert_allclose(restored(network, frames, window_ends=ends), one_by_one, atol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"edvr.hr_in": True, "edvr.with_predeblur": True, "model.scale": 1}])
@pytest.mark.parametrize("ends", ["replicate", "reflection"])
def test_edvr_in_a_video_gives_the_same_bits(settings, ends):
    keras.utils.set_random_seed(0)
    model = build_model(load_config(settings=TINY_EDVR | settings))
    frames = np.random.default_rng(0).random((6, 21, 34, 3), dtype=np.float32)
    network = KerasRunner(model)
    one_by_one = restored(network, frames, window_ends=ends, batch_size=2)
    np.testing.assert_array_equal(restored(network, frames, window_ends=ends), one_by_one)
