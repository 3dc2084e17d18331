"""Restores frames in overlapping tiles, for frames whose activations do not fit into memory.

Along each axis a tile has no weight in the outer quarter of an overlap, where the tile's edge shows most,
full weight in the inner quarter, and a raised cosine between them. So the result has no seams, and a network
whose receptive field reaches no further than a quarter of the overlap gives the same pixels as without tiles.
"""

from collections.abc import Callable

import numpy as np

from ascendcv.utils.errors import InputError

Forward = Callable[[np.ndarray], np.ndarray]


def restore_in_tiles(
    forward: Forward, clips: np.ndarray, *, scale: int, tile: tuple[int, int], overlap: int
) -> np.ndarray:
    """`forward(clips)` [N, T, H, W, C] -> [N, scale*H, scale*W, C], computed one tile of the frame at a time.

    Args:
        tile: height and width, in input pixels, of the tiles; a frame that is smaller is one tile.
        overlap: of neighbouring tiles, in input pixels; less than the tile. The tiles at the bottom and right
            edges overlap more, so that all have one size.
    Raises:
        InputError: an overlap as large as the tile; a tile of a size that the network would crop.
    """
    height, width = clips.shape[2:4]
    tile = min(tile[0], height), min(tile[1], width)
    rows, columns = tile_starts(height, tile[0], overlap), tile_starts(width, tile[1], overlap)
    blended, total = 0.0, np.zeros((height * scale, width * scale, 1), np.float32)
    for top in rows:
        for left in columns:
            restored = forward(clips[:, :, top : top + tile[0], left : left + tile[1]])
            if restored.shape[1:3] != (tile[0] * scale, tile[1] * scale):
                raise InputError(
                    f"the network crops tiles of {tile[1]}x{tile[0]} pixels: choose a multiple of what it "
                    "takes, or model.size pad"
                )
            if top == left == 0:
                blended = np.zeros((len(clips), *total.shape[:2], restored.shape[-1]), np.float32)
            weight_y = tile_weights(top, tile[0], height, overlap, scale)
            weight_x = tile_weights(left, tile[1], width, overlap, scale)
            weight = (weight_y[:, np.newaxis] * weight_x)[..., np.newaxis]
            area = np.s_[
                top * scale : (top + tile[0]) * scale,
                left * scale : (left + tile[1]) * scale,
            ]
            blended[:, *area] += weight * restored
            total[area] += weight
    blended /= total
    return blended


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along an axis: they overlap by `overlap` or more, the last ends where the axis does.

    For a length of 9, tiles of 4 and an overlap of 1: 0 3 5. Raises `InputError` unless 0 <= overlap < tile
    (a single tile may have any overlap).
    """
    if length <= tile:
        return [0]
    if not 0 <= overlap < tile:
        raise InputError(f"tiles of {tile} pixels cannot overlap by {overlap}: the overlap should be smaller")
    return [*range(0, length - tile, tile - overlap), length - tile]


def tile_weights(start: int, tile: int, length: int, overlap: int, scale: int) -> np.ndarray:
    """The weights [tile * scale], float32 in 0..1, of a tile's output pixels along one axis.

    Edges of the tile that are edges of the frame keep full weight.
    """
    centres = (np.arange(tile * scale) + 0.5) / scale
    weights = np.ones(tile * scale)
    if start > 0:
        weights *= _rise(centres, overlap)
    if start + tile < length:
        weights *= _rise(centres[::-1], overlap)
    return weights.astype(np.float32)


def _rise(distance: np.ndarray, overlap: int) -> np.ndarray:
    """0 up to a quarter of the overlap, 1 from three quarters on."""
    if overlap == 0:
        return np.ones_like(distance)
    part = np.clip(2 * distance / overlap - 0.5, 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * part)
