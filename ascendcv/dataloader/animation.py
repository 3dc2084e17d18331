"""Animated pictures: GIF, animated PNG and WebP, and TIFF files of several pages."""

import contextlib
import io
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from PIL import Image

from ascendcv.dataloader import png
from ascendcv.dataloader.footage import Footage, Frame
from ascendcv.dataloader.image import encode_image, image_header, picture_format
from ascendcv.utils.errors import InputError

ANIMATION_SUFFIXES = (".gif", ".png", ".apng", ".webp")

_FORMATS = {"gif": ["GIF"], "png": ["PNG"], "webp": ["WEBP"]}
_SUFFIXES = {"gif": ".gif", "png": ".png", "webp": ".webp", "tiff": ".tif"}
# What browsers show a frame for that asks for no time at all.
_NO_TIME = Fraction(1, 10)


class AnimationSource:
    """All frames of an animated picture, each as it is seen, in RGB, or RGBA if any pixel is transparent."""

    def __init__(self, path: str | os.PathLike, *, start: int | float | Fraction = 0, frames: int | None = None):
        """Reads all frames once, for their times and transparency.

        Raises `InputError` for a file that is damaged or has less than `start` frames.
        """
        self.name, self._path = str(path), Path(path)
        self.notes: list[str] = []
        header = image_header(path)
        self._data = self._path.read_bytes()
        self._kind = picture_format(self._data) or ""
        self._is_deep = header.bits == 16 and self._kind == "png"
        durations, transparent = [], False
        channels = header.channels if self._kind == "tiff" or self._is_deep else 3
        loops = 0
        with self._errors():
            if self._kind == "png":
                png.check(self._data)
            for pixels, duration in self._frames(as_stored=True):
                durations.append(duration)
                transparent = transparent or (pixels.shape[-1] == 4 and bool((pixels[..., 3] < 255).any()))
            if self._kind in _FORMATS:
                with Image.open(io.BytesIO(self._data), formats=_FORMATS[self._kind]) as image:
                    loops = image.info.get("loop", 1 if self._kind == "gif" else 0)
        self._channels = 4 if transparent and not (self._kind == "tiff" or self._is_deep) else channels
        times = [sum(durations[:index], Fraction(0)) for index in range(len(durations) + 1)]
        if isinstance(start, int):
            first = start
        else:
            begin = Fraction(start).limit_denominator(1_000_000)
            first = sum(time < begin for time in times[:-1])
        if first >= len(durations):
            raise InputError(f"{path} has {len(durations)} frames; it cannot be restored from {float(start):g} on")
        last = len(durations) if frames is None else min(first + frames, len(durations))
        self._chosen, self._times, self._durations = range(first, last), times, durations
        seconds = times[last] - times[first]
        self.fps = None if self._kind == "tiff" else len(self._chosen) / seconds
        self.footage = Footage(
            name=self.name,
            kind="pictures" if self._kind == "tiff" else "animation",
            height=header.height,
            width=header.width,
            channels=self._channels,
            bits=16 if header.bits == 16 else 8,
            rate=self.fps,
            time_base=Fraction(1, 1000),
            loops=loops,
            suffix=_SUFFIXES[self._kind],
        )

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Frame]:
        begin = self._times[self._chosen.start]
        with self._errors():
            for index, (pixels, _) in enumerate(self._frames(as_stored=False)):
                if index not in self._chosen:
                    continue
                timed = self._kind != "tiff"
                time, duration = (self._times[index] - begin, self._durations[index]) if timed else (None, None)
                yield Frame(f"{index:08d}", pixels, time, duration)

    def _frames(self, as_stored: bool) -> Iterator[tuple[np.ndarray, Fraction]]:
        """Pixels and durations; `as_stored`: with alpha wherever there may be some."""
        if self._kind == "tiff":
            from ascendcv.dataloader import tiff

            for number in range(tiff.read_header(self._data).frames):
                yield tiff.read_page(self._data, number), Fraction(1)
        elif self._is_deep:
            yield from _deep_frames(self._data)
        else:
            with Image.open(io.BytesIO(self._data), formats=_FORMATS[self._kind]) as image:
                skipped = 1 if image.info.get("default_image") else 0  # a still for programs that know no animation
                for index in range(skipped, getattr(image, "n_frames", 1)):
                    image.seek(index)
                    image.load()
                    duration = Fraction(image.info.get("duration") or 0).limit_denominator(1_000_000) / 1000
                    mode = "RGBA" if as_stored or self._channels == 4 else "RGB"
                    yield np.array(image.convert(mode)), duration or _NO_TIME

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (InputError, GeneratorExit, KeyboardInterrupt):
            raise
        except Exception as error:  # decoders meet damaged data with exceptions of every kind
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(
                f"{self.name} is no readable animation ({reason}); copy or extract it again"
            ) from error


def count_frames(path: Path) -> int:
    """How many frames a picture has; 1 for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            kind = picture_format(file.read(16))
            file.seek(0)
            if kind == "tiff":
                from ascendcv.dataloader import tiff

                return tiff.read_header(file.read()).frames
            if kind == "png":
                return png.read_header(file).frames
            if kind in _FORMATS:
                with Image.open(file, formats=_FORMATS[kind]) as image:
                    return getattr(image, "n_frames", 1)
    except Exception:  # of a decoder; reading it as a picture says what is wrong
        return 1
    return 1


def _deep_frames(data: bytes) -> Iterator[tuple[np.ndarray, Fraction]]:
    """Of an animated PNG of 16 bits: [H, W, C] uint16, which Pillow would reduce to 8."""
    with av.open(io.BytesIO(data), "r", format="apng") as container:
        for frame in container.decode(video=0):
            channels = {"gray16be": 1, "ya16be": 2, "rgb48be": 3, "rgba64be": 4}[frame.format.name]
            (plane,) = frame.planes
            rows = np.frombuffer(memoryview(plane), ">u2").reshape(frame.height, -1)[:, : frame.width * channels]
            pixels = rows.reshape(frame.height, frame.width, channels).astype(np.uint16)
            yield pixels, frame.duration * (frame.time_base or Fraction(0)) or _NO_TIME


class ApngWriter:
    """Frames -> an animated PNG, of 8 or 16 bits, one at a time."""

    def __init__(self, file: BinaryIO, loops: int):
        self._file, self._loops, self._count, self._sequence = file, loops, 0, 0

    def write(self, pixels: np.ndarray, duration: Fraction, tags=None) -> None:
        """A frame [H, W, C] that is shown for `duration` seconds."""
        height, width, channels = pixels.shape
        if self._count == 0:
            color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
            header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, color, 0, 0, 0)
            self._file.write(png.SIGNATURE + png.chunk(b"IHDR", header))
            self._place = self._file.tell()
            self._file.write(png.chunk(b"acTL", struct.pack(">II", 0, self._loops)))
            self._file.write(b"".join(png.tag_chunks(tags)))
        shown = duration.limit_denominator(65535)
        while shown.numerator > 65535 and shown.denominator > 1:
            shown = Fraction(round(shown * shown.denominator / 2), max(shown.denominator // 2, 1))
        timing = struct.pack(">HHBB", min(shown.numerator, 65535), shown.denominator, 0, 0)
        control = struct.pack(">IIIII", self._next(), width, height, 0, 0) + timing
        self._file.write(png.chunk(b"fcTL", control))
        data = png.compressed(pixels)
        if self._count == 0:
            self._file.write(png.chunk(b"IDAT", data))
        else:
            self._file.write(png.chunk(b"fdAT", struct.pack(">I", self._next()) + data))
        self._count += 1

    def finish(self) -> None:
        self._file.write(png.chunk(b"IEND", b""))
        self._file.seek(self._place)
        self._file.write(png.chunk(b"acTL", struct.pack(">II", self._count, self._loops)))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1


class WebpWriter:
    """Frames -> an animated WebP without loss, of 8 bits, one at a time.

    Source: WebP Container Specification, Google.
    """

    def __init__(self, file: BinaryIO, loops: int):
        self._file, self._loops, self._count, self._clock = file, loops, 0, Fraction(0)

    def write(self, pixels: np.ndarray, duration: Fraction, tags=None) -> None:
        """A frame [H, W, C] uint8 that is shown for `duration` seconds."""
        height, width, channels = pixels.shape
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        if self._count == 0:
            profile = tags.icc_profile if tags is not None else None
            flags = 0x02 | (0x10 if channels in (2, 4) else 0) | (0x20 if profile else 0)
            self._file.write(b"RIFF\0\0\0\0WEBP" + _riff(b"VP8X", bytes([flags, 0, 0, 0]) + size))
            if profile:
                self._file.write(_riff(b"ICCP", profile))
            self._file.write(_riff(b"ANIM", bytes(4) + struct.pack("<H", self._loops)))
        # Durations are whole milliseconds: their sums stay right.
        begin, self._clock = self._clock, self._clock + duration
        shown = round(self._clock * 1000) - round(begin * 1000)
        still = encode_image(pixels, ".webp")
        parts = b"".join(
            _riff(kind, data) for kind, data in _riff_chunks(still) if kind in (b"ALPH", b"VP8 ", b"VP8L")
        )
        place = bytes(6) + size + min(shown, (1 << 24) - 1).to_bytes(3, "little") + b"\x02"  # no blending
        self._file.write(_riff(b"ANMF", place + parts))
        self._count += 1

    def finish(self) -> None:
        end = self._file.tell()
        self._file.seek(4)
        self._file.write(struct.pack("<I", end - 8))


class GifWriter:
    """Frames -> an animated GIF, one at a time; each frame has the 256 colors that are best for it.

    Frames with no more colors than that are exact. Alpha is transparent below one half, else opaque.
    """

    def __init__(self, file: BinaryIO, loops: int):
        self._file, self._loops, self._count, self._clock = file, loops, 0, Fraction(0)

    def write(self, pixels: np.ndarray, duration: Fraction, tags=None) -> None:
        """A frame [H, W, C] uint8 that is shown for `duration` seconds."""
        height, width, channels = pixels.shape
        if self._count == 0:
            self._file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0))
            if self._loops != 1:
                count = struct.pack("<H", max(self._loops - 1, 0))
                self._file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + count + b"\0")
        begin, self._clock = self._clock, self._clock + duration
        shown = round(self._clock * 100) - round(begin * 100)
        transparent = pixels[..., -1] < 128 if channels in (2, 4) else None
        rgb = np.repeat(pixels[..., :1], 3, axis=-1) if channels <= 2 else pixels[..., :3]
        indices, palette = _palette(rgb, 255 if transparent is not None else 256)
        flags, key = 0x04, 0
        if transparent is not None:
            indices = np.where(transparent, len(palette), indices).astype(np.uint8)
            flags, key = 0x09, len(palette)  # cleared before the next frame
        bits = max((len(palette) + (transparent is not None) - 1).bit_length(), 1)
        colors = palette.tobytes().ljust(3 << bits, b"\0")
        self._file.write(b"\x21\xf9\x04" + struct.pack("<BHBB", flags, min(shown, 65535), key, 0))
        self._file.write(b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0x80 | (bits - 1)) + colors)
        self._file.write(_gif_pixels(indices))
        self._count += 1

    def finish(self) -> None:
        self._file.write(b"\x3b")


def _gif_pixels(indices: np.ndarray) -> bytes:
    """The packed pixels of a GIF frame, as Pillow packs them."""
    image, target = Image.fromarray(indices, "L"), io.BytesIO()
    image.encoderinfo = {}
    image.save(target, "GIF", interlace=0, optimize=False)
    data = target.getvalue()
    start = data.index(b"\x2c", 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0))
    local = data[start + 9]
    start += 10 + (3 << ((local & 7) + 1) if local & 0x80 else 0)
    return data[start:-1]


def _palette(rgb: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices [H, W] uint8 and colors [N, 3] uint8, N at most `most`."""
    codes = rgb.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    colors, indices = np.unique(codes[::4, ::4], return_inverse=True)
    if len(colors) <= most:
        colors, indices = np.unique(codes, return_inverse=True)
    if len(colors) <= most:
        palette = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=-1).astype(np.uint8)
        return indices.reshape(codes.shape).astype(np.uint8), palette
    reduced = Image.fromarray(rgb).quantize(most, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    palette = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)[:most]
    return np.array(reduced), palette


def _riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(data):
        kind, length = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        yield kind, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
