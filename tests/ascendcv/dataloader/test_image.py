"""Image files: every format as it is, nothing lost, and damaged ones named."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps

from ascendcv.dataloader.image import (
    ImageHeader,
    check_clip,
    convert,
    image_header,
    list_images,
    read_image,
    read_picture,
    read_turn,
    to_rgb,
    write_image,
)
from ascendcv.utils.errors import InputError

# A folder that outlives one example is fine: every example writes the file anew.
files = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
pixels = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))


@pytest.fixture(scope="module")
def encoded(photograph: np.ndarray) -> dict[str, bytes]:
    """The same picture in the formats that frames come in."""
    picture = photograph[100:140, 200:250]
    files = {}
    jpeg = {"quality": 90, "comment": b"\xff\xda a picture in the picture \xff\xd9"}
    for ending, options in {"png": {}, "jpg": jpeg, "webp": {}, "bmp": {}}.items():
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, {"jpg": "jpeg"}.get(ending, ending), **options)
        files[ending] = buffer.getvalue()
    return files


@pytest.fixture(scope="module")
def png16(tmp_path_factory: pytest.TempPathFactory, photograph: np.ndarray) -> bytes:
    path = tmp_path_factory.mktemp("png16") / "picture.png"
    write_image(path, photograph[100:120, 200:230].astype(np.uint16) * 257 + 3)
    return path.read_bytes()


@files
@given(image=st.sampled_from([np.uint8, np.uint16]).flatmap(lambda dtype: arrays.arrays(dtype, pixels)))
def test_png_keeps_every_bit_of_8_and_16_bit_images_of_1_to_4_channels(tmp_path: Path, image: np.ndarray):
    write_image(tmp_path / "image.png", image)
    again = read_image(tmp_path / "image.png")
    assert again.dtype == image.dtype
    np.testing.assert_array_equal(again, image)
    bits = 8 * image.dtype.itemsize
    assert image_header(tmp_path / "image.png") == ImageHeader(*image.shape, bits)


def test_an_image_without_a_channel_axis_is_gray(tmp_path: Path, photograph: np.ndarray):
    write_image(tmp_path / "gray.png", photograph[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / "gray.png"), photograph[..., :1])


def test_jpeg_is_close_to_what_was_written(tmp_path: Path, photograph: np.ndarray):
    for name, image in {"color.jpg": photograph[:64, :64], "gray.JPEG": photograph[:64, :64, :1]}.items():
        write_image(tmp_path / name, image)
        again = read_image(tmp_path / name)
        assert again.shape == image.shape
        assert np.abs(again.astype(int) - image).mean() < 3


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("a.jpg", (4, 4, 4), np.uint8),
        ("a.jpg", (4, 4, 3), np.uint16),
        ("a.heic", (4, 4, 3), np.uint8),
        ("a.png", (4, 4, 3), np.float32),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, name: str, shape: tuple, dtype: type):
    with pytest.raises(InputError, match=name):
        write_image(tmp_path / name, np.zeros(shape, dtype))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mode", "ending", "expected"),
    [
        ("1", "png", (1, 8)),
        ("L", "png", (1, 8)),
        ("LA", "png", (2, 8)),
        ("P", "png", (3, 8)),
        ("RGB", "png", (3, 8)),
        ("RGBA", "png", (4, 8)),
        ("I;16", "png", (1, 16)),
        ("L", "jpg", (1, 8)),
        ("CMYK", "jpg", (3, 8)),
        ("RGBA", "webp", (4, 8)),
        ("L", "bmp", (1, 8)),
    ],
)
def test_the_header_tells_what_reading_gives(tmp_path, photograph, mode: str, ending: str, expected: tuple):
    path = tmp_path / f"image.{ending}"
    picture = Image.fromarray(photograph[:20, :30]).convert("L" if mode == "I;16" else mode).convert(mode)
    if mode.endswith("A"):
        picture.putalpha(100)
    picture.save(path)
    header, image = image_header(path), read_image(path)
    assert header == ImageHeader(20, 30, *expected)
    assert (*image.shape, 8 * image.dtype.itemsize) == header


def test_a_palette_is_expanded_and_its_transparency_becomes_alpha(tmp_path: Path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "transparent.png", transparency=1)
    assert read_image(tmp_path / "opaque.png").tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert read_image(tmp_path / "transparent.png").tolist() == [[[255, 0, 0, 255], [0, 0, 255, 0]]]
    assert image_header(tmp_path / "transparent.png").channels == 4


def test_exif_orientation_turns_nothing(tmp_path: Path, photograph: np.ndarray):
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees to display"
    Image.fromarray(photograph[:20, :30]).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png"), photograph[:20, :30])


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_how_a_picture_asks_to_be_turned_is_told(tmp_path, photograph, ending, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photograph[:20, :30]).save(tmp_path / f"a.{ending}", exif=exif)
    picture = read_picture(tmp_path / f"a.{ending}")
    with Image.open(tmp_path / f"a.{ending}") as image:
        expected = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(picture.turn(picture.pixels), expected)
    assert read_turn(tmp_path / f"a.{ending}") == picture.turn


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_the_content_tells_the_format(tmp_path, photograph, encoded, ending):
    for name in ("a.png", "a.jpe", "a.jfif", "a.dat", "a"):
        (tmp_path / name).write_bytes(encoded[ending])
        assert image_header(tmp_path / name) == ImageHeader(40, 50, 3, 8)
        assert np.abs(read_image(tmp_path / name).astype(int) - photograph[100:140, 200:250]).mean() < 4


@pytest.mark.parametrize("start", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg>", b"\0\0\0\x20ftypheic"])
def test_programs_are_not_run_to_read_other_formats(tmp_path, start):
    (tmp_path / "a.png").write_bytes(start + bytes(200))
    with pytest.raises(InputError, match=r"a\.png is no readable image \(unknown format\)"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp"])
@files
@given(data=st.data())
def test_a_file_cut_short_gives_the_whole_image_or_an_error_with_its_name(tmp_path, encoded, ending, data):
    path = tmp_path / f"image.{ending}"
    path.write_bytes(encoded[ending])
    whole = read_image(path)
    path.write_bytes(encoded[ending][: data.draw(st.integers(0, len(encoded[ending]) - 1))])
    try:
        np.testing.assert_array_equal(read_image(path), whole)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 (either outcome is right)
        assert "\n" not in str(error)  # noqa: PT017


@files
@given(cut=st.floats(0, 0.99))
def test_a_16_bit_png_cut_short_is_an_error_with_its_name(tmp_path: Path, png16: bytes, cut: float):
    path = tmp_path / "image.png"
    path.write_bytes(png16[: int(cut * len(png16))])
    with pytest.raises(InputError, match=r"image.png"):
        read_image(path)


@pytest.mark.parametrize("ending", ["png", "png16", "jpg", "webp", "bmp"])
@files
@given(data=st.data())
def test_damaged_bytes_give_an_image_or_an_error_with_its_name(tmp_path, encoded, png16, ending, data):
    damaged = bytearray(encoded.get(ending, png16))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"image.{ending[:4]}"
    path.write_bytes(damaged)
    try:
        assert read_image(path).ndim == 3
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_no_image_is_an_error_with_its_name(tmp_path: Path, content: bytes):
    (tmp_path / "frame.png").write_bytes(content)
    with pytest.raises(InputError, match=r"frame\.png is no readable image"):
        read_image(tmp_path / "frame.png")


def test_a_missing_file_and_a_folder_are_errors_with_their_names(tmp_path: Path):
    with pytest.raises(InputError, match=r"absent.png does not exist"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(InputError, match=tmp_path.name):
        read_image(tmp_path)


def test_a_header_that_claims_gigabytes_is_refused_before_anything_is_decoded(tmp_path: Path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 16, 2, 0, 0, 0)
    content = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    with pytest.raises(InputError, match=r"bomb\.png says it has 100000x100000 pixels"):
        read_image(tmp_path / "bomb.png")


def test_frames_come_in_natural_order_and_other_files_are_counted(tmp_path: Path):
    for name in ("f10.png", "f9.PNG", "f1.jpg", "readme.txt", ".hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    images, others = list_images(tmp_path)
    assert [path.name for path in images] == ["f1.jpg", "f9.PNG", "f10.png"]
    assert others == 2


def test_folders_without_frames_are_errors_with_their_names(tmp_path: Path):
    with pytest.raises(InputError, match=r"no folder .*absent"):
        list_images(tmp_path / "absent")
    with pytest.raises(InputError, match=f"{tmp_path.name} has no frames"):
        list_images(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="no frames among its 1 files"):
        list_images(tmp_path)
    with pytest.raises(InputError, match=r"notes.txt should be a folder"):
        list_images(tmp_path / "notes.txt")


def test_the_frames_of_a_clip_have_one_size(frame_folder):
    paths, _ = list_images(frame_folder(count=4, height=20, width=30))
    assert check_clip(paths) == ImageHeader(20, 30, 3, 8)
    write_image(paths[2], np.zeros((20, 31, 3), np.uint8))
    with pytest.raises(InputError, match=f"{paths[2]} has 31x20 pixels.* first frame {paths[0].name} has 30x20"):
        check_clip(paths)


def test_a_clip_of_several_formats_has_the_one_that_holds_them_all(tmp_path: Path):
    kinds = {"gray": np.zeros((4, 5, 1), np.uint8), "color": np.zeros((4, 5, 3), np.uint8)}
    kinds |= {"alpha": np.zeros((4, 5, 2), np.uint8), "deep": np.zeros((4, 5, 1), np.uint16)}
    for name, image in kinds.items():
        write_image(tmp_path / f"{name}.png", image)
    assert check_clip([tmp_path / "gray.png"]) == (4, 5, 1, 8)
    assert check_clip([tmp_path / "gray.png", tmp_path / "alpha.png"]) == (4, 5, 2, 8)
    assert check_clip([tmp_path / f"{name}.png" for name in kinds]) == (4, 5, 4, 16)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_frame_cut_short_anywhere_is_found_without_decoding(tmp_path: Path, encoded, ending: str):
    good, bad = tmp_path / f"0.{ending}", tmp_path / f"1.{ending}"
    good.write_bytes(encoded[ending])
    for kept in range(0, len(encoded[ending]), 97):
        bad.write_bytes(encoded[ending][:kept])
        with pytest.raises(InputError, match=f"1.{ending}"):
            check_clip([good, bad])
    bad.write_bytes(encoded[ending] + b"more, as some cameras append")
    assert check_clip([good, bad]).bits == 8


def test_conversion_keeps_white_white_and_adds_only_what_is_missing():
    gray = np.array([[[0], [255]]], np.uint8)
    assert to_rgb(gray).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    assert to_rgb(np.array([[[1, 2, 3, 4]]])).tolist() == [[[1, 2, 3]]]
    assert convert(gray, 1, 8).tolist() == gray.tolist()
    assert convert(gray, 2, 8).tolist() == [[[0, 255], [255, 255]]]
    assert convert(gray, 4, 16).tolist() == [[[0, 0, 0, 65535], [65535] * 4]]
    assert convert(np.array([[[1, 2, 3, 4]]], np.uint8), 3, 8).tolist() == [[[1, 2, 3]]]
    assert convert(np.array([[[7, 9]]], np.uint16), 4, 16).tolist() == [[[7, 7, 7, 9]]]


def test_listing_and_checking_data_needs_no_tensorflow():
    modules = "ascendcv.dataloader.image, ascendcv.dataloader.reds, ascendcv.dataloader.samples"
    program = f"import sys, {modules}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
