"""From a container to decoded frames: a complaint of the demuxer or decoder is reported, not the end."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import av
import av.container
from av.filter import Graph

from ascendcv.dataloader.image import MAX_PIXELS
from ascendcv.utils.errors import InputError

# Playlists may name other files; none is fetched from a network.
_PROTOCOLS = {"protocol_whitelist": "file,crypto,data"}
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# Codecs of still pictures: beside a stream of another codec they are its cover, whether marked as one or not.
_PICTURE_CODECS = ("mjpeg", "png", "bmp", "gif", "tiff", "webp", "ppm", "jpegls", "jpeg2000", "targa")
# Codecs that do not tell where chroma lies: taken for left in the middle, as in most that do.
_UNSITED = ("vp8", "vp9", "ffv1", "prores", "mpeg4", "msmpeg4v3", "h263", "flv1", "utvideo", "huffyuv", "ffvhuff")
_MOST_COMPLAINTS = 1000  # of the demuxer, one after another


def open_container(path: Path) -> av.container.InputContainer:
    """Opens a file for reading. Raises `InputError` naming it."""
    try:
        # An absolute path cannot be taken for a protocol. Bytes of tags that are not UTF-8 pass through.
        return av.open(
            os.path.abspath(path),
            metadata_errors="surrogateescape",
            options={"max_pixels": str(MAX_PIXELS)},
            container_options=_PROTOCOLS,
        )
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path} is no readable video ({reason_of(error)})") from error


def choose_stream(container: av.container.InputContainer, number: int | None, name: str) -> av.VideoStream:
    """The stream of that number, by ffmpeg's counting, or the largest video that is no cover picture.

    Raises `InputError` where there is none, with the numbers of the videos.
    """
    videos = [stream for stream in container.streams.video if stream.codec_context is not None]
    listed = ", ".join(f"{video.index} ({video.width}x{video.height} {video.codec.name})" for video in videos)
    if number is not None:
        for video in videos:
            if video.index == number:
                return video
        raise InputError(f"{name} has no video stream {number}; it has {listed or 'none'}")
    films = [video for video in videos if not is_cover(video)]
    if any(video.codec_context.name not in _PICTURE_CODECS for video in films):
        films = [video for video in films if video.codec_context.name not in _PICTURE_CODECS]
    if not films:
        kinds = sorted({stream.type for stream in container.streams})
        found = "cover pictures" if videos else f"{' and '.join(kinds) or 'no'} streams"
        raise InputError(f"{name} has no video, only {found}")
    return max(films, key=lambda video: (video.width * video.height, video.disposition & 1, -video.index))


def is_cover(stream: av.VideoStream) -> bool:
    """Whether a video stream is marked as a picture that belongs to the file."""
    flags = av.stream.Disposition
    return bool(stream.disposition & (flags.attached_pic | flags.timed_thumbnails | flags.still_image))


def decode(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    on_failure: Callable[[Exception], None],
    counts: Counter | None = None,
) -> Iterator[av.VideoFrame | None]:
    """All frames from here on that decode; None where one does not.

    Calls `on_failure` with what the decoder or demuxer complains of. What that raises ends the decoding. `counts`
    counts the packets.
    """
    decoder, complaints, begun = _decoder_of(stream), 0, False
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, OSError) as error:
            on_failure(error)
            complaints += 1
            if complaints == _MOST_COMPLAINTS:
                return
            packets = container.demux(stream)  # goes on behind what cannot be read
            continue
        complaints = 0
        is_end = packet.size == 0 and packet.dts is None
        if packet.size == 0 and not is_end:
            continue  # an AVI has empty packets where a frame is shown for longer; the decoder would end
        if counts is not None and not is_end:
            counts["packets"] += 1
        try:
            for frame in decoder.decode(packet):
                # A recording may begin between key frames: its first pictures are mostly gray.
                begun = begun or not frame.is_corrupt
                if begun:
                    yield frame
        except EOFError:
            return
        except av.FFmpegError as error:
            on_failure(error)
            yield None
        if is_end:
            return


def reason_of(error: Exception) -> str:
    """What an exception says, as a part of a sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0]


class Deinterlacer:
    """Interlaced frames -> whole ones, as many, by ffmpeg's bwdif. Call it with None at the end."""

    def __init__(self, like: av.VideoFrame, everything: bool):
        """`everything`: whether to treat frames too that are not marked as interlaced."""
        self._graph = Graph()
        source = self._graph.add(
            "buffer",
            video_size=f"{like.width}x{like.height}",
            pix_fmt=like.format.name,
            time_base=str(like.time_base),
            pixel_aspect="1/1",
            colorspace=str(int(like.colorspace)),
            range=str(int(like.color_range)),
        )
        bwdif = self._graph.add("bwdif", f"mode=send_frame:deint={'all' if everything else 'interlaced'}")
        self._graph.link_nodes(source, bwdif, self._graph.add("buffersink"))
        self._graph.configure()

    def __call__(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        self._graph.vpush(frame)
        while True:
            try:
                yield self._graph.vpull()
            except (BlockingIOError, EOFError):
                return


def _decoder_of(stream: av.VideoStream) -> av.VideoCodecContext:
    """The stream's own decoder, or libvpx for the transparency of WebM, which ffmpeg's decoders leave out."""
    codec, decoder = stream.codec_context.name, stream.codec_context
    if codec in _ALPHA_DECODERS and stream.metadata.get("alpha_mode") == "1":
        decoder = cast(av.VideoCodecContext, av.CodecContext.create(_ALPHA_DECODERS[codec], "r"))
    if not decoder.is_open:
        untold = codec in _UNSITED or (codec == "rawvideo" and decoder.pix_fmt != "yuv420p")
        sited = {"chroma_sample_location": "left"} if untold else {}
        decoder.options = {"max_pixels": str(MAX_PIXELS)} | sited
        # Frames that lean on a lost one come too, marked as corrupt.
        decoder.flags |= av.codec.context.Flags.output_corrupt
        # Threads that work on several frames at once keep the last ones to themselves after an error.
        decoder.thread_type = "SLICE"
    return decoder
