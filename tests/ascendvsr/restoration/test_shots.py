"""Clips as shots: nothing of one shot is used in another, and nothing is read ahead."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ascendcv.dataloader.frame_sink import array_sink
from ascendvsr.restoration.restore import restore
from ascendvsr.restoration.settings import Settings
from ascendvsr.restoration.shots import marked_at, shots
from tests.networks import Mixture, Recurrence, runner


@given(st.lists(st.booleans(), max_size=30))
def test_every_frame_is_in_one_shot_and_shots_begin_where_marked(marks):
    found = [list(shot) for shot in shots(enumerate(marks))]
    assert [frame for shot in found for frame in shot] == list(range(len(marks)))
    assert [shot[0] for shot in found[1:]] == [number for number, begins in enumerate(marks) if begins and number]


def test_frames_that_nobody_asks_for_are_read_past():
    assert [next(shot) for shot in shots(marked_at("abcdef", [2, 4]))] == ["a", "c", "e"]


def test_only_the_next_frame_is_read_ahead():
    read = []

    def frames():
        for number in itertools.count():
            read.append(number)
            yield number, number == 3

    found = shots(frames())
    assert list(next(found)) == [0, 1, 2]
    assert read == [0, 1, 2, 3]
    assert next(next(found)) == 3
    assert read == [0, 1, 2, 3]


def restored(network, frames: np.ndarray, **options) -> np.ndarray:
    found: list[np.ndarray] = []
    restore(network, frames, array_sink(found), progress=False, **options)
    return np.stack(found)


def test_windows_and_states_end_at_a_cut():
    frames = np.random.default_rng(0).integers(0, 256, (9, 4, 5, 3), np.uint8)
    for network in (runner(Mixture(scale=1, proportions=[0.2] * 5)), runner(Recurrence())):
        whole = restored(network, frames, scene_cuts=[4])
        apart = [restored(network, part) for part in (frames[:4], frames[4:])]
        np.testing.assert_array_equal(whole, np.concatenate(apart))
        assert not np.array_equal(whole, restored(network, frames))


def test_cuts_go_with_batches_and_tiles():
    frames = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), np.uint8)
    network = runner(Mixture(scale=1, proportions=[0.2] * 5))
    settings = Settings(batch_size=3, tile=(4, 8), tile_overlap=(2, 0))
    expected = restored(network, frames, scene_cuts=[1, 5])
    np.testing.assert_array_equal(restored(network, frames, settings=settings, scene_cuts=[1, 5]), expected)
