"""Chunks cover a video of any length in constant memory, and their weights leave no seams in time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascendcv.utils.errors import InputError
from ascendvsr.restoration.chunks import chunk_weights, chunks, restore_in_chunks
from ascendvsr.restoration.tiles import BLENDINGS, tile_starts

axes = st.tuples(st.integers(1, 120), st.integers(1, 40), st.integers(0, 39)).filter(lambda axis: axis[2] < axis[1])


def mean_of_neighbors(reach: int):
    """A network whose frames depend on `reach` frames to each side."""

    def forward(clips: np.ndarray) -> np.ndarray:
        padded = np.pad(clips, ((0, 0), (reach, reach), (0, 0), (0, 0), (0, 0)), mode="edge")
        return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1).mean(axis=-1)

    return forward


def video(length: int) -> np.ndarray:
    return np.random.default_rng(0).random((length, 2, 3, 3), dtype=np.float32)


@given(axes)
def test_chunks_are_the_tiles_of_an_axis_of_known_length(axis):
    length, chunk, overlap = axis
    found = list(chunks(iter(range(length)), chunk, overlap))
    assert [start for start, _, _ in found] == tile_starts(length, chunk, overlap)
    assert [frames for start, frames, _ in found] == [
        list(range(start, start + min(chunk, length))) for start, _, _ in found
    ]
    assert [end for _, _, end in found] == [None] * (len(found) - 1) + [length]


@given(axes, st.sampled_from(list(BLENDINGS)))
def test_what_is_blended_adds_up_to_one(axis, blending):
    """A network that changes nothing restores the video itself, wherever weights come from."""
    length, chunk, overlap = axis
    frames = [np.full((1, 1, 1), number, np.float32) for number in range(length)]
    restored = list(restore_in_chunks(lambda clip: clip, frames, chunk=chunk, overlap=overlap, blending=blending))
    np.testing.assert_allclose(np.squeeze(restored), np.arange(length), rtol=1e-6)


@given(axes)
def test_seamless_weights_rise_and_fall_alike_and_reach_one(axis):
    _, chunk, overlap = axis
    weights = chunk_weights(1, chunk, None, overlap, "seamless")
    np.testing.assert_allclose(weights, weights[::-1], atol=1e-6)
    assert weights.min() >= 0
    if chunk >= 2 * overlap:
        assert weights.max() == 1


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 27, 28, 29, 60])
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_chunks_equal_the_whole_where_frames_depend_on_a_quarter_of_the_overlap(length, reach):
    frames, forward = video(length), mean_of_neighbors(reach)
    restored = np.stack(list(restore_in_chunks(forward, frames, chunk=16, overlap=8)))
    np.testing.assert_allclose(restored, forward(frames[np.newaxis])[0], atol=1e-6)


def test_a_longer_reach_shows_near_the_ends_of_chunks_only():
    frames, forward = video(40), mean_of_neighbors(6)
    restored = np.stack(list(restore_in_chunks(forward, frames, chunk=24, overlap=8)))
    error = np.abs(restored - forward(frames[np.newaxis])[0]).max(axis=(1, 2, 3))
    # Chunks begin at 0 and 16: the overlap is 16 to 23, of which the quarters at its ends are the other chunk's.
    assert np.flatnonzero(error > 1e-6).tolist() == list(range(18, 22))


def test_no_more_frames_are_held_than_two_chunks_have():
    taken = []
    frames = (taken.append(number) or np.zeros((1, 1, 1), np.float32) for number in range(1000))
    for count, _ in enumerate(restore_in_chunks(lambda clip: clip, frames, chunk=10, overlap=4)):
        assert len(taken) - count <= 20


def test_all_frames_at_once():
    lengths = []
    restored = restore_in_chunks(lambda clip: lengths.append(clip.shape[1]) or clip, video(37), chunk=0, overlap=8)
    assert len(list(restored)) == 37
    assert lengths == [37]


def test_no_frames_give_no_frames():
    assert list(restore_in_chunks(lambda clip: pytest.fail("called"), [], chunk=4, overlap=2)) == []
    assert list(restore_in_chunks(lambda clip: pytest.fail("called"), [], chunk=0, overlap=2)) == []


@pytest.mark.parametrize("overlap", [4, 7, -1])
def test_an_overlap_as_large_as_the_chunk_is_refused(overlap):
    with pytest.raises(InputError, match=f"chunks of 4 frames cannot overlap by {overlap}"):
        list(restore_in_chunks(lambda clip: clip, video(9), chunk=4, overlap=overlap))
