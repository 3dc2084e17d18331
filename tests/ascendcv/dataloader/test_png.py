"""PNG files chunk by chunk: nothing lost, nothing damaged taken for good."""

import io
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ascendcv.dataloader import png
from ascendcv.dataloader.footage import PictureTags
from ascendcv.dataloader.image import image_header, read_image, read_picture, write_image
from ascendcv.utils.errors import InputError


def noise(channels: int, dtype, height: int = 7, width: int = 9) -> np.ndarray:
    rng = np.random.default_rng(channels)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_other_programs_read_what_is_written(channels, dtype):
    data = png.encode(pixels := noise(channels, dtype))
    decoder = av.CodecContext.create("png", "r")
    (frame,) = decoder.decode(av.Packet(data)) or decoder.decode(None)
    if dtype == np.uint16:
        np.testing.assert_array_equal(png.decode_16_bits(data), pixels)
    else:
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        read = np.array(Image.open(io.BytesIO(data)))
        assert Image.open(io.BytesIO(data)).mode == mode
        np.testing.assert_array_equal(read.reshape(pixels.shape), pixels)
    assert (frame.height, frame.width) == (7, 9)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_the_smallest_sizes(tmp_path, size):
    write_image(tmp_path / "a.png", pixels := noise(3, np.uint16, *size))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)


def test_a_profile_a_gamma_and_cicp_come_and_go(tmp_path):
    tags = PictureTags(bytes(range(256)) * 4, 45455, (12, 13, 0, 1))
    for dtype in (np.uint8, np.uint16):
        write_image(tmp_path / "a.png", noise(3, dtype), tags)
        assert read_picture(tmp_path / "a.png").tags == tags
    assert Image.open(tmp_path / "a.png").info["icc_profile"] == tags.icc_profile


def test_no_single_flipped_bit_gives_other_pixels(tmp_path, photograph):
    """Of 15,376 such files 92 gave other pixels where checksums were not looked at."""
    Image.fromarray(photograph[100:120, 200:230]).save(tmp_path / "a.png", transparency=(1, 2, 3), gamma=0.45)
    whole, expected = (tmp_path / "a.png").read_bytes(), read_image(tmp_path / "a.png")
    rng = np.random.default_rng(0)
    positions = sorted({*range(80), *rng.integers(0, len(whole), 300), *range(len(whole) - 30, len(whole))})
    path = tmp_path / "flipped.png"
    for position in positions:
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                pixels = read_image(path)
            except InputError as error:
                assert str(path) in str(error)  # noqa: PT017 (either outcome is right)
            else:
                np.testing.assert_array_equal(pixels, expected)


def with_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    """The file with one more chunk, behind its header."""
    return data[:33] + png.chunk(kind, content) + data[33:]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_color_key_is_transparency(tmp_path, channels, dtype):
    pixels = noise(channels, dtype)
    key = pixels[3, 4].astype(">u2").tobytes()
    (tmp_path / "a.png").write_bytes(with_chunk(png.encode(pixels), b"tRNS", key))
    assert image_header(tmp_path / "a.png").channels == channels + 1
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read[..., :-1], pixels)
    opaque = (pixels != pixels[3, 4]).any(-1)
    np.testing.assert_array_equal(read[..., -1], np.where(opaque, np.iinfo(dtype).max, 0))


@pytest.mark.parametrize(("mode", "bits"), [("1", 1), ("L", 2), ("L", 4), ("P", 4)])
def test_less_than_8_bits_are_spread(tmp_path, photograph, mode, bits):
    picture = Image.fromarray(photograph[:20, :30]).convert("L").convert(mode)
    if mode == "P":
        picture = picture.quantize(16)
    picture.save(tmp_path / "a.png", bits=bits)
    expected = np.array(Image.open(tmp_path / "a.png").convert("RGB" if mode == "P" else "L"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").squeeze(), expected)


def test_an_interlaced_file_of_16_bits(tmp_path):
    """Adam7, which nothing here writes: the passes of a picture of two pixels a side."""
    pixels = noise(3, np.uint16, 2, 2)
    passes = [pixels[:1, :1], pixels[:1, 1:2], pixels[1:2, :]]
    rows = b"".join(b"\0" + part.astype(">u2").tobytes() for part in passes)
    header = bytearray(png.encode(pixels)[16:29])
    header[12] = 1
    parts = [png.SIGNATURE, png.chunk(b"IHDR", bytes(header)), png.chunk(b"IDAT", zlib.compress(rows))]
    (tmp_path / "a.png").write_bytes(b"".join([*parts, png.chunk(b"IEND", b"")]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
def test_less_pixels_than_the_header_says_are_damage(tmp_path, cut):
    """All checksums are right; the packed pixels end early."""
    pixels = noise(3, np.uint16, 40, 40)
    raw = zlib.decompress(png.compressed(pixels))
    short = zlib.compress(raw[: int(len(raw) * cut)])
    data = png.encode(pixels)
    start = data.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(data[:start] + png.chunk(b"IDAT", short) + png.chunk(b"IEND", b""))
    with pytest.raises(InputError, match=r"a\.png is no readable image"):
        read_image(tmp_path / "a.png")


def test_a_profile_that_unpacks_to_gigabytes_is_cut(tmp_path: Path):
    bomb = b"x\0\0" + zlib.compress(bytes(1 << 27), 9)
    (tmp_path / "a.png").write_bytes(with_chunk(png.encode(noise(3, np.uint8)), b"iCCP", bomb))
    profile = read_picture(tmp_path / "a.png").tags.icc_profile
    assert len(profile) <= 1 << 24
