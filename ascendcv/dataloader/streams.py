"""Sound, subtitles, covers, attachments, chapters and tags: carried from the file that frames come from to another.

What the other file can hold is copied as it is. Sound and text subtitles that it cannot hold are converted. What
is left out is named in a note.
"""

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import av.container
from av.subtitles.stream import SubtitleStream

from ascendcv.dataloader.footage import Footage
from ascendcv.dataloader.video_decoding import is_cover, open_container, reason_of

if TYPE_CHECKING:
    from av.container.core import Chapter  # stands in PyAV's type stubs only

# What sound and text become where a container cannot hold them.
_SOUND = {"mp4": "aac", "mov": "aac", "matroska": "flac", "webm": "libopus"}
_TEXT = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
_SOUND_RATES = {
    "aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000),
    "libopus": (48000,),
}
_TEXT_CODECS = ("subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text", "microdvd", "sami", "subviewer")
# Tags that speak of the file they stand in, or of a turn that has been made.
_OWN_TAGS = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration", "rotate", "alpha_mode"}
_OWN_TAGS |= {"vendor_id", "handler_name", "number_of_frames", "number_of_bytes", "bps"}
_MP4_TAGS = {"title", "artist", "album", "album_artist", "author", "comment", "copyright", "composer", "date"}
_MP4_TAGS |= {"description", "synopsis", "genre", "grouping", "show", "network", "episode_id", "track", "disc"}
_MP4_TAGS |= {"lyrics", "creation_time", "location", "language", "make", "model", "keywords"}


class OtherStreams:
    """All that belongs to `footage` but its frames, for the file that these are written to."""

    def __init__(self, footage: Footage | None, container: str, notes: list[str]):
        """`container`: ffmpeg's name of the format that is written. `notes`: where to say what is left out."""
        self._container, self._notes = container, notes
        self._is_open = False  # nothing to carry: what comes next is not there
        if footage is not None and footage.path is not None and footage.stream is not None:
            self._footage, self._path, self._frames = footage, footage.path, footage.stream
            self._input, self._is_open = open_container(footage.path), True
        self._carried: dict[int, _Copied | _ConvertedSound | _ConvertedText] = {}
        self._packets: Iterator[av.Packet] = iter(())
        self._waiting: av.Packet | None = None

    @property
    def options(self) -> dict[str, str]:
        """What the muxer needs to be told."""
        if not self._is_open or self._container not in ("mp4", "mov"):
            return {}
        unusual = set(_kept_tags(self._input.metadata)) - _MP4_TAGS
        return {"movflags": "+use_metadata_tags"} if unusual else {}

    def add_to(self, output: av.container.OutputContainer, video: av.VideoStream) -> None:
        """Adds the streams, after `video` has been added."""
        if not self._is_open:
            return
        output.metadata.update(_kept_tags(self._input.metadata))
        source = self._input.streams[self._frames]
        video.metadata.update(_kept_tags(source.metadata))
        video.disposition = source.disposition & ~av.stream.Disposition.attached_pic
        chapters = self._chapters()
        if chapters:
            output.set_chapters(chapters)
        for stream in self._input.streams:
            if stream.index != self._frames:
                self._add(output, stream, bool(chapters))
        carried = [self._input.streams[index] for index in self._carried]
        for stream in self._input.streams:
            if stream.index not in self._carried:
                stream.discard = av.stream.Discard.all
        if carried:
            self._packets = self._demux(carried)

    def write_until(self, time: Fraction | None) -> None:
        """Writes what is not later than `time` in seconds; None: all up to the end of the footage."""
        if not self._carried:
            return
        while True:
            packet = self._waiting or next(self._packets, None)
            if packet is None:
                break
            self._waiting = packet
            start = self._time_of(packet)
            if time is not None and start > time:
                return
            self._waiting = None
            self._write(packet, start)
        for index in list(self._carried):
            self._guarded(index, None)

    def close(self) -> None:
        if self._is_open:
            self._input.close()

    def _add(self, output: av.container.OutputContainer, stream: av.stream.Stream, has_chapters: bool) -> None:
        what = _describe(stream)
        if stream.type == "attachment":
            if self._container == "matroska":
                output.add_stream_from_template(stream)
            else:
                self._leave(f"{what} is not carried over: {self._container} files have no attachments")
        elif isinstance(stream, av.VideoStream) and is_cover(stream) and self._container == "matroska":
            self._attach_cover(output, stream)
        elif isinstance(stream, av.VideoStream) and is_cover(stream) and _fits(stream, self._container):
            copy = output.add_stream_from_template(stream, opaque=True)
            copy.disposition = stream.disposition
            self._carried[stream.index] = _Copied(output, copy, self._footage)
        elif isinstance(stream, av.AudioStream | SubtitleStream) and stream.codec_context is not None:
            self._add_sound_or_text(output, stream, what)
        elif not (stream.type == "data" and has_chapters and stream.name == "bin_data"):  # titles of chapters
            self._leave(f"{what} is not carried over")

    def _attach_cover(self, output: av.container.OutputContainer, stream: av.VideoStream) -> None:
        """Covers are attachments of a Matroska file."""
        kind = {"mjpeg": "jpeg"}.get(stream.codec_context.name, stream.codec_context.name)
        with open_container(self._path) as container:
            packets = (packet for packet in container.demux(stream.index) if packet.size)
            if packet := next(packets, None):
                ending = {"jpeg": "jpg"}.get(kind, kind)
                name = stream.metadata.get("filename", f"cover.{ending}")
                output.add_attachment(name, f"image/{kind}", bytes(packet))

    def _add_sound_or_text(
        self, output: av.container.OutputContainer, stream: av.AudioStream | SubtitleStream, what: str
    ) -> None:
        carried: _Copied | _ConvertedSound | _ConvertedText
        if _fits(stream, self._container):
            carried = _Copied(output, output.add_stream_from_template(stream), self._footage)
        elif isinstance(stream, av.AudioStream):
            name = _SOUND[self._container]
            carried = _ConvertedSound(output, stream, name, self._footage)
            self._leave(
                f"{what} is converted to {name.removeprefix('lib')}: {self._container} files cannot hold it"
            )
        elif stream.codec_context.name in _TEXT_CODECS:
            name = _TEXT[self._container]
            carried = _ConvertedText(output, stream, name, self._footage)
            self._leave(f"{what} is converted to {name}: {self._container} files cannot hold it")
        else:
            self._leave(f"{what} is not carried over: {self._container} files cannot hold it")
            return
        carried.stream.metadata.update(_kept_tags(stream.metadata))
        carried.stream.disposition = stream.disposition
        self._carried[stream.index] = carried

    def _leave(self, note: str) -> None:
        self._notes.append(f"{self._footage.name}: {note}")

    def _chapters(self) -> list["Chapter"]:
        """The chapters of the part that is carried over, in its time."""
        footage = self._footage
        result: list[Chapter] = []
        for chapter in self._input.chapters():
            unit = chapter["time_base"]
            if unit is None:
                continue
            begin, end = chapter["start"] * unit - footage.offset, chapter["end"] * unit - footage.offset
            if end <= 0 or (footage.end is not None and begin >= footage.end):
                continue
            begin, end = max(begin, Fraction(0)), end if footage.end is None else min(end, footage.end)
            start, stop, unit = round(begin * 1000), round(end * 1000), Fraction(1, 1000)
            result.append(
                {
                    "id": chapter["id"],
                    "start": start,
                    "end": stop,
                    "time_base": unit,
                    "metadata": chapter["metadata"],
                }
            )
        return result

    def _demux(self, streams: list[av.stream.Stream]) -> Iterator[av.Packet]:
        if self._footage.begin:
            try:
                self._input.seek(int((self._footage.offset - 1) * av.time_base))
            except av.FFmpegError:
                self._input.seek(0)
        for _ in range(1000):  # complaints
            try:
                for packet in self._input.demux(streams):
                    if packet.size:
                        yield packet
                return
            except (av.FFmpegError, OSError):
                continue

    def _time_of(self, packet: av.Packet) -> Fraction:
        """In seconds of the footage; of a cover picture, before everything."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or packet.stream.type == "video":
            return Fraction(-1)
        return stamp * Fraction(packet.stream.time_base) - self._footage.offset

    def _write(self, packet: av.Packet, start: Fraction) -> None:
        footage = self._footage
        is_picture = packet.stream.type == "video"
        before = footage.begin and start < 0
        after = footage.end is not None and start >= footage.end
        if packet.stream_index in self._carried and (is_picture or not (before or after)):
            self._guarded(packet.stream_index, packet)

    def _guarded(self, index: int, packet: av.Packet | None) -> None:
        """Writes a packet; a stream that a muxer or converter will not take goes no further."""
        try:
            self._carried[index].write(packet)
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno and 0 < error.errno < 200 and error.errno != 22:
                raise
            what = _describe(self._input.streams[index])
            self._leave(f"{what} is carried over in part ({reason_of(error)})")
            del self._carried[index]


class _Copied:
    def __init__(self, output: av.container.OutputContainer, stream: av.stream.Stream, footage: Footage):
        self.stream, self._output, self._footage, self._clock = stream, output, footage, _Clock()

    def write(self, packet: av.Packet | None) -> None:
        if packet is None:
            return
        unit = Fraction(packet.time_base)
        offset = round(self._footage.offset / unit)
        if packet.stream.type == "video":  # a cover stands at the beginning
            packet.pts = packet.dts = 0
        else:
            self._clock.set(packet, offset, unit)
        packet.stream = self.stream
        self._output.mux(packet)


class _Clock:
    """Times of one stream's packets: moved by an offset, always increasing."""

    def __init__(self) -> None:
        self._shift, self._duration = 0, 0
        self._last: int | None = None

    def set(self, packet: av.Packet, offset: int, unit: Fraction) -> None:
        decoded = packet.dts if packet.dts is not None else packet.pts
        if decoded is None:
            return  # nothing says when: the muxer decides whether it takes the packet
        delay = (packet.pts if packet.pts is not None else decoded) - decoded
        dts = decoded + self._shift - offset
        if self._last is not None and dts <= self._last:
            goes_back = (self._last - dts) * unit > 1
            # Of files that were joined, the second may begin at 0 again: it follows the first.
            correction = self._last + (max(self._duration, 1) if goes_back else 1) - dts
            self._shift += correction if goes_back else 0
            dts += correction
        packet.dts, packet.pts = dts, dts + max(delay, 0)
        self._last, self._duration = dts, packet.duration or 0


class _ConvertedSound:
    def __init__(self, output: av.container.OutputContainer, source: av.AudioStream, name: str, footage: Footage):
        self._output, self._footage = output, footage
        self._decoder = source.codec_context
        rates = _SOUND_RATES.get(name, ())
        rate = self._decoder.sample_rate
        rate = rate if not rates or rate in rates else 48000
        self.stream = cast(av.AudioStream, output.add_stream(name, rate=rate))
        layouts = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
        self.stream.codec_context.layout = layouts.get(self._decoder.layout.nb_channels, "stereo")
        encoder = self.stream.codec_context
        if name != "flac":
            encoder.bit_rate = 96_000 * encoder.layout.nb_channels
        self._resample = av.AudioResampler(encoder.format, encoder.layout, rate)

    def write(self, packet: av.Packet | None) -> None:
        try:
            frames = self._decoder.decode(packet) if packet is not None else []
        except av.FFmpegError:
            return  # a damaged packet is silent
        for frame in [*frames, *([None] if packet is None else [])]:
            if frame is not None and frame.pts is not None and frame.time_base is not None:
                frame.pts -= round(self._footage.offset / frame.time_base)
            for part in self._resample.resample(frame):
                self._output.mux(self.stream.encode(part))
        if packet is None:
            self._output.mux(self.stream.encode(None))


class _ConvertedText:
    def __init__(self, output: av.container.OutputContainer, source: SubtitleStream, name: str, footage: Footage):
        self._output, self._footage, self._decoder = output, footage, source.codec_context
        self.stream = cast(SubtitleStream, output.add_stream(name))
        self._encoder = self.stream.codec_context
        self._decoder.open(strict=False)
        self._encoder.subtitle_header = self._decoder.subtitle_header
        self._clock = _Clock()

    def write(self, packet: av.Packet | None) -> None:
        if packet is None or not packet.size:
            return
        subtitle = self._decoder.decode2(packet)
        if subtitle is None or not len(subtitle):
            return
        converted = self._encoder.encode_subtitle(subtitle)
        unit = Fraction(packet.time_base)
        converted.time_base = unit
        converted.pts = converted.dts = packet.pts
        converted.duration = packet.duration
        self._clock.set(converted, round(self._footage.offset / unit), unit)
        converted.stream = self.stream
        self._output.mux(converted)


def _fits(stream: av.stream.Stream, container: str) -> bool:
    """Whether a container can hold a stream as it is, found by writing a header."""
    if stream.codec_context is None or stream.codec_context.name in ("none", ""):
        return False
    if container == "webm" and stream.codec_context.name not in ("opus", "vorbis", "webvtt"):
        return False
    if container == "mp4" and stream.codec_context.name.startswith("pcm"):
        return False  # few programs play it
    try:
        with av.open(io.BytesIO(), "w", format=container, metadata_errors="surrogateescape") as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.FFmpegError, ValueError, RuntimeError):
        return False
    return True


def _describe(stream: av.stream.Stream) -> str:
    names = {
        "audio": "the sound",
        "subtitle": "the subtitles",
        "video": "the video",
        "attachment": "the attachment",
    }
    codec = stream.codec_context.name if stream.codec_context is not None else stream.name
    language = stream.metadata.get("language")
    details = ", ".join(filter(None, (f"stream {stream.index}", codec, language)))
    return f"{names.get(stream.type, f'the {stream.type}')} ({details})"


def _kept_tags(tags: dict[str, str]) -> dict[str, str]:
    def is_own(key: str) -> bool:
        return key.lower() in _OWN_TAGS or key.upper().startswith(("DURATION", "_STATISTICS", "NUMBER_OF", "BPS"))

    return {key: value for key, value in tags.items() if not is_own(key)}
