"""Where one scene of a video ends and another begins, seen from small gray copies of its frames.

Two frames of one scene differ by motion and light, and differ as much from their neighbors: the difference
across a cut stands out from those around it. A flash stands out too, but the scene after it is the one before
it. A fade has no frame at which it happens, and needs no cut: neighbors resemble each other all the way.
"""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

_CELLS = 32  # a side of the small copy
_LEAST = 0.10  # of full scale: by how much frames on the two sides of a cut differ at least
_STANDS_OUT = 3.0  # times the larger of the differences around it
DELAY = 4  # frames that a flash lasts at most, and after which a cut is certain


class SceneCuts:
    """Finds the first frames of new scenes in a stream of frames, a few frames late.

    >>> cuts = SceneCuts()
    >>> found = [index for frame in frames for index in cuts.add(frame)] + cuts.finish()
    """

    def __init__(self):
        self._small: deque[np.ndarray] = deque(maxlen=2 * DELAY + 3)
        self._count = 0
        self._next = 1  # the frame whose beginning of a scene is decided next
        self._last_cut = 0

    def add(self, pixels: np.ndarray) -> list[int]:
        """Takes the next frame [H, W, C], uint8 or uint16; gives the cuts that are certain now."""
        self._small.append(thumbnail(pixels))
        self._count += 1
        return self._decide(self._count - DELAY - 1)

    def finish(self) -> list[int]:
        """The cuts among the last frames."""
        return self._decide(self._count - 1)

    def _decide(self, last: int) -> list[int]:
        found = []
        while self._next <= last:
            if self._is_cut(self._next):
                found.append(self._next)
                self._last_cut = self._next
            self._next += 1
        return found

    def _is_cut(self, index: int) -> bool:
        across = self._difference(index - 1, index)
        if across < _LEAST:
            return False
        first, last = self._count - len(self._small), self._count - 1
        around = [
            self._difference(position, position + 1)
            for position in range(max(index - DELAY, first), min(index + DELAY, last))
            if position != index - 1 and position + 1 != self._last_cut
        ]
        # The largest of those around may belong to the other side of a flash, or to another cut.
        around.sort()
        if around and across < _STANDS_OUT * around[-1 if len(around) < 3 else -2]:
            return False
        return not self._is_part_of_flash(index, across)

    def _is_part_of_flash(self, index: int, across: float) -> bool:
        """Whether the scene of before goes on soon after this frame, or went on with this one."""
        first, last = self._count - len(self._small), self._count - 1
        for length in range(1, DELAY + 1):
            # Into the flash: the frame after it is like the one before it.
            if index + length <= last and self._difference(index - 1, index + length) < across / 2:
                return True
            # Out of it: this frame is like the one before the flash.
            before = index - 1 - length
            if before >= max(first, self._last_cut) and self._difference(before, index) < across / 2:
                return True
        return False

    def _difference(self, left: int, right: int) -> float:
        first = self._count - len(self._small)
        return float(np.abs(self._small[left - first] - self._small[right - first]).mean())


def scene_cuts(frames: Iterable[np.ndarray]) -> Iterator[int]:
    """The numbers of the frames that begin a new scene; the first frame is not among them."""
    cuts = SceneCuts()
    for pixels in frames:
        yield from cuts.add(pixels)
    yield from cuts.finish()


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """[32, 32, c] float32 in 0..1: means of rectangles of a frame [H, W, C]; alpha is left out."""
    color = pixels[..., : 1 if pixels.shape[-1] <= 2 else 3]
    height, width = color.shape[:2]
    rows, columns = min(_CELLS, height), min(_CELLS, width)
    # Of large frames, every few pixels tell as much.
    step_rows, step_columns = max(height // (rows * 4), 1), max(width // (columns * 4), 1)
    sampled = color[::step_rows, ::step_columns].astype(np.float32)
    row_edges = np.arange(rows) * sampled.shape[0] // rows
    column_edges = np.arange(columns) * sampled.shape[1] // columns
    sums = np.add.reduceat(np.add.reduceat(sampled, row_edges, axis=0), column_edges, axis=1)
    counts = np.diff(row_edges, append=sampled.shape[0])[:, None] * np.diff(column_edges, append=sampled.shape[1])
    return sums / (counts[..., None] * np.float32(np.iinfo(pixels.dtype).max))
