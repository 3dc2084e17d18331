"""The shape of pixels, written into a finished Matroska or WebM file.

libavformat's muxer takes it from a field of the stream that PyAV cannot set. Here the display size is added to the
video's track. The tracks then begin earlier by as many bytes, which the Void behind the SeekHead gives up; nothing
behind the tracks moves.

Source: RFC 8794 (EBML), sections 4 to 6, CRC-32 and Void in 11.3; RFC 9559 (Matroska), SeekHead in 5.1.1, Video in
5.1.4.1.28.
"""

import os
import zlib
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ascendcv.utils.errors import InputError

_EBML, _SEGMENT = bytes.fromhex("1A45DFA3"), bytes.fromhex("18538067")
_SEEK_HEAD, _SEEK, _SEEK_POSITION = bytes.fromhex("114D9B74"), bytes.fromhex("4DBB"), bytes.fromhex("53AC")
_TRACKS, _TRACK, _VIDEO = bytes.fromhex("1654AE6B"), b"\xae", b"\xe0"
_PIXEL_WIDTH, _PIXEL_HEIGHT = b"\xb0", b"\xba"
_DISPLAY_WIDTH, _DISPLAY_HEIGHT = bytes.fromhex("54B0"), bytes.fromhex("54BA")
_DISPLAY_UNIT = bytes.fromhex("54B2")  # pixels where there is none
_CLUSTER, _VOID, _CRC = bytes.fromhex("1F43B675"), b"\xec", b"\xbf"
_LONGEST_HEADER = 12  # bytes of an ID and a size


class Element(NamedTuple):
    """An EBML element: its ID, the least bytes that its size takes, its content."""

    kind: bytes
    size_length: int
    content: bytes

    def __bytes__(self) -> bytes:
        size = len(self.content)
        length = max(self.size_length, ((size + 1).bit_length() + 6) // 7)  # a size of ones alone means unknown
        return self.kind + (size | 1 << 7 * length).to_bytes(length) + self.content


def write_aspect(file: Path, aspect: Fraction) -> None:
    """Gives the video of a finished file pixels that are `aspect` times as wide as high, in place.

    Only the bytes from the SeekHead to the end of the tracks are read and written. Raises `InputError`, and leaves
    the file as it was, where it has no room or is not laid out as libavformat does; OSError.
    """
    with open(file, "r+b") as stream:
        start, head = _read_head(stream)
        changed = with_aspect(head, aspect)
        stream.seek(start)
        stream.write(changed)


def with_aspect(head: bytes, aspect: Fraction) -> bytes:
    """The content of a Segment up to the end of its Tracks, changed as `write_aspect` says, equally long."""
    elements = parse(head)
    kinds = [element.kind for element in elements]
    if not kinds or kinds[-1] != _TRACKS or _VOID not in kinds or _CRC in kinds:
        raise InputError("no Void before the tracks of a Segment without a CRC-32")
    tracks = _with_display_size(elements[-1], aspect)
    growth = len(bytes(tracks)) - len(bytes(elements[-1]))
    place = kinds.index(_VOID)
    room = len(bytes(elements[place])) - 2 - growth  # for the content of a Void, and for a longer size
    if growth < 0 or room < 0:
        raise InputError("the Void before the tracks is too small")
    size_length = min(8, 1 + room)
    moved = range(sum(len(bytes(element)) for element in elements[: place + 1]), len(head))
    elements[place] = Element(_VOID, size_length, bytes(1 + room - size_length))
    elements[-1] = tracks
    changed = b"".join(
        bytes(_with_moved(element, moved, growth) if element.kind == _SEEK_HEAD else element)
        for element in elements
    )
    if len(changed) != len(head):
        raise InputError("a checksum that is not of four bytes")
    return changed


def display_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size in whole square pixels at which a picture is shown: one side is longer than it is stored."""
    if aspect >= 1:
        return round(width * aspect), height
    return width, round(height / aspect)


def parse(data: bytes) -> list[Element]:
    """The elements that fill `data`, not those inside of them. Raises `InputError` where they do not fill it."""
    elements, position = [], 0
    while position < len(data):
        kind, header, size = _header(data[position : position + _LONGEST_HEADER])
        end = position + header + size
        if end > len(data):
            raise InputError("an element is longer than what it stands in")
        elements.append(Element(kind, header - len(kind), data[position + header : end]))
        position = end
    return elements


def _read_head(stream: BinaryIO) -> tuple[int, bytes]:
    """Where the content of the Segment begins, and that content up to the end of the Tracks."""
    length = os.fstat(stream.fileno()).st_size

    def read_header(position: int, may_be_unknown: bool = False) -> tuple[bytes, int, int]:
        if position >= length:
            raise InputError("the file ends before its tracks")
        stream.seek(position)
        return _header(stream.read(_LONGEST_HEADER), may_be_unknown)

    kind, header, size = read_header(0)
    if kind != _EBML:
        raise InputError("not a Matroska file")
    segment = header + size
    kind, header, _ = read_header(segment, may_be_unknown=True)
    if kind != _SEGMENT:
        raise InputError("no Segment behind the EBML header")
    start = end = segment + header
    while kind != _TRACKS:
        kind, header, size = read_header(end)
        end += header + size
        if kind == _CLUSTER or end > length:
            raise InputError("no whole Tracks before the first Cluster")
    stream.seek(start)
    return start, stream.read(end - start)


def _header(data: bytes, may_be_unknown: bool = False) -> tuple[bytes, int, int]:
    """Of the element that begins `data`: its ID, the bytes of ID and size, the size of its content."""
    id_length = 9 - data[0].bit_length() if data else 9
    size_length = 9 - data[id_length].bit_length() if id_length < len(data) else 9
    length = id_length + size_length
    if id_length > 4 or size_length > 8 or length > len(data):
        raise InputError("no EBML element where one should be")
    size = int.from_bytes(data[id_length:length]) ^ 1 << 7 * size_length
    if size + 1 == 1 << 7 * size_length and not may_be_unknown:
        raise InputError("an element of unknown size")
    return data[:id_length], length, size


def _with_display_size(tracks: Element, aspect: Fraction) -> Element:
    entries = parse(tracks.content)
    for index, entry in enumerate(entries):
        parts = parse(entry.content) if entry.kind == _TRACK else []
        for place, part in enumerate(parts):
            if part.kind == _VIDEO:
                parts[place] = _shaped(part, aspect)
                entries[index] = _master(entry, parts)
                return _master(tracks, entries)
    raise InputError("no track is a video")


def _shaped(video: Element, aspect: Fraction) -> Element:
    fields = [
        field
        for field in parse(video.content)
        if field.kind not in (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT)
    ]
    stored = {field.kind: int.from_bytes(field.content) for field in fields}
    if not stored.get(_PIXEL_WIDTH) or not stored.get(_PIXEL_HEIGHT):
        raise InputError("a video without a size")
    width, height = display_size(stored[_PIXEL_WIDTH], stored[_PIXEL_HEIGHT], aspect)
    for kind, side in ((_DISPLAY_WIDTH, width), (_DISPLAY_HEIGHT, height)):
        fields.append(Element(kind, 1, side.to_bytes((side.bit_length() + 7) // 8)))
    return _master(video, fields)


def _with_moved(seek_head: Element, moved: range, shift: int) -> Element:
    """A SeekHead after what stood at positions in `moved` has gone `shift` bytes towards the beginning."""
    seeks = parse(seek_head.content)
    for index, seek in enumerate(seeks):
        if seek.kind != _SEEK:
            continue
        fields = parse(seek.content)
        for place, field in enumerate(fields):
            position = int.from_bytes(field.content)
            if field.kind == _SEEK_POSITION and position in moved:
                fields[place] = field._replace(content=(position - shift).to_bytes(len(field.content)))
        seeks[index] = _master(seek, fields)
    return _master(seek_head, seeks)


def _master(element: Element, children: list[Element]) -> Element:
    """The element with other children; where it had a checksum, with theirs."""
    body = b"".join(bytes(child) for child in children if child.kind != _CRC)
    if any(child.kind == _CRC for child in children):
        body = bytes(Element(_CRC, 1, zlib.crc32(body).to_bytes(4, "little"))) + body
    return element._replace(content=body)
