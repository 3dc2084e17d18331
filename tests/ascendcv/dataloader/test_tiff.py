"""TIFF files of 8 and 16 bits, however they are packed."""

import av
import numpy as np
import pytest
import tifffile
from PIL import Image

from ascendcv.dataloader.footage import PictureTags
from ascendcv.dataloader.image import ImageHeader, image_header, read_image, read_picture, write_image
from ascendcv.utils.errors import InputError


def noise(channels: int, dtype) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (12, 15, channels), dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_is_written_comes_back_with_its_profile(tmp_path, channels, dtype):
    tags = PictureTags(icc_profile=b"a profile" * 20)
    write_image(tmp_path / "a.tif", pixels := noise(channels, dtype), tags)
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.pixels.dtype == dtype
    assert picture.tags == tags
    assert image_header(tmp_path / "a.tif") == ImageHeader(12, 15, channels, 8 * pixels.dtype.itemsize)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"planarconfig": "separate"}, {"tile": (16, 16)}])
def test_ways_to_store_pixels(tmp_path, dtype, options):
    pixels = noise(3, dtype)
    stored = pixels.transpose(2, 0, 1) if "planarconfig" in options else pixels
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", **options)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize("packing", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_8_bits_packed_by_another_program(tmp_path, packing, mode):
    channels = {"RGB": 3, "L": 1, "RGBA": 4}[mode]
    pixels = noise(channels, np.uint8)
    Image.fromarray(pixels.squeeze()).save(tmp_path / "a.tif", compression=packing)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize("packing", ["lzw", "packbits", "deflate", "raw"])
def test_16_bits_packed_by_another_program(tmp_path, packing):
    pixels = noise(3, np.uint16)
    encoder = av.CodecContext.create("tiff", "w")
    encoder.height, encoder.width, encoder.pix_fmt = 12, 15, "rgb48le"
    encoder.time_base, encoder.options = 1, {"compression_algo": packing}
    frame = av.VideoFrame.from_ndarray(pixels, "rgb48le")
    frame.pts = 0
    (tmp_path / "a.tif").write_bytes(b"".join(bytes(p) for p in [*encoder.encode(frame), *encoder.encode(None)]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels)


def test_white_may_be_0(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels := noise(1, np.uint16)[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], 65535 - pixels)


@pytest.mark.parametrize("mode", ["1", "P", "CMYK"])
def test_other_kinds_are_expanded(tmp_path, photograph, mode):
    picture = Image.fromarray(photograph[:12, :15]).convert(mode)
    picture.save(tmp_path / "a.tif")
    expected = np.array(picture.convert("L" if mode == "1" else "RGB")).reshape(12, 15, -1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint32])
def test_other_numbers_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), dtype))
    with pytest.raises(InputError, match=r"a\.tif is no readable image \(pixels of"):
        read_image(tmp_path / "a.tif")
