"""Restores frames in overlapping tiles, for frames whose activations do not fit into memory.

Two ways to put tiles together, by the name that `eval.blending` gives:

seamless: along each axis a tile has no weight in the outer quarter of an overlap, where the tile's edge shows most,
full weight in the inner quarter, and a raised cosine between them. So the result has no seams, and a network whose
receptive field reaches no further than a quarter of the overlap gives the same pixels as without tiles.

official: as RVRT's test program, by which its published numbers were found. Half of the overlap is cut off, counted
in pixels of the output whatever the scale, and the mean is taken where tiles still overlap.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ascendcv.utils.errors import InputError

Forward = Callable[..., np.ndarray]
Overlap = int | tuple[int, int]


class Tiling:
    """The tiles of frames of one size: `cut` gives them one after the other, `blend` puts results together.

    Args:
        size: (height, width) of frames, in input pixels.
        tile: the same of tiles; a frame that is smaller is one tile.
        overlap: of neighboring tiles, in input pixels, less than the tile: one number, or (rows, columns). The
            tiles at the bottom and right edges overlap more, so that all have one size.
        scale: of the output's size over the input's.
        blending: 'seamless' or 'official'.
    Raises:
        InputError: an overlap as large as the tile.
    """

    def __init__(
        self, size: tuple[int, int], tile: tuple[int, int], overlap: Overlap, scale: int, blending: str = "seamless"
    ):
        self.size, self.scale = size, scale
        self.overlap = (overlap, overlap) if isinstance(overlap, int) else overlap
        self.tile = min(tile[0], size[0]), min(tile[1], size[1])
        self._weights = BLENDINGS[blending]
        axes = zip(size, self.tile, self.overlap, strict=True)
        rows, columns = (tile_starts(length, part, shared) for length, part, shared in axes)
        self.places = [(top, left) for top in rows for left in columns]

    def cut(self, clips: np.ndarray) -> Iterator[np.ndarray]:
        """The tiles of [..., H, W, C], row by row."""
        for top, left in self.places:
            yield clips[..., top : top + self.tile[0], left : left + self.tile[1], :]

    def blend(self, tiles: Iterable[np.ndarray]) -> np.ndarray:
        """Restored tiles [..., h*scale, w*scale, C], in the order of `cut`, -> [..., H*scale, W*scale, C].

        Raises `InputError` for tiles of a size that the network cropped.
        """
        scale, blended = self.scale, np.empty(0, np.float32)
        total = np.zeros((self.size[0] * scale, self.size[1] * scale, 1), np.float32)
        height, width = self.tile[0] * scale, self.tile[1] * scale
        for (top, left), tile in zip(self.places, tiles, strict=True):
            if tile.shape[-3:-1] != (height, width):
                raise InputError(
                    f"the network crops tiles of {self.tile[1]}x{self.tile[0]} pixels: choose a multiple of what "
                    "it takes, or model.size pad"
                )
            if top == left == 0:
                blended = np.zeros((*tile.shape[:-3], *total.shape[:2], tile.shape[-1]), np.float32)
            weight_y = self._weights(top, self.tile[0], self.size[0], self.overlap[0], scale)
            weight_x = self._weights(left, self.tile[1], self.size[1], self.overlap[1], scale)
            weight = (weight_y[:, np.newaxis] * weight_x)[..., np.newaxis]
            area = np.s_[top * scale : top * scale + height, left * scale : left * scale + width]
            blended[..., *area, :] += weight * tile
            total[area] += weight
        blended /= total
        return blended


def restore_in_tiles(
    forward: Forward,
    clips: np.ndarray,
    *,
    scale: int,
    tile: tuple[int, int],
    overlap: Overlap,
    blending: str = "seamless",
) -> np.ndarray:
    """`forward(clips)` [N, T, H, W, C] -> [..., scale*H, scale*W, C], computed one tile of the frame at a time.

    Arguments and errors as those of `Tiling`.
    """
    tiling = Tiling(clips.shape[2:4], tile, overlap, scale, blending)
    return tiling.blend(forward(part) for part in tiling.cut(clips))


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
    """The seamless weights [tile * scale], float32 in 0..1, of a tile's output pixels along one axis.

    Edges of the tile that are edges of the frame keep full weight.
    """
    centers = (np.arange(tile * scale) + 0.5) / scale
    weights = np.ones(tile * scale)
    if start > 0:
        weights *= _rise(centers, overlap)
    if start + tile < length:
        weights *= _rise(centers[::-1], overlap)
    return weights.astype(np.float32)


def official_weights(start: int, tile: int, length: int, overlap: int, scale: int) -> np.ndarray:
    """The weights [tile * scale], 0 or 1, by RVRT's test program (`main_test_rvrt.py`, `test_clip`).

    floor(overlap / 2) output pixels do not count at a tile's beginning, ceil(overlap / 2) at its end. With an
    overlap of 0, where the original dropped whole tiles, all count.
    """
    weights = np.ones(tile * scale, np.float32)
    if start > 0:
        weights[: overlap // 2] = 0
    if start + tile < length:
        weights[len(weights) - (overlap + 1) // 2 :] = 0
    return weights


BLENDINGS = {"seamless": tile_weights, "official": official_weights}


def _rise(distance: np.ndarray, overlap: int) -> np.ndarray:
    """0 up to a quarter of the overlap, 1 from three quarters on."""
    if overlap == 0:
        return np.ones_like(distance)
    part = np.clip(2 * distance / overlap - 0.5, 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * part)


def mirrored_to_windows(forward: Forward, windows: tuple[int, int, int], scale: int) -> Forward:
    """`forward` of clips [N, T, H, W, C], called with T, H and W that are multiples of `windows`.

    The last frames, rows and columns come again in reverse order, the edge itself first; what is restored of them
    is cropped. This is what RVRT's test program does along axes that it does not tile.
    """

    def padded(clips: np.ndarray) -> np.ndarray:
        frames, height, width = clips.shape[1:4]
        missing = [(0, -length % window) for length, window in zip(clips.shape[1:4], windows, strict=True)]
        restored = forward(np.pad(clips, ((0, 0), *missing, (0, 0)), mode="symmetric"))
        return restored[:, :frames, : height * scale, : width * scale]

    return padded
