"""What computes: the one form in which restoration and evaluation know a network.

A Keras model on any backend is one (`ascendvsr.models.keras_runner`); a session of another runtime can be.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ascendcv.dataloader.pixels import Levels


@runtime_checkable
class Runner(Protocol):
    """Computes on NumPy arrays, RGB: float32 in [0, 1], or uint8 and uint16 as files have them.

    Attributes:
        name: what messages call it.
        kind: how it eats time, as the card of its network says: window, clip, recurrent or flow.
        scale: of the output's size over the input's.
        window: frames that a call sees; 0: any number.
        center: which frame of a window is restored.
        channels: of an input frame; 4: the last one is the standard deviation of the noise / 255.
        shares_frames: whether it keeps what consecutive windows of a video share: its state is a `Stream`.
        dtype: what it computes in.
    """

    name: str
    kind: str
    scale: int
    window: int
    center: int
    channels: int
    shares_frames: bool
    dtype: str

    def __call__(self, frames: np.ndarray, state: Any = None, levels: Levels = None) -> tuple[np.ndarray, Any]:
        """Frames and the state before them -> what comes of them and the state after.

        Frames come out as float32, not clipped, or with the `levels` uint8 or uint16 clipped, scaled and rounded
        half to even: FloatingPointError, with the number of the first of N, is raised where they are not finite.
        Flow has no levels.

        window      [N, T, H, W, C], None or a `Stream`         -> [N, H', W', C], the same
        clip        [N, T, H, W, C], None                       -> [N, T, H', W', C], None
        recurrent   [N, T, H, W, C], None (the first) or state  -> [N, H', W', C], the next state
        flow        [N, 2, H, W, 3], None                       -> [N, H, W, 2] in pixels, None
        """


@dataclass
class Stream:
    """What a runner keeps of one video from window to window.

    Attributes:
        numbers: of the frames in the window that comes, in the video. A number that comes again, in the same window
            at an end of the video or in the next one, is the same frame.
        kept: what is known of frames, by their numbers; the runner's own.
    """

    numbers: Sequence[int] = ()
    kept: dict = field(default_factory=dict)


def as_runner(network: Any) -> Runner:
    """A runner as it is, a Keras model of `ascendvsr.models` as one. Raises `InputError` for other models."""
    if isinstance(network, Runner):
        return network
    from ascendvsr.models.keras_runner import KerasRunner

    return KerasRunner(network)


class TimedRunner:
    """A runner that does what another one does, and how long that took."""

    name: str
    kind: str
    scale: int
    window: int
    center: int
    channels: int
    shares_frames: bool
    dtype: str

    def __init__(self, runner: Runner):
        for name in Runner.__annotations__:
            setattr(self, name, getattr(runner, name))
        self._runner = runner
        self._traced: set[tuple[int, ...]] = set()
        self.restart()

    def __call__(self, frames: np.ndarray, state: Any = None, levels: Levels = None) -> tuple[np.ndarray, Any]:
        """See `Runner`."""
        begin = time.perf_counter()
        result = self._runner(frames, state, levels)
        seconds = time.perf_counter() - begin
        times = self._seconds if frames.shape in self._traced else self._first
        times.setdefault(frames.shape, []).append(seconds)
        self._traced.add(frames.shape)
        return result

    def restart(self) -> None:
        """Forgets the times so far."""
        self._first: dict[tuple[int, ...], list[float]] = {}
        self._seconds: dict[tuple[int, ...], list[float]] = {}

    @property
    def seconds(self) -> float:
        """Of all calls since `restart`.

        The first call of a shape also compiles: it counts as the mean of the later ones where there are any.
        """
        total = sum(map(sum, self._seconds.values()))
        for shape, first in self._first.items():
            later = self._seconds.get(shape)
            total += sum(later) / len(later) if later else sum(first)
        return total
