"""The frames of a video, each with its own time stamp, as arrays of RGB."""

import bisect
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import av.container
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from ascendcv.dataloader.footage import Color, Footage, Frame
from ascendcv.dataloader.turn import Turn
from ascendcv.dataloader.video_color import (
    PRIMARIES,
    TRANSFERS,
    ContainerTags,
    PixelReader,
    color_of,
    layout_of,
    refusal,
    side_data,
    with_mastering,
)
from ascendcv.dataloader.video_decoding import (
    Deinterlacer,
    choose_stream,
    decode,
    open_container,
    reason_of,
)
from ascendcv.utils.errors import InputError

# Where a frame cannot be decoded: leave it out, end with an error, or give the frame before once more.
ON_ERROR = ("skip", "stop", "repeat")

# Streams without a container: the times that their demuxers give are guesses.
_RAW_FORMATS = {"h264", "hevc", "vvc", "m4v", "mpegvideo", "h263", "obu", "cavsvideo", "dirac", "evc", "vc1"}
# Containers whose clock starts anywhere.
_CLOCKED_FORMATS = {"mpegts", "mpegtsraw", "mpeg", "rtp", "rtsp"}
_PROBED_FRAMES = 8  # looked at when a file is opened
_REORDERED = 64  # the most packets by which a frame may come before or after its place


class VideoSource:
    """The stored frames of a video, each once, as RGB, RGBA or gray of 8 bits, or 16 where the video has more.

    Colors are converted by the matrix and range that the file names; where it names no matrix, by that of its
    size. High dynamic range and wide gamuts keep their own encoding, with 16 bits. A rotation that the file asks
    for is applied. Frames of another size than the first are fitted into it between black bars.

    Attributes:
        name: the path, for messages.
        footage: what a sink needs to know.
        fps: frames per second, exact; of a variable rate, the average.
        notes: what the user should be told; what happens while frames are read is added at the end.
        failed: how many frames could not be decoded.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        stream: int | None = None,
        start: int | float | Fraction = 0,
        frames: int | None = None,
        deinterlace: bool = False,
        on_error: str = "skip",
        hdr: str = "keep",
    ):
        """Decodes the first frames.

        Args:
            path: a file, or '-' for a y4m stream on the standard input, which can be read once.
            stream: the number of the stream, by ffmpeg's counting; None: the largest video that is no cover.
            start: where to begin: a number of frames (int), or seconds.
            frames: how many to give at most.
            deinterlace: whether to turn interlaced frames into whole ones (bwdif).
            on_error: one of `ON_ERROR`.
            hdr: 'keep', or 'refuse' high dynamic range and wide gamuts.
        Raises:
            InputError: no video, or none with this number; colors that cannot be converted; interlaced frames
                that are not to be deinterlaced; a `start` after the end.
        """
        self._path = None if str(path) == "-" else Path(path)
        self.name = "the standard input" if self._path is None else str(path)
        check_range(self.name, start, frames)
        _check_options(on_error, hdr)
        self.notes: list[str] = []
        self.failed = 0
        self._number, self._deinterlace, self._on_error, self._limit = stream, deinterlace, on_error, frames
        self._opened: tuple[av.container.InputContainer, av.VideoStream] | None = None
        self._probed: list[av.VideoFrame] = []
        container, video = self._open()
        try:
            self._describe(container, video, hdr)
            if self._path is None and start:
                raise InputError("the standard input is read from its first frame on")
            self._find_start(start)
        except BaseException:
            container.close()
            raise
        if self._path is None:
            self._opened = container, video
        else:
            container.close()
            self._probed = []

    def __length_hint__(self) -> int:
        """The number of frames; where the file does not say it, an estimate."""
        count = max(self._count - self._first, 0)
        return count if self._limit is None else min(count, self._limit)

    def __iter__(self) -> Iterator[Frame]:
        """Raises `InputError` at what cannot be decoded, if that is to stop the reading."""
        self.failed, self._given, self._complaint = 0, 0, ""
        self._counts: Counter[str] = Counter()
        container, video = self._opened or self._open()
        self._opened = None
        try:
            for frame in self._from_start(self._timed(self._progressive(self._frames(container, video)))):
                yield frame
                self._given += 1
                if self._given == self._limit:
                    return
            self._check_whole(video)
        finally:
            container.close()
            self._note_what_happened()

    def _open(self) -> tuple[av.container.InputContainer, av.VideoStream]:
        if self._path is not None:
            container = open_container(self._path)
        else:
            try:
                container = av.open(sys.stdin.buffer, "r", format="yuv4mpegpipe")
            except (av.FFmpegError, ValueError) as error:
                raise InputError(f"the standard input is no y4m stream ({reason_of(error)})") from error
        try:
            return container, choose_stream(container, self._number, self.name)
        except BaseException:
            container.close()
            raise

    def _describe(self, container: av.container.InputContainer, video: av.VideoStream, hdr: str) -> None:
        """Sets what is the same for all frames, from the first ones."""
        for frame in decode(container, video, lambda error: None):
            if frame is not None:
                self._probed.append(frame)
            if len(self._probed) == _PROBED_FRAMES:
                break
        if not self._probed:
            raise InputError(f"{self.name} is no readable video (no frame can be decoded)")
        first = self._probed[0]
        self._interlaced = any(frame.interlaced_frame for frame in self._probed)
        if self._interlaced and not self._deinterlace:
            raise InputError(f"{self.name} is interlaced; deinterlace it (--deinterlace, bwdif)")
        self._tags = ContainerTags.of(video.codec_context)
        color = with_mastering(color_of(first, first.height, first.width, self._tags), first)
        if reason := refusal(color):
            raise InputError(f"{self.name} {reason}, which cannot be restored; convert it to BT.709 first")
        self._note_wide_colors(color, hdr)
        layout = layout_of(first.format.name)
        bits = 16 if layout.bits > 8 or color.is_wide else 8
        self._read_pixels, self._fit = PixelReader(bits), VideoReformatter()
        self._size, self._turn = (first.height, first.width), _turn_of(first)
        height, width = self._size[::-1] if self._turn.transpose else self._size
        aspect = Fraction(video.sample_aspect_ratio or 1)
        aspect = aspect if aspect > 0 else Fraction(1)
        formats = set(container.format.name.split(","))
        self._stamp = "none" if formats & _RAW_FORMATS else "dts" if "avi" in formats else "pts"
        self.fps = self._rate(video)
        self._tick = None if self._stamp == "none" else video.time_base
        self._count = self._frame_count(container, video)
        self._clock = self._clock_start(container, formats)
        self.footage = Footage(
            name=self.name,
            kind="video",
            height=height,
            width=width,
            channels=layout.channels,
            bits=bits,
            rate=self.fps,
            time_base=self._tick or 1 / self.fps,
            aspect=1 / aspect if self._turn.transpose else aspect,
            pixel_format=first.format.name.replace("yuvj", "yuv"),
            color=color,
            path=self._path,
            stream=video.index,
            offset=self._clock,
        )

    def _note_wide_colors(self, color: Color, hdr: str) -> None:
        if not color.is_wide:
            return
        names = [TRANSFERS.get(color.transfer), PRIMARIES.get(color.primaries)]
        text = " and ".join(name for name in names if name) or "BT.2020"
        if hdr == "refuse":
            raise InputError(
                f"{self.name} has colors in {text}, which are to be refused; convert it to BT.709 first"
            )
        self.notes.append(f"{self.name}: colors in {text} are restored in their own encoding, with 10 bits or more")
        kinds = {entry.type.name for entry in side_data(self._probed[0])}
        if kinds & {"DYNAMIC_HDR_PLUS", "DYNAMIC_HDR_VIVID", "DOVI_RPU_BUFFER", "DOVI_METADATA"}:
            self.notes.append(
                f"{self.name}: how its brightness is to change from scene to scene is not carried over"
            )

    def _rate(self, video: av.VideoStream) -> Fraction:
        rates = [video.average_rate, video.guessed_rate, video.base_rate]
        if self._stamp == "none":
            rates = [video.codec_context.framerate, *rates]
        elif self._stamp == "dts":
            rates = [video.guessed_rate, *rates]
        return next((Fraction(rate) for rate in rates if rate and 0 < rate < 100_000), Fraction(25))

    def _frame_count(self, container: av.container.InputContainer, video: av.VideoStream) -> int:
        if video.frames and self._stamp == "pts":
            return video.frames
        seconds = Fraction(container.duration or 0, av.time_base)
        if video.duration and self._tick:
            seconds = video.duration * self._tick
        elif tag := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)\s*", video.metadata.get("DURATION", "")):
            hours, minutes, rest = map(Fraction, tag.groups())
            seconds = 3600 * hours + 60 * minutes + rest
        return round(seconds * self.fps)

    def _clock_start(self, container: av.container.InputContainer, formats: set[str]) -> Fraction:
        """The time in the file that becomes 0: its own 0, unless its clock starts anywhere."""
        start = Fraction(container.start_time or 0, av.time_base)
        if self._stamp == "dts" and self._tick and self._probed[0].dts is not None:
            # An AVI has no time stamps but the order of decoding: the first frame to be seen is at 0.
            return self._probed[0].dts * self._tick
        if self._tick and (start > 1 or (start > 0 and formats & _CLOCKED_FORMATS)):
            return round(start / self._tick) * self._tick
        return Fraction(0)

    def _find_start(self, start: int | float | Fraction) -> None:
        """Sets the number and time of the first frame to give, and where the footage begins and ends."""
        self._first, self._begin, end = 0, Fraction(0), None
        if self._path is not None and (start or self._limit is not None):
            times = self._stored_times(start)
            if isinstance(start, int):
                self._first = start
            else:
                self._first = bisect.bisect_left(times, Fraction(start).limit_denominator(1_000_000))
            if self._first >= len(times):
                unit = "frame " if isinstance(start, int) else "second "
                last = len(times) - 1 if isinstance(start, int) else f"{float(times[-1]):.3f}"
                raise InputError(
                    f"{self.name} ends with {unit}{last}; it cannot be restored from {float(start):g} on"
                )
            if start:
                self._begin = times[self._first]
            if self._limit is not None and self._first + self._limit < len(times):
                end = times[self._first + self._limit] - self._begin
        self.footage = replace(self.footage, offset=self.footage.offset + self._begin, begin=self._begin, end=end)

    def _stored_times(self, start: int | float | Fraction) -> list[Fraction]:
        """The times of the frames as far as needed for `start` and the limit, in order, without decoding them."""
        times: list[Fraction] = []
        needed = None
        container, video = self._open()
        try:
            for packet in container.demux(video):
                stamp = packet.dts if self._stamp == "dts" else packet.pts
                if packet.size == 0:
                    continue
                if self._tick is None or stamp is None:
                    times.append(len(times) / self.fps)
                else:
                    times.append(stamp * self._tick - self._clock)
                if needed is None and (len(times) > start if isinstance(start, int) else times[-1] > start):
                    needed = len(times) + (self._limit or 0) + _REORDERED
                if len(times) == needed:
                    break
        except (av.FFmpegError, OSError):
            pass  # what comes before the damage is known
        finally:
            container.close()
        return sorted(times)

    def _frames(
        self, container: av.container.InputContainer, video: av.VideoStream
    ) -> Iterator[av.VideoFrame | None]:
        """Decoded frames from the first wanted one on, or from some time before."""
        yield from self._probed
        self._probed = []
        if self._begin and self._tick and self._stamp == "pts":
            # Some pictures are stored after the key frame that follows them: it begins before these.
            before = max(self._begin - 16 / self.fps, Fraction(0))
            try:
                container.seek(int((before + self._clock) / self._tick), stream=video)
                frames = decode(container, video, self._failure)
                first = next((frame for frame in frames if frame is not None), None)
                time = self._time_of(first) if first is not None else None
                if time is not None and time <= self._begin:
                    yield first
                    yield from frames
                    return
            except av.FFmpegError:
                pass
            container.seek(0)  # an inexact index: from the beginning
        yield from decode(container, video, self._failure, self._counts)

    def _failure(self, error: Exception) -> None:
        if self._on_error == "stop":
            reason = f"{reason_of(error)}; repair it first"
            raise InputError(f"{self.name} is damaged after {self._given} frames ({reason})") from error
        self.failed += 1
        self._complaint = self._complaint or reason_of(error)

    def _progressive(self, frames: Iterator[av.VideoFrame | None]) -> Iterator[av.VideoFrame | None]:
        deinterlacer = None
        for frame in frames:
            if frame is not None and frame.is_corrupt:
                self._counts["concealed"] += 1
            if frame is None or not self._deinterlace:
                self._counts["fields"] += frame is not None and frame.interlaced_frame
                yield frame
                continue
            deinterlacer = deinterlacer or Deinterlacer(frame, everything=not self._interlaced)
            yield from deinterlacer(frame)
        if deinterlacer is not None:
            yield from deinterlacer(None)

    def _timed(
        self, frames: Iterator[av.VideoFrame | None]
    ) -> Iterator[tuple[av.VideoFrame, Fraction, Fraction | None]]:
        """Frames with times that increase and durations, in seconds. A lost frame is left out or the last one."""
        step, shift = 1 / self.fps, Fraction(0)
        last: Fraction | None = None
        frame_before: av.VideoFrame | None = None
        for frame in frames:
            time = duration = None
            if frame is None:
                if self._on_error != "repeat" or frame_before is None:
                    continue
                frame = frame_before
            else:
                time = self._time_of(frame)
                if frame.duration and frame.time_base and self._stamp == "pts":
                    duration = frame.duration * frame.time_base
            if time is None:
                time = Fraction(0) if last is None else last + step
            else:
                time += shift
                if last is not None and time <= last:
                    # Of files that were joined, the second may begin at 0 again: it follows the first.
                    correction = last + (step if last - time > 1 else self._tick or step) - time
                    shift += correction if last - time > 1 else 0
                    time += correction
            yield frame, time, duration
            last, frame_before = time, frame

    def _time_of(self, frame: av.VideoFrame) -> Fraction | None:
        """In seconds, from the file's own start."""
        stamp = {"pts": frame.pts, "dts": frame.dts, "none": None}[self._stamp]
        return None if stamp is None or frame.time_base is None else stamp * frame.time_base - self._clock

    def _from_start(self, frames: Iterator[tuple[av.VideoFrame, Fraction, Fraction | None]]) -> Iterator[Frame]:
        index = self._first
        skipped = 0
        tolerance = (self._tick or 1 / self.fps) / 2
        for frame, time, duration in frames:
            if self._stamp == "none" and skipped < self._first:
                skipped += 1
                continue
            if time < self._begin - tolerance:
                continue
            yield Frame(f"{index:08d}", self._pixels(frame), time - self._begin, duration)
            index += 1

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        color = color_of(frame, *self._size, self._tags)
        if (frame.height, frame.width) == self._size:
            return self._turn(self._read_pixels(frame, color))
        self._counts["fitted"] += 1
        height, width = self._size
        factor = min(Fraction(height, frame.height), Fraction(width, frame.width))
        inner = max(round(frame.height * factor), 1), max(round(frame.width * factor), 1)
        resized = self._fit.reformat(frame, height=inner[0], width=inner[1], interpolation=Interpolation.BICUBIC)
        pixels = self._read_pixels(resized, color)
        canvas = np.zeros((height, width, pixels.shape[-1]), pixels.dtype)
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        canvas[top : top + inner[0], left : left + inner[1]] = pixels
        return self._turn(canvas)

    def _check_whole(self, video: av.VideoStream) -> None:
        """Reports a file that has less than it says."""
        said = video.frames
        if "mp4" in video.container.format.name:
            said = min(said, len(video.index_entries))  # without what its edit list leaves out
        missing = said - self._counts["packets"]
        if missing > 0 and self._stamp == "pts" and not self._begin:
            message = f"{self.name} is cut short: {missing} of its {said} frames are missing"
            if self._on_error == "stop":
                raise InputError(f"{message}, all after {self._given} frames; copy or download it again")
            self.notes.append(message)

    def _note_what_happened(self) -> None:
        counts = self._counts
        if self.failed:
            done = "replaced by the frames before them" if self._on_error == "repeat" else "left out"
            self.notes.append(
                f"{self.name} is damaged: {self.failed} packets could not be decoded and were {done} "
                f"({self._complaint}); {self._given} frames were read"
            )
        if counts["concealed"]:
            self.notes.append(f"{self.name}: {counts['concealed']} damaged frames were decoded in part")
        if counts["fitted"]:
            size = f"{self._size[1]}x{self._size[0]}"
            self.notes.append(
                f"{self.name} changes its size: {counts['fitted']} frames were fitted into {size} with black bars"
            )
        if counts["fields"]:
            self.notes.append(
                f"{self.name}: {counts['fields']} frames are interlaced; deinterlace it (--deinterlace)"
            )


def _turn_of(frame: av.VideoFrame) -> Turn:
    """By the display matrix that comes with a frame, if there is one."""
    for entry in side_data(frame):
        if entry.type.name == "DISPLAYMATRIX":
            return Turn.of_matrix(bytes(entry))
    return Turn()


def check_range(name: str, start: int | float | Fraction, frames: int | None) -> None:
    """Raises `InputError` for a part that no clip can have."""
    if start < 0:
        raise InputError(f"{name} cannot be restored from {float(start):g} on: it begins at 0")
    if frames is not None and frames < 1:
        raise InputError(f"{name}: the number of frames should be 1 or more, not {frames}")


def _check_options(on_error: str, hdr: str) -> None:
    if on_error not in ON_ERROR:
        raise InputError(f"what to do on errors should be one of {', '.join(ON_ERROR)}, not {on_error!r}")
    if hdr not in ("keep", "refuse"):
        raise InputError(f"hdr should be keep or refuse, not {hdr!r}")
