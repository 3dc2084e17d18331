"""Windows of video features: cut, put together, shifted, padded."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.ops.windows import (
    pad_to_windows,
    relative_position_index,
    shifted_window_mask,
    window_partition,
    window_reverse,
)


def numbered(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_a_window_holds_the_tokens_that_lie_in_it():
    x = numbered(1, 2, 4, 6, 1)
    windows = np.asarray(window_partition(x, (2, 2, 3)))
    assert windows.shape == (4, 12, 1)
    np.testing.assert_array_equal(windows[1, :, 0], x[0, :, :2, 3:].ravel())
    np.testing.assert_array_equal(windows[2, :, 0], x[0, :, 2:, :3].ravel())


@settings(max_examples=20, deadline=None)
@given(
    batch=st.integers(1, 2),
    counts=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3)),
    window=st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4)),
)
def test_reverse_undoes_partition(batch, counts, window):
    frames, height, width = (count * side for count, side in zip(counts, window, strict=True))
    x = numbered(batch, frames, height, width, 3)
    windows = window_partition(x, window)
    np.testing.assert_array_equal(window_reverse(windows, window, frames, height, width), x)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 15), (1, 17)])
def test_padding_fills_up_windows_with_zeros(height, width):
    x = np.asarray(pad_to_windows(np.ones((1, 2, height, width, 1), np.float32), (2, 8, 8)))
    assert x.shape[2] % 8 == x.shape[3] % 8 == 0
    assert x.shape[2] - height < 8
    assert x.shape[3] - width < 8
    assert x.sum() == 2 * height * width
    assert x[:, :, :height, :width].min() == 1


def shifted_places(height: int, width: int, window: tuple[int, int, int]) -> np.ndarray:
    """[windows, tokens, 2]: for each token of a shifted window where it lies in the unshifted features."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    places = np.stack([rows, columns], axis=-1)[None, None].repeat(window[0], axis=1).astype(np.float32)
    rolled = np.roll(places, (-(window[1] // 2), -(window[2] // 2)), axis=(2, 3))
    return np.asarray(window_partition(rolled, window))


@pytest.mark.parametrize(("height", "width", "window"), [(16, 24, (2, 8, 8)), (8, 8, (1, 8, 8)), (6, 4, (1, 2, 4))])
def test_in_shifted_windows_tokens_attend_to_those_that_really_are_near(height, width, window):
    mask = np.asarray(shifted_window_mask(height, width, window))[:, 0]
    places = shifted_places(height, width, window)
    distance = np.abs(places[:, :, None] - places[:, None, :])
    near = np.all(distance < np.array(window[1:]), axis=-1)
    # Over the edge comes in what lies at least half a window away, or all of a window when there is but one.
    rows, columns = window[1:]
    over_edge = (distance[..., 0] >= max(height - rows, rows // 2)) | (
        distance[..., 1] >= max(width - columns, columns // 2)
    )
    assert set(np.unique(mask)) <= {0.0, -100.0}
    np.testing.assert_array_equal(mask, mask.transpose(0, 2, 1))
    assert np.all(mask[~near] == -100)
    assert np.all(~over_edge[mask == 0] | near[mask == 0])


def test_only_the_last_windows_are_masked():
    mask = np.asarray(shifted_window_mask(24, 32, (1, 8, 8))).reshape(3, 4, 64, 64)
    assert np.all(mask[:2, :3] == 0)
    assert np.all(np.any(mask[2], axis=(1, 2)))
    assert np.all(np.any(mask[:, 3], axis=(1, 2)))
    # Above the half that came in over the lower edge is the half that was there.
    upper = np.arange(64) < 32
    np.testing.assert_array_equal(mask[2, 0] == 0, upper[:, None] == upper)


def test_the_mask_of_unfinished_windows_is_that_of_padded_features():
    np.testing.assert_array_equal(shifted_window_mask(13, 9, (1, 8, 8)), shifted_window_mask(16, 16, (1, 8, 8)))


def test_the_mask_is_the_same_with_sizes_known_only_when_a_graph_runs():
    masks = tf.function(lambda size: shifted_window_mask(size[0], size[1], (2, 8, 8)))
    np.testing.assert_array_equal(masks(tf.constant([12, 20])), shifted_window_mask(12, 20, (2, 8, 8)))


def test_equal_differences_of_places_share_a_bias():
    d, h, w = window = (2, 3, 4)
    index = relative_position_index(window)
    assert index.shape == (24, 24)
    assert index.min() == 0
    assert index.max() == (2 * d - 1) * (2 * h - 1) * (2 * w - 1) - 1
    places = np.stack(np.unravel_index(np.arange(24), window), axis=-1)
    by_difference = {}
    for i, j in np.ndindex(24, 24):
        by_difference.setdefault(tuple(places[i] - places[j]), set()).add(index[i, j])
    assert all(len(rows) == 1 for rows in by_difference.values())
    assert len(set.union(*by_difference.values())) == len(by_difference)
