"""Windows at the ends of a clip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascendcv.dataloader.windows import MODES, window_indices

# The published behavior for a clip of 7 frames and a window of 5: mode -> windows of frames 0, 1, 5 and 6.
PUBLISHED = {
    "replicate": ["00012", "00123", "34566", "45666"],
    "reflection": ["21012", "10123", "34565", "45654"],
    "reflection_circle": ["43012", "40123", "34562", "45632"],
    "circle": ["34012", "40123", "34562", "45623"],
}
lengths, modes = st.integers(1, 12), st.sampled_from(MODES)
windows = st.integers(0, 4).map(lambda half: 2 * half + 1)


@pytest.mark.parametrize("mode", MODES)
def test_the_ends_are_as_published(mode: str):
    for center, expected in zip((0, 1, 5, 6), PUBLISHED[mode], strict=True):
        assert "".join(map(str, window_indices(center, 7, 5, mode))) == expected


@given(length=lengths, num_frames=windows, mode=modes, data=st.data())
def test_any_clip_gives_windows_of_its_own_frames_around_the_center(length, num_frames, mode, data):
    center = data.draw(st.integers(0, length - 1))
    indices = window_indices(center, length, num_frames, mode)
    assert len(indices) == num_frames
    assert indices[num_frames // 2] == center
    assert all(0 <= index < length for index in indices)
    half = num_frames // 2
    if half <= center < length - half:
        assert indices == list(range(center - half, center + half + 1))


@given(length=lengths, num_frames=windows, mode=modes, data=st.data())
def test_a_clip_played_backwards_gives_mirrored_windows(length, num_frames, mode, data):
    center = data.draw(st.integers(0, length - 1))
    forwards = window_indices(center, length, num_frames, mode)
    backwards = window_indices(length - 1 - center, length, num_frames, mode)
    assert backwards == [length - 1 - index for index in reversed(forwards)]


def test_one_frame_is_every_frame_of_its_window():
    assert all(window_indices(0, 1, 7, mode) == [0] * 7 for mode in MODES)


def test_an_unknown_mode_is_named():
    with pytest.raises(ValueError, match="mirror"):
        window_indices(0, 7, 5, "mirror")
