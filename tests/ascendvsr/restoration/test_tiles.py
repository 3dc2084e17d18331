"""Tiles cover every pixel once in sum, leave no seams, and equal the whole frame where the network is local."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascendcv.utils.errors import InputError
from ascendvsr.restoration.tiles import (
    BLENDINGS,
    Tiling,
    official_weights,
    restore_in_tiles,
    tile_starts,
    tile_weights,
)


def blur(radius: int, scale: int):
    """A network that averages the middle frame over (2 radius + 1)^2 pixels, then repeats pixels `scale` times."""

    def forward(clips: np.ndarray) -> np.ndarray:
        frames = clips[:, clips.shape[1] // 2]
        padded = np.pad(frames, ((0, 0), (radius, radius), (radius, radius), (0, 0)), mode="edge")
        size = 2 * radius + 1
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
        return windows.mean(axis=(-2, -1)).repeat(scale, axis=1).repeat(scale, axis=2)

    return forward


def clips(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((2, 3, height, width, 3), dtype=np.float32)


axes = st.tuples(st.integers(1, 200), st.integers(1, 80), st.integers(0, 40)).filter(lambda axis: axis[2] < axis[1])


@given(axes)
def test_tiles_cover_the_axis_and_overlap_enough(axis):
    length, tile, overlap = axis
    starts = tile_starts(length, tile, overlap)
    tile = min(tile, length)
    assert starts[0] == 0
    assert starts[-1] + tile == length
    assert all(0 < right - left <= tile - overlap for left, right in itertools.pairwise(starts))


@given(axes, st.integers(1, 4), st.sampled_from(list(BLENDINGS)))
def test_every_pixel_has_weight(axis, scale, blending):
    length, tile, overlap = axis
    total = np.zeros(length * scale)
    for start in tile_starts(length, tile, overlap):
        weights = BLENDINGS[blending](start, min(tile, length), length, overlap, scale)
        assert weights.min() >= 0
        total[start * scale :][: len(weights)] += weights
    assert total.min() > 0.1


@pytest.mark.parametrize("overlap", [16, 17])
def test_weights_change_gradually(overlap):
    weights = tile_weights(16, 48, 200, overlap, scale=4)
    assert np.abs(np.diff(weights)).max() < 4 / overlap / 4 + 0.02
    assert weights[0] == weights[-1] == 0
    assert weights.max() == 1


@given(axes, axes, st.integers(1, 3), st.sampled_from(list(BLENDINGS)))
def test_what_is_blended_adds_up_to_one(rows, columns, scale, blending):
    """Tiles that hold what they are tiles of give it back."""
    size, tile = (rows[0] % 60 + 1, columns[0] % 60 + 1), (rows[1], columns[1])
    overlap = min(rows[2], columns[2])
    tiling = Tiling(size, tile, overlap, scale, blending)
    picture = np.arange(size[0] * size[1], dtype=np.float32).reshape(1, *size, 1)
    enlarged = picture.repeat(scale, axis=1).repeat(scale, axis=2)
    tiles = (part.repeat(scale, axis=1).repeat(scale, axis=2) for part in tiling.cut(picture))
    np.testing.assert_allclose(tiling.blend(tiles), enlarged, rtol=1e-5)


@pytest.mark.parametrize(("overlap", "first", "last"), [(20, 10, 10), (7, 3, 4), (0, 0, 0)])
@pytest.mark.parametrize("scale", [1, 4])
def test_official_weights_cut_half_the_overlap_in_output_pixels(overlap, first, last, scale):
    weights = official_weights(8, 24, 100, overlap, scale)
    assert len(weights) == 24 * scale
    assert np.flatnonzero(weights).tolist() == list(range(first, 24 * scale - last))
    assert official_weights(0, 24, 24, overlap, scale).min() == 1


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("size", [(50, 61), (24, 24), (25, 24), (7, 90), (1, 1)])
def test_tiled_equals_whole_where_the_network_is_local(size, scale):
    forward, whole = blur(2, scale), clips(*size)
    tiled = restore_in_tiles(forward, whole, scale=scale, tile=(24, 24), overlap=8)
    np.testing.assert_allclose(tiled, forward(whole), atol=1e-6)


def test_away_from_tile_edges_tiled_equals_whole_for_any_reach():
    """A reach of 6 pixels, more than the quarter of an overlap of 8: only what is near an edge may differ."""
    forward, whole = blur(6, 1), clips(24, 60)
    difference = np.abs(restore_in_tiles(forward, whole, scale=1, tile=(24, 24), overlap=8) - forward(whole))
    edges = [edge for start in tile_starts(60, 24, 8) for edge in (start, start + 24) if 0 < edge < 60]
    far = np.min(np.abs(np.arange(60)[:, np.newaxis] + 0.5 - edges), axis=1) > 6
    assert far.sum() > 10
    assert difference[:, :, far].max() < 1e-6
    assert difference[:, :, ~far].max() > 1e-3


def test_there_are_no_seams():
    """The edge of a tile disturbs a smooth picture; blended, no step from pixel to pixel is larger than without."""
    ramp = np.tile(np.linspace(0, 1, 160, dtype=np.float32), (1, 1, 40, 1))[..., np.newaxis]

    def forward(clips):  # each tile is darker towards its edges
        width = clips.shape[3]
        shade = np.minimum(np.arange(width), np.arange(width)[::-1]).clip(0, 8) / 8
        return clips[:, 0] - 0.1 * (1 - shade[:, np.newaxis]).astype(np.float32)

    tiled = restore_in_tiles(forward, ramp, scale=1, tile=(40, 48), overlap=32)
    steps = np.abs(np.diff(tiled[0, :, 8:-8, 0], axis=1))
    assert steps.max() < 1.5 / 159


def test_no_overlap_is_allowed():
    whole = clips(20, 30)
    tiled = restore_in_tiles(blur(0, 1), whole, scale=1, tile=(8, 8), overlap=0)
    np.testing.assert_allclose(tiled, whole[:, 1], atol=1e-6)


def test_an_overlap_as_large_as_the_tile_is_refused():
    with pytest.raises(InputError, match="overlap"):
        restore_in_tiles(blur(0, 1), clips(20, 30), scale=1, tile=(8, 8), overlap=8)


def test_a_network_that_crops_tiles_is_refused():
    def forward(clips):
        return clips[:, 0, : clips.shape[2] // 4 * 4, : clips.shape[3] // 4 * 4]

    with pytest.raises(InputError, match="crops tiles of 10x8"):
        restore_in_tiles(forward, clips(20, 30), scale=1, tile=(8, 10), overlap=2)
