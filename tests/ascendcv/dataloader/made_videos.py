"""Small videos, made by PyAV as tests need them."""

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

# Lossless, so that tests can ask for equality.
LOSSLESS = {
    "libx264": {"crf": "0", "preset": "ultrafast"},
    "libx264rgb": {"crf": "0", "preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "lossless=1:bframes=0:log-level=none"},
}


def moving_picture(count: int = 9, height: int = 48, width: int = 64, channels: int = 3) -> np.ndarray:
    """[T, H, W, C] uint8: a smooth picture that moves."""
    rows, columns = np.mgrid[:height, :width]
    waves = [
        128 + 100 * np.sin((rows * (c + 1) + columns * 2 + 5 * t) / 17 + c)
        for t in range(count)
        for c in range(channels)
    ]
    return np.stack(waves, -1).reshape(height, width, count, channels).transpose(2, 0, 1, 3).astype(np.uint8)


def make_video(
    path: Path,
    frames: np.ndarray | None = None,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: Fraction | int = 25,
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    tags: tuple[int, int, int, int] | None = None,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    sound: str | None = None,
    sound_seconds: float = 1.0,
    file_format: str | None = None,
    planes: Sequence[av.VideoFrame] | None = None,
    prepare=None,
) -> None:
    """Encodes frames [T, H, W, 3 or 4] uint8.

    `times` counts ticks of `time_base`; `tags` are matrix, range (1 limited, 2 full), transfer and primaries;
    `sound` is the codec of a tone beside them; `planes` are encoded as they are instead of `frames`;
    `prepare(output, video)` may add streams.
    """
    if frames is None and planes is None:
        frames = moving_picture()
    options = LOSSLESS.get(codec, {}) | (options or {})
    output = av.open(os.fspath(path), "w", format=file_format, container_options=muxer or {})
    video = output.add_stream(codec, rate=rate, options=options)
    video.pix_fmt = pixel_format
    if planes is None:
        video.height, video.width = frames.shape[1:3]
    else:
        video.height, video.width = planes[0].height, planes[0].width
    context = video.codec_context
    context.time_base = video.time_base = time_base or 1 / Fraction(rate)
    if tags is not None:
        context.colorspace, context.color_range, context.color_trc, context.color_primaries = tags
    if aspect is not None:
        context.sample_aspect_ratio = aspect
    output.metadata.update(metadata or {})
    tone = output.add_stream(sound, rate=48000) if sound else None
    if prepare is not None:
        prepare(output, video)
    count = len(frames) if planes is None else len(planes)
    for index in range(count):
        if planes is None:
            kind = "rgba" if frames.shape[-1] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[index]), kind)
            matrix = {1: 1, 5: 5, 6: 5, 9: 9}.get(tags[0] if tags else 6, 5)
            target = {"dst_colorspace": matrix, "dst_color_range": tags[1] if tags else 1}
            frame = frame.reformat(format=pixel_format, **(target if "yuv" in pixel_format else {}))
        else:
            frame = planes[index]
        if tags is not None:
            frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = tags
        frame.pts, frame.time_base = times[index] if times is not None else index, context.time_base
        output.mux(video.encode(frame))
    if tone is not None:
        add_tone(output, tone, sound_seconds)
    output.mux(video.encode(None))
    output.close()


def add_tone(output: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    context = stream.codec_context
    samples = np.sin(np.arange(round(seconds * 48000)) * 0.05).astype(np.float32)
    resampler = av.AudioResampler(context.format, context.layout, 48000)
    for start in range(0, len(samples), 960):
        block = np.stack([samples[start : start + 960]] * 2)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        for part in resampler.resample(frame):
            output.mux(stream.encode(part))
    output.mux(stream.encode(None))


def remux(source: Path, target: Path, *, keep=lambda index, packet: True, prepare=None, bitstream=None) -> None:
    """Copies the packets of the first video."""
    with av.open(os.fspath(source)) as given, av.open(os.fspath(target), "w") as output:
        video = given.streams.video[0]
        copy = output.add_stream_from_template(video)
        if prepare is not None:
            prepare(output, copy)
        convert = av.bitstream.BitStreamFilterContext(bitstream, video, copy) if bitstream else None
        for index, packet in enumerate(given.demux(video)):
            if packet.dts is None or not keep(index, packet):
                continue
            for part in convert.filter(packet) if convert else [packet]:
                part.stream = copy
                output.mux(part)
