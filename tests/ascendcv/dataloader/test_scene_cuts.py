"""A cut is found at its frame; motion, a flash and a fade are none."""

import itertools

import numpy as np
import pytest

from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.scene_cuts import SceneCuts, scene_cuts
from tests.support import PROJECT

CLIPS = PROJECT.parent / "shared/data/clips"
NAMES = ("flower.mp4", "friday.mp4", "karma.mp4", "stream-of-water.mp4")


@pytest.fixture(scope="module")
def clips() -> dict[str, list[np.ndarray]]:
    """60 frames of each real clip, 80x110 pixels."""
    if not CLIPS.is_dir():
        pytest.skip(f"the real clips are not there ({CLIPS})")
    return {
        name: [pixels[::4, ::4][:80, :110] for _, pixels in open_source(CLIPS / name, frames=60)] for name in NAMES
    }


@pytest.mark.parametrize("pair", list(itertools.permutations(NAMES, 2)))
def test_two_joined_clips_have_one_cut(clips, pair):
    first, second = (clips[name] for name in pair)
    assert list(scene_cuts(first[:30] + second[:30])) == [30]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_several_cuts_are_found_at_any_depth(clips, dtype):
    joined = [frame for name in NAMES for frame in clips[name][:15]]
    scale = np.iinfo(dtype).max // 255
    assert list(scene_cuts(frame.astype(dtype) * dtype(scale) for frame in joined)) == [15, 30, 45]


def test_cuts_near_the_ends_are_found(clips):
    first, second = clips["flower.mp4"], clips["karma.mp4"]
    assert list(scene_cuts(first[:1] + second[:30])) == [1]
    assert list(scene_cuts(first[:30] + second[:1])) == [30]
    assert list(scene_cuts(first[:1] + second[:1])) == [1]
    assert list(scene_cuts(first[:1])) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_has_no_cut(clips, name):
    assert list(scene_cuts(clips[name])) == []


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_flash_is_no_cut(clips, name, frames):
    flashed = [frame.copy() for frame in clips[name]]
    for frame in flashed[20 : 20 + frames]:
        frame[...] = np.minimum(frame.astype(int) + 160, 255)
    assert list(scene_cuts(flashed)) == []


@pytest.mark.parametrize("length", [8, 12, 25])
@pytest.mark.parametrize("pair", list(itertools.permutations(NAMES, 2))[::3])
def test_a_fade_is_no_cut(clips, pair, length):
    first, second = (clips[name] for name in pair)
    parts = np.linspace(0, 1, length)
    mixed = [((1 - t) * a + t * b).astype(np.uint8) for t, a, b in zip(parts, first[30:], second, strict=False)]
    assert list(scene_cuts(first[:30] + mixed + second[length : length + 20])) == []
    dark = [(frame * t).astype(np.uint8) for t, frame in zip(parts[::-1], first[20:], strict=False)]
    light = [(frame * t).astype(np.uint8) for t, frame in zip(parts, second, strict=False)]
    assert list(scene_cuts(first[:20] + dark + light + second[length:])) == []


def test_a_cut_is_told_a_few_frames_late_and_nothing_more_is_kept(clips):
    cuts, told = SceneCuts(), {}
    for number, frame in enumerate(clips["flower.mp4"][:30] + clips["karma.mp4"][:30]):
        for index in cuts.add(frame):
            told[index] = number
    assert told == {30: 34}
    assert cuts.finish() == []
