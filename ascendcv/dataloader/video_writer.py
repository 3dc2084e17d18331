"""Writing a video file: frames with their times, encoded by PyAV, and all that belongs to them."""

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np

from ascendcv.dataloader.footage import Color, Footage, Frame
from ascendcv.dataloader.matroska import write_aspect
from ascendcv.dataloader.streams import OtherStreams
from ascendcv.dataloader.video_codecs import CONTAINERS, Choice, choose, keeping
from ascendcv.dataloader.video_color import BT709, PixelWriter, complete
from ascendcv.dataloader.video_decoding import reason_of
from ascendcv.utils.errors import InputError

_MILLISECONDS = ("matroska", "webm")  # their time stamps count these
_MOST_DELAY = 16  # frames by which encoders decode earlier than they show
_MOST_TICKS = 1_000_000_000  # a second, that a container's clock may have


class VideoEncoder:
    """Frames -> a video file. Nothing is written before the first frame."""

    def __init__(
        self,
        file: Path,
        path: Path,
        *,
        like: Footage | None,
        fps: Fraction,
        notes: list[str],
        codec: str | None = None,
        crf: int | None = None,
        preset: str | None = None,
        pixel_format: str | None = None,
        with_streams: bool = True,
    ):
        """
        Args:
            file: what is written.
            path: how it is called in messages; its ending chooses the container.
            like: what the frames come from; its color, shape of pixels, pixel format and other streams are kept.
            fps: the rate of frames without a time.
            notes: where to say what is not as it was.
            codec, crf, preset, pixel_format: as `video_codecs.choose` takes them.
            with_streams: whether to carry over sound, subtitles and so on.
        """
        self._file, self._path, self._like, self._notes = file, path, like, notes
        self._rate = Fraction(like.rate if like is not None and like.rate else fps).limit_denominator(1_000_000)
        self._settings: dict[str, Any] = {
            "codec": codec,
            "crf": crf,
            "preset": preset,
            "pixel_format": pixel_format,
        }
        self._with_streams = with_streams
        self._begun, self._count, self._packets = False, 0, 0
        self._last: int | None = None
        self._delay: int | None = None
        self._times: dict[int, int] = {}
        self._durations: dict[int, int] = {}

    def write(self, name: str, pixels: np.ndarray, frame: Frame | None = None) -> None:
        """Raises `InputError` for what the file cannot hold, OSError if it cannot be written."""
        if not self._begun:
            self._begin(pixels, frame)
        if pixels.shape[:2] != self._size:
            height, width = self._size
            raise InputError(
                f"{self._path}: frame {name} has {pixels.shape[1]}x{pixels.shape[0]} pixels, the first has "
                f"{width}x{height}; frames of one video have one size"
            )
        picture = self._to_frame(pixels)
        index, self._count = self._count, self._count + 1
        time = frame.time if frame is not None and frame.time is not None else index / self._rate
        ticks = round(time / self._tick)
        self._last = ticks if self._last is None else max(ticks, self._last + 1)
        self._times[index] = self._last
        duration = frame.duration if frame is not None and frame.duration else 1 / self._rate
        self._durations[index] = max(round(duration / self._tick), 1)
        picture.pts, picture.time_base = index, 1 / self._rate
        with self._failures():
            self._write_packets(self._stream.encode(picture))

    def finish(self) -> None:
        """Writes what is left."""
        if not self._begun:
            raise InputError(f"{self._path}: there are no frames to write")
        with self._failures():
            self._write_packets(self._stream.encode(None))
            self._others.write_until(None)
            self._container.close()
            carry_aspect(self._file, self._path, self._aspect, self._notes)

    def close(self) -> None:
        """Ends without completing the file."""
        if self._begun:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()
            self._others.close()

    def _begin(self, pixels: np.ndarray, frame: Frame | None) -> None:
        like, self._size = self._like, (pixels.shape[0], pixels.shape[1])
        color = color_for(like, frame)
        channels, bits = pixels.shape[2], 8 * pixels.dtype.itemsize
        wanted = keeping(like.pixel_format if like is not None else None, channels, bits)
        choice = choose(self._path, wanted, self._size, complete(color), **self._settings)
        self._notes.extend(choice.notes)
        format_name = CONTAINERS[self._path.suffix.lower()][0]
        self._tick = self._clock(format_name)
        self._step = max(round(1 / self._rate / self._tick), 1)
        self._aspect = like.aspect if like is not None else Fraction(1)
        others = OtherStreams(like if self._with_streams else None, format_name, self._notes)
        options = {"movflags": "+faststart"} if format_name in ("mp4", "mov") else {}
        for key, value in others.options.items():
            options[key] = options.get(key, "") + value
        self._others, self._to_frame = others, PixelWriter(choice.pixel_format, choice.color)
        with self._failures():
            self._container = av.open(
                os.fspath(self._file),
                "w",
                format=format_name,
                metadata_errors="surrogateescape",
                container_options=options,
            )
            self._begun = True
            self._stream = self._add_stream(choice)
            others.add_to(self._container, self._stream)
            try:
                self._container.start_encoding()
            except (av.error.ArgumentError, av.error.ExternalError, av.error.UndefinedError) as error:
                what = f"{choice.pixel_format} of {self._size[1]}x{self._size[0]} pixels with {choice.options}"
                raise InputError(
                    f"{self._path}: {choice.codec} does not take {what} ({reason_of(error)})"
                ) from error

    def _clock(self, format_name: str) -> Fraction:
        """Seconds per tick of the file's time stamps."""
        if format_name in _MILLISECONDS:
            return Fraction(1, 1000)
        tick = self._like.time_base if self._like is not None else None
        if tick is None or tick.denominator > _MOST_TICKS or tick > 1 / self._rate:
            return 1 / self._rate
        return tick

    def _add_stream(self, choice: Choice) -> av.VideoStream:
        # SVT-AV1 speaks unless told not to, and only this tells it.
        os.environ.setdefault("SVT_LOG", "1")
        added = self._container.add_stream(choice.encoder, rate=self._rate, options=choice.options)
        stream = cast(av.VideoStream, added)
        stream.time_base = self._tick
        context = stream.codec_context
        context.height, context.width = self._size
        context.pix_fmt = choice.pixel_format
        # Encoders count frames; packets get the times of these afterwards.
        context.time_base, context.framerate = 1 / self._rate, self._rate
        context.thread_count = 0
        if self._aspect != 1:
            context.sample_aspect_ratio = self._aspect
        context.colorspace, context.color_range = choice.color.matrix, 2 if choice.color.full_range else 1
        context.color_trc, context.color_primaries = choice.color.transfer, choice.color.primaries
        return stream

    def _write_packets(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            shown = cast(int, packet.pts)  # the number of the frame
            if self._delay is None:
                # x265 gives no decoding time worth the name where there are less frames than it looks ahead.
                delay = shown - packet.dts if packet.dts is not None else 0
                self._delay = delay if 0 <= delay <= _MOST_DELAY else self._stream.codec_context.reorder_depth
            decoded, self._packets = min(self._packets - self._delay, shown), self._packets + 1
            dts = self._times[decoded] if decoded >= 0 else self._times[0] + decoded * self._step
            for index in [index for index in self._times if index < decoded]:
                del self._times[index]
            packet.pts, packet.dts = self._times[shown], dts
            packet.duration = self._durations.pop(shown)
            packet.time_base = self._tick
            packet.stream = self._stream
            self._others.write_until(dts * self._tick)
            self._container.mux(packet)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Errors of the disk name the file that was asked for."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, av.error.ArgumentError):
                raise OSError(error.errno, f"cannot write: {error.strerror}", str(self._path)) from error
            raise OSError(f"cannot write {self._path}: {reason_of(error)}") from error


def color_for(like: Footage | None, frame: Frame | None = None) -> Color:
    """How frames are to be tagged: as the video that they come from, or the cICP of pictures; else BT.709."""
    if like is not None and like.color is not None:
        return like.color
    tags = frame.tags if frame is not None else None
    if tags is not None and tags.cicp is not None:
        primaries, transfer, _, _ = tags.cicp
        return Color(9 if primaries == 9 else BT709, False, transfer, primaries)
    return Color(BT709)


def carry_aspect(file: Path, path: Path, aspect: Fraction, notes: list[str]) -> None:
    """Writes the shape of pixels into a finished file where the muxer could not; what prevents that is a note.

    `path` is the file's name in messages, whose ending tells the container.
    """
    if aspect == 1 or CONTAINERS[path.suffix.lower()][0] not in _MILLISECONDS:
        return
    try:
        write_aspect(file, aspect)
    except InputError as error:
        shape = f"{aspect.numerator}:{aspect.denominator}"
        notes.append(f"{path}: players may show its pixels, which are {shape}, as square ({error})")


def check(path: Path, like: Footage | None, **settings: Any) -> None:
    """Raises `InputError` for settings or footage that a file of this ending cannot have, as far as is known."""
    color = complete(color_for(like))
    if like is None:
        wanted, size = "yuv420p", (64, 64)
    else:
        wanted = keeping(like.pixel_format, like.channels, like.bits)
        height, width = (max(64, side + side % 2) for side in (like.height, like.width))
        size = (height, width)
    choose(path, wanted, size, color, **settings)
