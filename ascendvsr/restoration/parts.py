"""A clip in parts that processes restore apart: where they meet, and what each reads around its own frames."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ascendcv.dataloader.frame_source import Source
from ascendcv.dataloader.scene_cuts import DELAY, scene_cuts
from ascendcv.dataloader.segments import PartOfVideo
from ascendcv.utils.errors import InputError

# Frames around a part that are read and not written: more than windows, overlapping chunks and the detection of
# cuts look at.
AROUND = 16
TASK_FRAMES = 120  # of a part that a cluster gets
_NEAR = 24  # frames in which a cut is looked for

Opener = Callable[[int | Fraction, int | None], Source]  # (first frame, how many) -> the frames


@dataclass(frozen=True)
class Piece:
    """Part `number` (from 1) of `count` of a clip: its frames from `first` to before `stop`; None: to the end."""

    number: int
    count: int
    first: int
    stop: int | None

    def of_video(self, offset: Fraction) -> PartOfVideo:
        """The part of a video that is made of it; `offset` is that of the whole."""
        return PartOfVideo(self.number, self.count, self.first, offset)


def cut_into(source: Source, count: int, cuts: str | Sequence[int], opened: Opener) -> Callable[[int], Piece]:
    """(number of a part, from 1) -> that of `count` nearly equal parts of a clip.

    Parts meet where a shot begins, if one does near by: a recurrent network begins anew there in any case. Every
    process finds the same places.

    Args:
        source: the whole clip.
        cuts: as `--scene-cuts`: auto, off or the first frames of shots.
        opened: opens frames of the clip, counted from the beginning of `source`.
    Raises:
        InputError: a clip whose length is not known, or that has fewer frames than parts.
    """
    frames = operator.length_hint(source)
    if not frames:
        raise InputError(f"{source.name} does not tell how many frames it has: it cannot be divided into parts")
    if frames < count:
        raise InputError(f"{source.name} has {frames} frames, which cannot be {count} parts")
    near = min(_NEAR, frames // count // 4)

    def boundary(number: int) -> int:
        middle = number * frames // count
        if number in (0, count) or not near:
            return middle
        return min(_cuts_near(middle, near, cuts, opened), key=lambda cut: abs(cut - middle), default=middle)

    def piece(number: int) -> Piece:
        # The length may be an estimate: the last part goes on to the end.
        return Piece(number, count, boundary(number - 1), boundary(number) if number < count else None)

    return piece


def _cuts_near(middle: int, near: int, cuts: str | Sequence[int], opened: Opener) -> list[int]:
    if cuts == "off":
        return []
    if isinstance(cuts, str):
        first = max(middle - near - 2 * DELAY, 0)
        pixels = (frame.pixels for frame in opened(first, middle + near + 2 * DELAY - first))
        cuts = [first + cut for cut in scene_cuts(pixels)]
    return [cut for cut in cuts if abs(cut - middle) <= near]


def parts_of(source: Source, task_frames: int = TASK_FRAMES) -> int:
    """Into how many parts a clip is divided for a cluster; 1 for what has no length or is short."""
    return max(round(operator.length_hint(source) / task_frames), 1)
