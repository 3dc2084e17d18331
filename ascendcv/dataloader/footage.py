"""What travels with pixels from a source to a sink: the time of a frame, the properties of a clip."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class PictureTags:
    """What a picture file says of its colors, carried over as it is: an ICC profile, gAMA (100000 / gamma) and
    cICP (primaries, transfer, matrix, full range, as ITU-T H.273 numbers them)."""

    icc_profile: bytes | None = None
    gamma: int | None = None
    cicp: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Frame:
    """One frame. It unpacks as `name, pixels`."""

    name: str
    pixels: np.ndarray  # [H, W, C], uint8 or uint16, C 1 to 4: Y, YA, RGB or RGBA
    time: Fraction | None = None  # seconds from the start of the clip; None: frames follow at the clip's rate
    duration: Fraction | None = None  # seconds; None: until the next frame
    tags: PictureTags | None = None  # of a picture

    def __iter__(self) -> Iterator[Any]:
        return iter((self.name, self.pixels))


@dataclass(frozen=True)
class Color:
    """How numbers stand for colors: code points of ITU-T H.273, 2 where nothing is said."""

    matrix: int = 2
    full_range: bool = False
    transfer: int = 2
    primaries: int = 2
    mastering_display: tuple[Fraction, ...] | None = None  # x, y of red, green, blue and white; least, most cd/m2
    content_light: tuple[int, int] | None = None  # MaxCLL, MaxFALL in cd/m2

    @property
    def is_wide(self) -> bool:
        """Whether 8 bits are too few: PQ, HLG, BT.2020, P3."""
        return self.transfer in (16, 18) or self.primaries in (9, 11, 12) or self.matrix in (9, 10)


@dataclass(frozen=True)
class Footage:
    """What a source says of its frames, for sinks that write the same kind of thing."""

    name: str
    kind: str  # 'video', 'picture', 'pictures' (a folder), 'animation' or 'array'
    height: int
    width: int
    channels: int  # 1 to 4: Y, YA, RGB or RGBA
    bits: int  # 8 or 16: of the arrays that hold the pixels
    rate: Fraction | None = None  # frames per second; of a variable rate, the average
    time_base: Fraction | None = None  # seconds per tick of the time stamps
    aspect: Fraction = Fraction(1)  # width of a pixel, by its height
    pixel_format: str | None = None  # how a video stores its pixels, as ffmpeg names it
    color: Color | None = None
    path: Path | None = None  # the file with the sound, subtitles, chapters ... that belong to the frames
    stream: int | None = None  # which of its streams these frames are
    offset: Fraction = Fraction(0)  # the time in that file that is 0 in the frames' times
    begin: Fraction = Fraction(0)  # how much of the file, in seconds, is left out before the first frame
    end: Fraction | None = None  # where the frames end if not with the file, in their time
    loops: int | None = None  # of an animation: how often it is shown, 0 for ever
    suffix: str = ""  # of a picture's or animation's format: .png, .gif, ...

    @property
    def has_alpha(self) -> bool:
        return self.channels in (2, 4)
