"""PNG files, chunk by chunk: checked sums, 16 bits without loss, colors as they are tagged, animations.

Source: Portable Network Graphics (PNG) Specification (Third Edition), W3C.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import av
import numpy as np

from ascendcv.dataloader.footage import PictureTags

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # color type -> channels; 3 is a palette
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_DEEP_FORMATS = {1: "gray16be", 2: "ya16be", 3: "rgb48be", 4: "rgba64be"}
_LARGEST_PROFILE = 1 << 24  # bytes


class PngHeader(NamedTuple):
    """What the chunks before the pixels say: size, channels 1 to 4 as they are decoded, 8 or 16 bits, frames."""

    height: int
    width: int
    channels: int
    bits: int
    frames: int


def read_header(file: BinaryIO) -> PngHeader:
    """Reads the chunks before the pixels. Raises ValueError if they are damaged."""
    if file.read(8) != SIGNATURE:
        raise ValueError("not a PNG file")
    size, color, depth = None, 0, 0
    has_key, frames = False, 1
    while True:
        kind, data = _next_chunk(file)
        if size is None:
            if kind != b"IHDR" or len(data) != 13:
                raise ValueError("damaged PNG header")
            width, height, depth, color = struct.unpack(">IIBB", data[:10])
            size = height, width
            if not width or not height or depth not in _DEPTHS.get(color, ()):
                raise ValueError("invalid PNG header")
        elif kind == b"tRNS":
            has_key = True
        elif kind == b"acTL" and len(data) == 8:
            frames = int.from_bytes(data[:4])
        elif kind in (b"IDAT", b"IEND"):
            break
    channels = _CHANNELS[color] + (has_key and color in (0, 2, 3))
    return PngHeader(*size, channels, 16 if depth == 16 else 8, max(frames, 1))


def read_exif(file: BinaryIO) -> bytes:
    """The content of a PNG's EXIF chunk, wherever it stands; b"" without one."""
    file.seek(len(SIGNATURE))
    while len(start := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", start)
        if kind == b"eXIf":
            return file.read(length)
        if kind == b"IEND":
            break
        file.seek(length + 4, os.SEEK_CUR)
    return b""


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kinds and contents of all chunks up to the end mark. Raises ValueError at the first that is damaged."""
    view, position = memoryview(data), len(SIGNATURE)
    if data[:8] != SIGNATURE:
        raise ValueError("not a PNG file")
    while True:
        if position + 12 > len(data):
            raise ValueError("cut short")
        length = int.from_bytes(view[position : position + 4])
        kind = bytes(view[position + 4 : position + 8])
        end = position + 8 + length
        if end + 4 > len(data):
            raise ValueError("cut short")
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise ValueError(f"the checksum of its {_name(kind)} chunk is wrong")
        yield kind, bytes(view[position + 8 : end])
        if kind == b"IEND":
            return
        position = end + 4


def check(data: bytes) -> PictureTags:
    """Checks the sums of all chunks and gives what they say of colors. Raises ValueError if one is wrong."""
    profile = gamma = cicp = None
    for kind, content in chunks(data):
        if kind == b"iCCP":
            _, _, packed = content.partition(b"\0")
            unpacked = zlib.decompressobj()
            profile = unpacked.decompress(packed[1:], _LARGEST_PROFILE)
        elif kind == b"gAMA" and len(content) == 4:
            gamma = int.from_bytes(content)
        elif kind == b"cICP" and len(content) == 4:
            cicp = content[0], content[1], content[2], content[3]
    return PictureTags(profile or None, gamma, cicp)


def pixels_only(data: bytes) -> bytes:
    """The same file with nothing that decoding the first picture does not need."""
    needed = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
    return SIGNATURE + b"".join(chunk(kind, content) for kind, content in chunks(data) if kind in needed)


def decode_16_bits(data: bytes) -> np.ndarray:
    """[H, W, C] uint16; a color key becomes an alpha channel. Raises ValueError if the data are damaged."""
    key, color, unpacked, stored = None, 0, zlib.decompressobj(), 0
    for kind, content in chunks(data):
        if kind == b"IHDR":
            width, height, _, color, _, _, interlaced = struct.unpack(">IIBBBBB", content)
        elif kind == b"tRNS":
            key = np.frombuffer(content[: 2 * _CHANNELS[color]], ">u2")
        elif kind == b"IDAT":
            stored += _unpacked_length(unpacked, content)
    channels = _CHANNELS[color]
    # ffmpeg leaves rows that are missing as they are.
    if stored < _row_bytes(height, width, 2 * channels, bool(interlaced)):
        raise ValueError("cut short")
    decoder = av.CodecContext.create("png", "r")
    try:
        packet = av.Packet(data)
        frames = decoder.decode(packet) or decoder.decode(None)
    except av.FFmpegError as error:
        raise ValueError(error.strerror or "damaged PNG data") from None
    if not frames or frames[0].is_corrupt:
        raise ValueError("damaged PNG data")
    pixels = _deep_pixels(frames[0])
    if pixels.shape[-1] == channels and key is not None and color in (0, 2) and len(key) == channels:
        transparent = (pixels == key.astype(np.uint16)).all(axis=-1, keepdims=True)
        pixels = np.concatenate([pixels, np.where(transparent, 0, 65535).astype(np.uint16)], axis=-1)
    return pixels


def encode(pixels: np.ndarray, tags: PictureTags | None = None) -> bytes:
    """A PNG file of [H, W, C] uint8 or uint16."""
    height, width, channels = pixels.shape
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, color, 0, 0, 0)
    parts = [SIGNATURE, chunk(b"IHDR", header), *tag_chunks(tags)]
    return b"".join([*parts, chunk(b"IDAT", compressed(pixels)), chunk(b"IEND", b"")])


def compressed(pixels: np.ndarray) -> bytes:
    """The filtered and packed pixels of a PNG.

    Rows are stored as their difference to the row above, the first as that to the pixel before, and packed at
    zlib's level 3. For photographs that takes half the time of libpng's choice per row, and gives smaller files.
    """
    height, _, channels = pixels.shape
    pixel_bytes = channels * pixels.dtype.itemsize
    rows = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[0, 0], filtered[1:, 0] = 1, 2
    filtered[0, 1:] = rows[0]
    filtered[0, 1 + pixel_bytes :] -= rows[0, :-pixel_bytes]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    return zlib.compress(filtered.tobytes(), 3)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tag_chunks(tags: PictureTags | None) -> list[bytes]:
    """The chunks that say what colors mean; they stand before palette and pixels."""
    result = []
    if tags is not None and tags.cicp is not None:
        result.append(chunk(b"cICP", bytes(tags.cicp)))
    if tags is not None and tags.icc_profile is not None:
        result.append(chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(tags.icc_profile)))
    if tags is not None and tags.gamma is not None:
        result.append(chunk(b"gAMA", struct.pack(">I", tags.gamma)))
    return result


def _next_chunk(file: BinaryIO) -> tuple[bytes, bytes]:
    """The next chunk before the pixels; the end of the file counts as the end mark."""
    start = file.read(8)
    if len(start) < 8:
        return b"IEND", b""
    length, kind = struct.unpack(">I4s", start)
    if kind in (b"IDAT", b"IEND"):
        return kind, b""
    if length > 1 << 26:
        raise ValueError(f"its {_name(kind)} chunk is too long")
    data, checksum = file.read(length), file.read(4)
    if len(data) < length or len(checksum) < 4:
        raise ValueError("cut short")
    if zlib.crc32(kind + data) != int.from_bytes(checksum):
        raise ValueError("damaged PNG header" if kind == b"IHDR" else f"its {_name(kind)} chunk is damaged")
    return kind, data


def _unpacked_length(unpacked: "zlib._Decompress", content: bytes) -> int:
    length = 0
    try:
        while content:
            length += len(unpacked.decompress(content, 1 << 20))
            content = unpacked.unconsumed_tail
    except zlib.error as error:
        raise ValueError(f"damaged pixels ({error})") from None
    return length


def _row_bytes(height: int, width: int, pixel_bytes: int, interlaced: bool) -> int:
    """How many bytes all rows take before they are packed, each with a byte for its filter."""
    steps = [(0, 0, 1, 1)]
    if interlaced:  # Adam7: first row, first column, and from row to row and column to column
        steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    total = 0
    for row, column, rows, columns in steps:
        count, length = -(-max(height - row, 0) // rows), -(-max(width - column, 0) // columns)
        total += count * (1 + length * pixel_bytes) if length else 0
    return total


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")


def _deep_pixels(frame: av.VideoFrame) -> np.ndarray:
    """[H, W, C] uint16 of a packed big-endian frame."""
    channels = {name: count for count, name in _DEEP_FORMATS.items()}[frame.format.name]
    (plane,) = frame.planes
    rows = np.frombuffer(memoryview(plane), ">u2").reshape(frame.height, -1)[:, : frame.width * channels]
    return rows.reshape(frame.height, frame.width, channels).astype(np.uint16)
