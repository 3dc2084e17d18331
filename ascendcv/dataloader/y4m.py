"""Writing YUV4MPEG2, the stream that video programs hand to each other through pipes."""

from dataclasses import replace
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from ascendcv.dataloader.footage import Footage, Frame
from ascendcv.dataloader.video_codecs import keeping
from ascendcv.dataloader.video_color import RGB, Layout, PixelWriter, format_of, layout_of, matrix_of_size
from ascendcv.dataloader.video_writer import color_for
from ascendcv.utils.errors import InputError

_CHROMA = ("420", "422", "444")
_DEPTHS = (8, 9, 10, 12, 14, 16)


class Y4mWriter:
    """Frames -> a y4m stream, one at a time.

    The format has a rate but no time stamps, and a range but no matrix: programs that read it take the matrix
    that goes with the size, so that is what is written.
    """

    def __init__(self, file: BinaryIO, name: str, like: Footage | None, fps: Fraction, notes: list[str]):
        self._file, self._name, self._like, self._notes = file, name, like, notes
        self._rate = Fraction(like.rate if like is not None and like.rate else fps).limit_denominator(1_000_000)
        self._count, self._strays = 0, 0
        self._to_frame: PixelWriter | None = None

    def write(self, name: str, pixels: np.ndarray, frame: Frame | None = None) -> None:
        """Raises `InputError` for transparency or another size, OSError if nobody reads the stream."""
        if self._to_frame is None:
            self._to_frame = self._start(pixels, frame)
        if pixels.shape[:2] != self._size:
            raise InputError(f"{self._name}: frame {name} has another size than the first")
        if frame is not None and frame.time is not None:
            self._strays += abs(frame.time - self._count / self._rate) > 1 / self._rate
        picture = self._to_frame(pixels)
        self._file.write(b"FRAME\n")
        for plane in picture.planes:
            sample_bytes = 1 if self._layout.bits == 8 else 2
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
            self._file.write(np.ascontiguousarray(rows[:, : plane.width * sample_bytes]).data)
        self._count += 1

    def finish(self) -> None:
        if self._to_frame is None:
            raise InputError(f"{self._name}: there are no frames to write")
        self._file.flush()
        if self._strays:
            self._notes.append(
                f"{self._name}: a y4m stream has no time stamps; {self._strays} frames are shown at other times, "
                f"{float(self._rate):g} per second"
            )

    def _start(self, pixels: np.ndarray, frame: Frame | None) -> PixelWriter:
        height, width = self._size = pixels.shape[:2]
        check_y4m(self._name, pixels.shape[2] in (2, 4))
        color = color_for(self._like, frame)
        stored = self._like.pixel_format if self._like is not None else None
        wanted = layout_of(keeping(stored, pixels.shape[2], 8 * pixels.dtype.itemsize))
        bits = next(depth for depth in _DEPTHS if depth >= min(wanted.bits, 16))
        if wanted.family == "gray" and bits in (8, 9, 10, 12, 16):
            self._layout = Layout("gray", bits, False)
        else:
            chroma = "444" if wanted.family == "rgb" else wanted.chroma
            self._layout = Layout("yuv", bits, False, chroma if chroma in _CHROMA else "444")
        color = replace(
            color, matrix=matrix_of_size(height, width), full_range=color.full_range and color.matrix != RGB
        )
        if self._layout.family == "gray":
            kind = "mono" + (str(bits) if bits > 8 else "")
        elif bits == 8:
            kind = "420mpeg2" if self._layout.chroma == "420" else self._layout.chroma
        else:
            kind = f"{self._layout.chroma}p{bits}"
        aspect = self._like.aspect if self._like is not None else Fraction(1)
        self._file.write(
            f"YUV4MPEG2 W{width} H{height} F{self._rate.numerator}:{self._rate.denominator} Ip "
            f"A{aspect.numerator}:{aspect.denominator} C{kind} "
            f"XCOLORRANGE={'FULL' if color.full_range else 'LIMITED'}\n".encode()
        )
        return PixelWriter(format_of(self._layout), color)


def check_y4m(name: str, has_alpha: bool) -> None:
    """Raises `InputError` for what a y4m stream cannot hold."""
    if has_alpha:
        raise InputError(f"{name} cannot hold transparency; name a folder, for PNG files")
