"""The shape of pixels in Matroska and WebM files is told, and all else in them stays as it was."""

import shutil
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascendcv.dataloader import video_writer
from ascendcv.dataloader.frame_sink import open_sink
from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.matroska import Element, display_size, parse, with_aspect, write_aspect
from ascendcv.utils.errors import InputError
from tests.ascendcv.dataloader.made_videos import make_video, moving_picture

WIDE = Fraction(64, 45)  # a PAL DVD of 16:9
SEGMENT, SEEK_HEAD, TRACKS = (bytes.fromhex(code) for code in ("18538067", "114d9b74", "1654ae6b"))
SEEK, SEEK_ID, SEEK_POSITION = (bytes.fromhex(code) for code in ("4dbb", "53ab", "53ac"))
CHAPTERS, CLUSTER = bytes.fromhex("1043a770"), bytes.fromhex("1f43b675")
TRACK, VIDEO, VOID, CRC = b"\xae", b"\xe0", b"\xec", b"\xbf"
DISPLAY_UNIT = bytes.fromhex("54b2")
FONT = bytes(range(256)) * 300


def make_film(path: Path, seconds: int = 2) -> None:
    """With pixels that are not square, sound, chapters, tags and a font."""

    def prepare(output: av.container.OutputContainer, video: av.VideoStream) -> None:
        unit = Fraction(1, 1000)
        output.set_chapters(
            [
                {"id": n, "start": 500 * n, "end": 500 * n + 500, "time_base": unit, "metadata": {"title": f"{n}"}}
                for n in range(2 * seconds)
            ]
        )
        output.add_attachment("font.ttf", "font/ttf", FONT)

    make_video(
        path,
        moving_picture(25 * seconds, 72, 90),
        aspect=WIDE,
        sound="aac",
        sound_seconds=seconds,
        metadata={"title": "A film with a name " * 10},
        options={"g": "10"},
        prepare=prepare,
    )


def restore(source: Path, target: Path, **settings) -> list[str]:
    given = open_source(source)
    sink = open_sink(target, like=given.footage, **settings)
    with sink as write:
        for frame in given:
            write(frame.name, frame.pixels, frame)
    return sink.notes


def content(file: Path) -> list[object]:
    """All that a file holds but the shape of pixels: chapters, tags, streams, packets, where seeking leads."""
    with av.open(str(file)) as container:
        found: list[object] = [container.chapters(), dict(container.metadata), container.duration]
        for stream in container.streams:
            context = stream.codec_context
            private = context.extradata if context is not None else stream.data
            found.append((stream.index, stream.type, stream.name, dict(stream.metadata), private))
        for packet in container.demux():
            if packet.size:
                times = packet.pts, packet.dts, packet.duration, packet.time_base
                found.append((packet.stream_index, times, packet.is_keyframe, bytes(packet)))
        for moment in range(0, container.duration, container.duration // 7):
            container.seek(moment)
            found.append(next(container.decode(video=0)).time)
    return found


def segment_of(file: Path) -> Element:
    """The walk through a file's outermost elements ends with the file."""
    header, segment = parse(file.read_bytes())
    assert (header.kind, segment.kind) == (bytes.fromhex("1a45dfa3"), SEGMENT)
    return segment


def starts(elements: list[Element]) -> Iterator[tuple[int, bytes]]:
    position = 0
    for element in elements:
        yield position, element.kind
        position += len(bytes(element))


def check_elements(segment: Element) -> None:
    """Checksums are right, and the SeekHead points to what it names."""
    elements = parse(segment.content)
    for element in elements:
        if element.content[:1] == CRC:
            checksum, rest = element.content[2:6], element.content[6:]
            assert zlib.crc32(rest).to_bytes(4, "little") == checksum
    there = set(starts(elements))
    seeks = [seek for seek in parse(elements[0].content) if seek.kind == SEEK]
    assert elements[0].kind == SEEK_HEAD
    assert len(seeks) >= 4
    for seek in seeks:
        name, position = parse(seek.content)
        assert (int.from_bytes(position.content), name.content) in there


def video_fields(segment: Element) -> dict[bytes, int]:
    tracks = next(element for element in parse(segment.content) if element.kind == TRACKS)
    track = next(element for element in parse(tracks.content) if element.kind == TRACK)
    video = next(element for element in parse(track.content) if element.kind == VIDEO)
    return {field.kind: int.from_bytes(field.content) for field in parse(video.content)}


@pytest.mark.parametrize(
    ("ending", "codec"),
    [
        ("mkv", "h264"),
        ("mkv", "hevc"),
        ("mkv", "vp9"),
        ("mkv", "av1"),
        ("mkv", "ffv1"),
        ("mkv", "prores"),
        ("webm", "vp9"),
        ("webm", "av1"),
    ],
)
def test_the_shape_is_told_and_nothing_else_changes(tmp_path, monkeypatch, ending, codec):
    target, before = tmp_path / f"out.{ending}", tmp_path / f"before.{ending}"

    def keep_then_write(file: Path, aspect: Fraction) -> None:
        shutil.copy(file, before)
        write_aspect(file, aspect)

    monkeypatch.setattr(video_writer, "write_aspect", keep_then_write)
    make_film(tmp_path / "in.mkv")
    pixel_format = "yuv422p10le" if codec == "prores" else "yuv420p"
    notes = restore(tmp_path / "in.mkv", target, codec=codec, pixel_format=pixel_format)
    assert not any("pixels" in note for note in notes)

    with av.open(str(target)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == (90, 72)
        assert video.sample_aspect_ratio == WIDE
    assert open_source(target).footage.aspect == WIDE
    assert content(target) == content(before)

    segment, segment_before = segment_of(target), segment_of(before)
    check_elements(segment)
    check_elements(segment_before)
    assert DISPLAY_UNIT not in video_fields(segment)
    assert len(segment.content) == len(segment_before.content)
    begin, begin_before = (
        dict(map(reversed, starts(parse(part.content))))[CHAPTERS] for part in (segment, segment_before)
    )
    assert begin == begin_before
    assert segment.content[begin:] == segment_before.content[begin:]


@pytest.mark.parametrize("codec", ["ffv1", "prores"])
def test_seeking_leads_to_the_middle(tmp_path, codec):
    """Every 12th frame at least can be decoded by itself."""
    make_film(tmp_path / "in.mkv")
    restore(tmp_path / "in.mkv", tmp_path / "out.mkv", codec=codec, pixel_format="yuv422p10le")
    with av.open(str(tmp_path / "out.mkv")) as container:
        container.seek(1_000_000)
        assert 0.5 < next(container.decode(video=0)).time <= 1


def test_files_of_square_pixels_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(video_writer, "write_aspect", lambda file, aspect: pytest.fail("written"))
    make_video(tmp_path / "in.mp4", moving_picture(3))
    restore(tmp_path / "in.mp4", tmp_path / "out.mkv")


@pytest.mark.parametrize(
    ("width", "height", "aspect", "expected"),
    [
        (720, 576, "64/45", (1024, 576)),
        (720, 576, "16/15", (768, 576)),
        (720, 480, "32/27", (853, 480)),  # of 853 1/3
        (720, 480, "8/9", (720, 540)),
        (1440, 1080, "4/3", (1920, 1080)),
        (1, 1, "1/1000", (1, 1000)),
    ],
)
def test_a_picture_is_shown_no_smaller_than_it_is_stored(width, height, aspect, expected):
    assert display_size(width, height, Fraction(aspect)) == expected


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """A small file as libavformat writes it."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    make_video(path, moving_picture(3), sound="flac", sound_seconds=0.1)
    return path


def test_a_second_shape_replaces_the_first(tmp_path, film):
    file = shutil.copy(film, tmp_path / "copy.mkv")
    for aspect, shown in ((Fraction(2), (128, 48)), (Fraction(5, 2), (160, 48)), (Fraction(1, 5), (64, 240))):
        write_aspect(file, aspect)
        fields = video_fields(segment_of(file))
        assert (fields[bytes.fromhex("54b0")], fields[bytes.fromhex("54ba")]) == shown
        check_elements(segment_of(file))


def head_of(track_bytes: int, void_bytes: int) -> bytes:
    """A SeekHead that points to Tracks, a Void, and Tracks with so many bytes beside the video's size."""
    size = Element(VIDEO, 1, bytes(Element(b"\xb0", 1, b"\x40")) + bytes(Element(b"\xba", 1, b"\x30")))
    track = Element(TRACK, 1, bytes(size) + bytes(Element(VOID, 1, bytes(track_bytes))))
    void = Element(VOID, 1, bytes(void_bytes))

    def seek_head(position: int) -> Element:
        name, place = Element(SEEK_ID, 1, TRACKS), Element(SEEK_POSITION, 1, bytes([position]))
        return Element(SEEK_HEAD, 1, bytes(Element(SEEK, 1, bytes(name) + bytes(place))))

    position = len(bytes(seek_head(0))) + len(bytes(void))
    return bytes(seek_head(position)) + bytes(void) + bytes(Element(TRACKS, 1, bytes(track)))


@pytest.mark.parametrize("track_bytes", [0, 100, 104, 106, 112, 200])
def test_sizes_that_need_another_byte_get_it(track_bytes):
    """From 127 bytes on, the size of an element takes two."""
    head = head_of(track_bytes, 30)
    changed = with_aspect(head, WIDE)
    assert len(changed) == len(head)
    positions = {kind: start for start, kind in starts(parse(changed))}
    seek_head, void, tracks = parse(changed)
    position = parse(parse(seek_head.content)[0].content)[1]
    assert int.from_bytes(position.content) == positions[TRACKS]
    (track,) = parse(tracks.content)
    video, rest = parse(track.content)
    assert rest.content == bytes(track_bytes)
    assert [field.content for field in parse(video.content)] == [b"\x40", b"\x30", bytes([91]), b"\x30"]
    taken = len(bytes(tracks)) - len(bytes(parse(head)[-1]))
    assert len(bytes(void)) == 32 - taken
    assert taken in (8, 9, 10)


def test_a_void_is_used_up_to_its_header_and_no_further():
    assert with_aspect(head_of(10, 8), WIDE)
    with pytest.raises(InputError, match="too small"):
        with_aspect(head_of(10, 7), WIDE)


def test_a_file_without_room_is_noted_and_left_as_it_was(tmp_path, film):
    file, notes = tmp_path / "film.mkv", []
    whole = film.read_bytes()
    void = whole.index(SEEK_HEAD) + next(
        start for start, kind in starts(parse(segment_of(film).content)) if kind == VOID
    )
    before = whole[:void] + b"\xed" + whole[void + 1 :]  # an element that nobody knows
    file.write_bytes(before)
    video_writer.carry_aspect(file, tmp_path / "out.mkv", WIDE, notes)
    assert file.read_bytes() == before
    assert len(notes) == 1
    assert "out.mkv: players may show its pixels, which are 64:45, as square" in notes[0]


@given(data=st.data())
def test_damage_is_refused_or_kept_as_it_is(tmp_path_factory, film, data):
    file, whole = tmp_path_factory.mktemp("damaged") / "film.mkv", film.read_bytes()
    first_cluster = whole.index(CLUSTER)
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, first_cluster - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(damaged[: data.draw(st.one_of(st.just(len(whole)), st.integers(0, first_cluster)))])
    file.write_bytes(damaged)
    try:
        write_aspect(file, WIDE)
    except InputError:
        assert file.read_bytes() == damaged
        assert damaged != whole
    else:
        changed = file.read_bytes()
        assert len(changed) == len(damaged)
        assert changed[first_cluster:] == damaged[first_cluster:]
        write_aspect(file, WIDE)
        assert file.read_bytes() == changed
