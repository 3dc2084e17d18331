"""What belongs to a video but its frames arrives with them: sound, subtitles, chapters, covers, tags."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ascendcv.dataloader.frame_sink import open_sink
from ascendcv.dataloader.frame_source import open_source
from tests.ascendcv.dataloader.made_videos import make_video, moving_picture


def restore(source: Path, target: Path, **options) -> list[str]:
    """Writes the frames as they are; gives the notes."""
    given = open_source(source, **options)
    sink = open_sink(target, like=given.footage)
    with sink as write:
        for frame in given:
            write(frame.name, frame.pixels, frame)
    return [*given.notes, *sink.notes]


def packets(path: Path, kind: str) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in container.demux(streams)
            if packet.pts is not None and packet.size
        ]


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_sound_is_copied_to_the_bit_and_at_its_time(tmp_path, ending):
    make_video(tmp_path / "in.mp4", moving_picture(25), sound="aac")
    assert restore(tmp_path / "in.mp4", tmp_path / f"out.{ending}") == []
    given, copied = packets(tmp_path / "in.mp4", "audio"), packets(tmp_path / f"out.{ending}", "audio")
    assert [data for _, data in copied] == [data for _, data in given]
    shift = copied[1][0] - given[1][0]
    np.testing.assert_allclose([time - shift for time, _ in copied], [time for time, _ in given], atol=0.002)
    videos = [packets(path, "video")[0][0] for path in (tmp_path / "in.mp4", tmp_path / f"out.{ending}")]
    assert abs(videos[1] - videos[0] - shift) < 0.002  # together with the frames


def loudness(path: Path) -> tuple[float, float]:
    """Seconds of sound, and its mean absolute sample."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    samples = sum(frame.samples for frame in frames)
    resample = av.AudioResampler("fltp")
    level = np.mean([np.abs(part.to_ndarray()).mean() for frame in frames for part in resample.resample(frame)])
    return samples / frames[0].sample_rate, float(level)


def test_sound_that_webm_cannot_hold_is_converted_and_said(tmp_path):
    make_video(tmp_path / "in.mp4", moving_picture(25), sound="aac", sound_seconds=1)
    notes = restore(tmp_path / "in.mp4", tmp_path / "out.webm")
    assert any("the sound (stream 1, aac" in note and "converted to opus" in note for note in notes)
    (before, level_before), (after, level_after) = loudness(tmp_path / "in.mp4"), loudness(tmp_path / "out.webm")
    assert abs(before - after) < 0.08
    assert abs(level_after / level_before - 1) < 0.1


def test_pcm_sound_becomes_aac_in_mp4(tmp_path):
    make_video(tmp_path / "in.mkv", moving_picture(25), sound="pcm_s16le")
    notes = restore(tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert any("converted to aac" in note for note in notes)
    assert abs(loudness(tmp_path / "out.mp4")[0] - 1) < 0.08


def test_a_part_has_the_sound_of_that_part(tmp_path):
    make_video(tmp_path / "in.mp4", moving_picture(75), sound="aac", sound_seconds=3)
    restore(tmp_path / "in.mp4", tmp_path / "out.mp4", start=1.0, frames=25)
    given, copied = packets(tmp_path / "in.mp4", "audio"), packets(tmp_path / "out.mp4", "audio")
    expected = [data for time, data in given if 1 <= time < 2]
    assert [data for _, data in copied] == expected
    assert 0 <= copied[0][0] < 0.03


def test_sound_that_goes_on_after_the_video_is_kept(tmp_path):
    make_video(tmp_path / "in.mp4", moving_picture(10), sound="aac", sound_seconds=2)
    restore(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert len(packets(tmp_path / "out.mp4", "audio")) == len(packets(tmp_path / "in.mp4", "audio"))


def with_subtitles(codec: str, lines: list[tuple[int, int, str]]):
    def prepare(output, _):
        stream = output.add_stream(codec)
        stream.metadata["language"] = "eng"
        stream.codec_context.subtitle_header = (
            b"[Script Info]\r\nScriptType: v4.00+\r\nPlayResX: 384\r\nPlayResY: 288\r\n\r\n[V4+ Styles]\r\n"
            b"Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, "
            b"Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, "
            b"Alignment, MarginL, MarginR, MarginV, Encoding\r\n"
            b"Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\r\n\r\n"
            b"[Events]\r\n"
            b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
        )
        pending.append((output, stream))

    pending = []

    def write():
        output, stream = pending[0]
        for number, (begin, end, text) in enumerate(lines):
            line = f"{number},0,Default,,0,0,0,,{text}".encode()
            subtitle = av.subtitles.subtitle.SubtitleSet.create(text=line, start=0, end=end - begin)
            packet = stream.codec_context.encode_subtitle(subtitle)
            packet.pts = packet.dts = begin
            packet.duration, packet.time_base, packet.stream = end - begin, Fraction(1, 1000), stream
            output.mux(packet)

    return prepare, write


def text_of(path: Path) -> list[tuple[float, str]]:
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == "subtitle")
        result = []
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None:
                for subtitle in stream.codec_context.decode2(packet) or ():
                    result.append((float(packet.pts * packet.time_base), subtitle.dialogue.decode()))
        return [(time, text) for time, text in result if text]


@pytest.mark.parametrize(
    ("codec", "given", "target", "expected"),
    [
        ("subrip", "mkv", "mkv", "subrip"),
        ("subrip", "mkv", "mp4", "mov_text"),
        ("subrip", "mkv", "webm", "webvtt"),
        ("ass", "mkv", "mp4", "mov_text"),
        ("mov_text", "mp4", "mkv", "subrip"),
        ("mov_text", "mp4", "mov", "mov_text"),
    ],
)
def test_text_subtitles_are_copied_or_converted(tmp_path, codec, given, target, expected):
    prepare, write = with_subtitles(codec, [(0, 300, "first"), (500, 900, "second, with a comma")])

    def prepare_and_write(output, video):
        prepare(output, video)
        output.start_encoding()
        write()

    make_video(tmp_path / f"in.{given}", moving_picture(25), prepare=prepare_and_write)
    notes = restore(tmp_path / f"in.{given}", tmp_path / f"out.{target}")
    with av.open(str(tmp_path / f"out.{target}")) as container:
        stream = next(stream for stream in container.streams if stream.type == "subtitle")
        assert stream.codec_context.name.replace("srt", "subrip") == expected
        assert stream.metadata.get("language") == "eng"
    lines = text_of(tmp_path / f"out.{target}")
    assert [text for _, text in lines] == ["first", "second, with a comma"]
    np.testing.assert_allclose([time for time, _ in lines], [0, 0.5], atol=0.002)
    assert any("converted" in note for note in notes) == (codec != expected)


def test_chapters_and_tags_are_kept(tmp_path):
    chapters = [
        {"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "Video: one"}},
        {"id": 2, "start": 400, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "two"}},
    ]
    make_video(
        tmp_path / "in.mkv",
        moving_picture(25),
        metadata={"title": "A title", "artist": "Somebody", "com.example.key": "value"},
        prepare=lambda output, _: output.set_chapters(chapters),
    )
    for ending in ("mkv", "mp4", "mov"):
        assert restore(tmp_path / "in.mkv", tmp_path / f"out.{ending}") == []
        with av.open(str(tmp_path / f"out.{ending}")) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
            assert (tags["title"], tags["artist"], tags["com.example.key"]) == ("A title", "Somebody", "value")
            assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["Video: one", "two"]
            starts = [chapter["start"] * chapter["time_base"] for chapter in container.chapters()]
            assert [float(start) for start in starts] == [0, 0.4]
    restore(tmp_path / "out.mp4", tmp_path / "again.mp4", start=0.48)  # which has a track with their titles
    with av.open(str(tmp_path / "again.mp4")) as container:
        (chapter,) = container.chapters()
        assert chapter["metadata"]["title"] == "two"


def test_attachments_go_where_they_can(tmp_path):
    make_video(
        tmp_path / "in.mkv",
        prepare=lambda output, _: output.add_attachment("font.ttf", "font/ttf", b"no real font"),
    )
    assert restore(tmp_path / "in.mkv", tmp_path / "out.mkv") == []
    with av.open(str(tmp_path / "out.mkv")) as container:
        (attachment,) = container.streams.attachments
        assert (attachment.name, attachment.data) == ("font.ttf", b"no real font")
    (note,) = restore(tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert "the attachment (stream 1" in note


def test_a_cover_stays_a_cover(tmp_path):
    from tests.ascendcv.dataloader.test_video_reader import cover_first

    make_video(tmp_path / "film.mp4")
    cover_first(tmp_path / "in.mp4", tmp_path / "film.mp4", marked=True)
    for ending in ("mp4", "mkv"):
        assert restore(tmp_path / "in.mp4", tmp_path / f"out.{ending}") == []
        with av.open(str(tmp_path / f"out.{ending}")) as container:
            covers = [s for s in container.streams.video if s.disposition & av.stream.Disposition.attached_pic]
            assert [(cover.width, cover.codec_context.name) for cover in covers] == [(256, "mjpeg")]
        assert open_source(tmp_path / f"out.{ending}").footage.width == 64


def test_a_second_video_is_named(tmp_path):
    from tests.ascendcv.dataloader.test_video_reader import two_videos

    two_videos(tmp_path / "in.mkv")
    (note,) = restore(tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert "the video (stream 0, mpeg4" in note
    assert "is not carried over" in note


def test_a_transport_stream_keeps_its_sound_in_time(tmp_path):
    make_video(tmp_path / "in.ts", moving_picture(25), sound="aac")
    restore(tmp_path / "in.ts", tmp_path / "out.mp4")
    gaps = []
    for name in ("in.ts", "out.mp4"):
        with av.open(str(tmp_path / name)) as container:
            streams = container.streams
            starts = [float(s.start_time * s.time_base) for s in (streams.video[0], streams.audio[0])]
            gaps.append(starts[1] - starts[0])
    assert abs(gaps[0] - gaps[1]) < 0.002


def test_a_damaged_sound_does_not_end_the_work(tmp_path):
    make_video(tmp_path / "in.mkv", moving_picture(50), sound="aac", sound_seconds=2)
    data = bytearray((tmp_path / "in.mkv").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    (tmp_path / "in.mkv").write_bytes(data)
    restore(tmp_path / "in.mkv", tmp_path / "out.webm")
    assert len(list(open_source(tmp_path / "out.webm"))) >= 30
