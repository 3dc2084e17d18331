"""Networks that go step by step, in constant memory: a video can be stopped and continued at any frame."""

import itertools

import keras
import numpy as np
import pytest

from ascendcv.dataloader.frame_sink import array_sink
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.restoration.loops import restore_steps, restored_frames
from ascendvsr.restoration.restore import restore
from ascendvsr.restoration.settings import Settings
from tests.networks import Recurrence, runner


def frames_of(length: int, height: int = 6, width: int = 7) -> np.ndarray:
    return np.random.default_rng(0).random((length, height, width, 3), dtype=np.float32)


def by_definition(frames: np.ndarray) -> np.ndarray:
    """The recurrence of `Recurrence`, with the first and the last frame as their own neighbors."""
    restored, last = [], len(frames) - 1
    for t, frame in enumerate(frames):
        previous, following = frames[max(t - 1, 0)], frames[min(t + 1, last)]
        before = restored[-1] if restored else previous
        restored.append(0.1 * previous + 0.4 * frame + 0.2 * following + 0.3 * before)
    return np.stack(restored)


@pytest.mark.parametrize("length", [1, 2, 3, 12])
def test_each_step_gets_the_state_of_the_one_before(length):
    frames = frames_of(length)
    restored = np.stack(list(restored_frames(runner(Recurrence()), iter(frames))))
    np.testing.assert_allclose(restored, by_definition(frames), atol=1e-6)


@pytest.mark.parametrize("stop", [1, 2, 5, 7])
def test_a_video_that_was_stopped_goes_on_with_the_same_result(stop):
    frames, network, settings = frames_of(8), runner(Recurrence()), Settings()
    begun = list(itertools.islice(restore_steps(network, frames, settings), stop))
    state = begun[-1][1]
    continued = list(restore_steps(network, frames[stop - 1 :], settings, state))
    restored = np.stack([frame for frame, _ in begun + continued])
    np.testing.assert_array_equal(restored, np.stack(list(restored_frames(network, frames))))


@pytest.mark.parametrize("stop", [1, 4])
def test_also_in_tiles_which_have_a_state_each(stop):
    frames, network = frames_of(6, 20, 30), runner(Recurrence())
    settings = Settings(tile=(8, 12), tile_overlap=4)
    begun = list(itertools.islice(restore_steps(network, frames, settings), stop))
    continued = list(restore_steps(network, frames[stop - 1 :], settings, begun[-1][1]))
    restored = np.stack([frame for frame, _ in begun + continued])
    np.testing.assert_allclose(restored, by_definition(frames), atol=1e-6)


def test_two_videos_do_not_share_a_state():
    network, frames = runner(Recurrence()), frames_of(4)
    for part in (frames, frames[::-1]):
        np.testing.assert_allclose(np.stack(list(restored_frames(network, part))), by_definition(part), atol=1e-6)


def test_no_more_frames_are_read_ahead_than_a_step_needs():
    taken = []
    frames = (taken.append(number) or frame for number, frame in enumerate(frames_of(50)))
    for count, _ in enumerate(restored_frames(runner(Recurrence()), frames), start=1):
        assert len(taken) <= max(count + 1, 3)


def test_a_clip_of_pixels_is_restored():
    frames, restored = (255 * frames_of(5)).astype(np.uint8), []
    assert restore(runner(Recurrence()), frames, array_sink(restored), progress=False) == 5
    expected = by_definition(frames.astype(np.float32) / 255)
    np.testing.assert_allclose(np.stack(restored), 255 * expected, atol=0.51)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 3])
def test_pvdnet_can_be_stopped_and_continued_at_any_frame(stop):
    keras.utils.set_random_seed(0)
    settings = {"model.name": "PVDNet", "model.scale": 1, "pvdnet.num_blocks": 1, "pvdnet.channels": 16}
    model, frames = build_model(load_config(settings=settings)), frames_of(5, 65, 70)
    network = KerasRunner(model)
    begun = list(itertools.islice(restore_steps(network, frames, Settings()), stop))
    continued = list(restore_steps(network, frames[stop - 1 :], Settings(), begun[-1][1]))
    restored = np.stack([frame for frame, _ in begun + continued])
    np.testing.assert_array_equal(restored, np.stack(list(restored_frames(network, frames))))
    np.testing.assert_allclose(restored, model(frames[np.newaxis])[0], atol=1e-4)
