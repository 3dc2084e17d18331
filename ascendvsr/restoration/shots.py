"""A clip as shots, so that no window, flow or state of a network crosses a cut."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

from ascendcv.dataloader.footage import Frame
from ascendcv.dataloader.scene_cuts import DELAY, SceneCuts

Item = TypeVar("Item")


def shots(marked: Iterable[tuple[Item, bool]]) -> Iterator[Iterator[Item]]:
    """(frame, whether a shot begins with it) in order -> the frames of each shot.

    Nothing is read ahead but the first frame of the next shot, so that any length takes constant memory. Frames of
    a shot that are not asked for are read past when the next shot is.

    >>> [list(shot) for shot in shots([("a", True), ("b", False), ("c", True)])]
    [['a', 'b'], ['c']]
    """
    items = iter(marked)
    first = next(items, None)

    def shot(item: Item) -> Iterator[Item]:
        nonlocal first
        first = None
        yield item
        for following, begins in items:
            if begins:
                first = (following, begins)
                return
            yield following

    while first is not None:
        current = shot(first[0])
        yield current
        for _ in current:
            pass


def marked_at(frames: Iterable[Item], cuts: Iterable[int]) -> Iterator[tuple[Item, bool]]:
    """Frames with whether a shot begins there; `cuts` are the numbers, from 0, of the first frames of shots."""
    begins = set(cuts)
    for number, frame in enumerate(frames):
        yield frame, number in begins


def marked_by_content(frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Frames with whether a shot begins there, as `SceneCuts` sees it, which reads a few frames ahead."""
    detector = SceneCuts()
    held: deque[Frame] = deque()
    cuts: set[int] = set()
    given = 0
    for frame in frames:
        cuts.update(detector.add(frame.pixels))
        held.append(frame)
        if len(held) > DELAY:
            yield held.popleft(), given in cuts
            given += 1
    cuts.update(detector.finish())
    for number, frame in enumerate(held, start=given):
        yield frame, number in cuts
