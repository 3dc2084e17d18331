"""Image files <-> arrays [H, W, C], of 8 and 16 bits, without loss: PNG, JPEG, WebP, TIFF, BMP and GIF.

What is read may also be a frame in an LMDB, see `ascendcv.dataloader.stored`.

Channels are Y, YA, RGB or RGBA as the file has them; a palette is expanded, a color key becomes alpha. The
content tells the format, not the name. Pixels come as they are stored: an orientation noted in EXIF data turns
nothing unless asked for, because the frames of a clip share one orientation and a network's input and ground
truth must keep theirs.
"""

import io
import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from ascendcv.dataloader import png
from ascendcv.dataloader.footage import PictureTags
from ascendcv.dataloader.stored import entries, is_folder, open_frame
from ascendcv.dataloader.turn import Turn
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path

# A few bytes of a hostile file can claim gigabytes. Pillow's bound may have been lifted, ours stays.
MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp"),
    *(".tif", ".tiff", ".gif", ".apng"),
)
WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp")
# Folders that other programs make beside pictures.
SKIPPED_FOLDERS = ("@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN")

_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
_PILLOW_FORMATS = {
    "jpeg": ["JPEG", "MPO"],
    "webp": ["WEBP"],
    "bmp": ["BMP", "DIB"],
    "gif": ["GIF"],
    "png": ["PNG"],
    "ppm": ["PPM"],
}
_MODE_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_CHANNELS_MODE = {channels: mode for mode, channels in _MODE_CHANNELS.items()}
_EXIF_ORIENTATION = 0x0112
_WHOLE_FILE_HINT = "copy or extract it again, or remove it"


class ImageHeader(NamedTuple):
    """What an image file says of itself: size in pixels, channels 1 to 4, 8 or 16 bits a channel."""

    height: int
    width: int
    channels: int
    bits: int


class Picture(NamedTuple):
    """An image file: pixels [H, W, C] as they are stored, what they mean, and how they are to be turned."""

    pixels: np.ndarray
    tags: PictureTags
    turn: Turn


def read_image(path: str | os.PathLike) -> np.ndarray:
    """The pixels [H, W, C] of an image file, uint8 or uint16, C = 1, 2, 3 or 4; of several, the first picture.

    Raises `InputError` naming the file if it is missing, no image, damaged, cut short, or larger than Pillow
    accepts.
    """
    return read_picture(path).pixels


def read_picture(path: str | os.PathLike) -> Picture:
    """As `read_image`, with all that belongs to the pixels."""
    header = image_header(path)
    try:
        with open_frame(path) as file:
            data = file.read()
        kind = picture_format(data) or ""
        tags, turn = _tags_and_turn(data, kind)
        pixels = _decode(data, kind, header)
    except Exception as error:  # decoders meet damaged data with exceptions of every kind
        raise _unreadable(path, error) from error
    return Picture(pixels.reshape(header.height, header.width, header.channels), tags, turn)


def read_turn(path: str | os.PathLike) -> Turn:
    """How a picture asks to be turned. Raises `InputError` naming the file if it cannot be read."""
    try:
        with open_frame(path) as file:
            kind = picture_format(file.read(16)) or ""
            file.seek(0)
            return _turn(file, kind)
    except Exception as error:
        raise _unreadable(path, error) from error


def image_header(path: str | os.PathLike) -> ImageHeader:
    """Size, channels and bits of an image file, without decoding it. Raises `InputError` naming the file."""
    try:
        with open_frame(path) as file:
            kind = picture_format(file.read(16))
            file.seek(0)
            header = _header(file, kind)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except InputError:
        raise
    except OSError as error:
        if error.errno is None:  # not the system's, but Pillow's
            raise _unreadable(path, error) from error
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:
        raise _unreadable(path, error) from error
    if header.height * header.width > MAX_PIXELS:
        raise InputError(
            f"{path} says it has {header.width}x{header.height} pixels, more than the {MAX_PIXELS} that are "
            "accepted; is it damaged?"
        )
    return header


def picture_format(start: bytes) -> str | None:
    """'png', 'jpeg', 'gif', 'webp', 'bmp', 'ppm' or 'tiff', by the first bytes of a file; None for others."""
    if start.startswith(png.SIGNATURE):
        return "png"
    if start.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if start[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    return {b"BM": "bmp", b"P6": "ppm"}.get(start[:2])  # FlyingChairs has PPM


def write_image(path: str | os.PathLike, image: np.ndarray, tags: PictureTags | None = None) -> None:
    """Writes [H, W, C] (C = 1 to 4) or [H, W] pixels; the file appears complete or not at all.

    The ending chooses the format: .png and .tif take uint8 and uint16, .webp (without loss) uint8, .jpg and .bmp
    uint8 gray or RGB. `tags` are kept as far as the format can: all in PNG, the ICC profile elsewhere.
    Raises `InputError` for another ending or pixels that the format cannot hold, OSError if the disk is full.
    """
    suffix = Path(path).suffix.lower()
    image = image[..., np.newaxis] if image.ndim == 2 else image
    channels, bits = image.shape[2], 8 * image.dtype.itemsize
    if suffix not in WRITTEN_SUFFIXES:
        raise InputError(f"cannot write {path}: the ending should be one of {', '.join(WRITTEN_SUFFIXES)}")
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f"cannot write {image.dtype} pixels to {path}: images hold uint8 or uint16")
    if not holds(suffix, channels, bits):
        raise InputError(f"cannot write {bits}-bit pixels of {channels} channels to {path}: use .png")
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode_image(image, suffix, tags))


def holds(suffix: str, channels: int, bits: int) -> bool:
    """Whether image files of this ending can hold such pixels."""
    if suffix in (".png", ".tif", ".tiff"):
        return True
    return bits == 8 and (channels in (1, 3) or suffix == ".webp")


def encode_image(image: np.ndarray, suffix: str, tags: PictureTags | None = None) -> bytes:
    """The bytes of an image file of this ending, for [H, W, C] that it `holds`."""
    if suffix == ".png":
        return png.encode(image, tags)
    if suffix in (".tif", ".tiff"):
        from ascendcv.dataloader import tiff

        return tiff.encode(image, tags)
    target = io.BytesIO()
    profile = {"icc_profile": tags.icc_profile} if tags is not None and tags.icc_profile else {}
    picture = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
    if suffix in _JPEG_SUFFIXES:
        picture.save(target, "JPEG", quality=95, **profile)
    elif suffix == ".webp":
        picture = (
            picture
            if picture.mode in ("RGB", "RGBA")
            else picture.convert("RGBA" if image.shape[2] == 2 else "RGB")
        )
        picture.save(target, "WEBP", lossless=True, exact=True, **profile)
    else:
        picture.save(target, "BMP")
    return target.getvalue()


def to_rgb(image: np.ndarray) -> np.ndarray:
    """[..., H, W, 1 | 2 | 3 | 4] -> [..., H, W, 3]: gray is repeated, an alpha channel is dropped."""
    return np.repeat(image[..., :1], 3, axis=-1) if image.shape[-1] <= 2 else image[..., :3]


def convert(image: np.ndarray, channels: int, bits: int) -> np.ndarray:
    """Pixels [H, W, C] in the format that a clip's frames share, `check_clip`'s channels and bits.

    Gray becomes color by repetition, a missing alpha channel is opaque, 8 bits become 16 so that white stays
    white (v * 257). What would lose color or depth is not done: C = 3 and 4 stay color, 16 bits stay 16.
    """
    if bits == 16 and image.dtype == np.uint8:
        image = image.astype(np.uint16) * 257
    color = to_rgb(image) if channels >= 3 else image[..., : 3 if image.shape[-1] >= 3 else 1]
    if channels in (1, 3):
        return color
    opaque = np.full_like(image[..., :1], np.iinfo(image.dtype).max)
    alpha = image[..., -1:] if image.shape[-1] in (2, 4) else opaque
    return np.concatenate([color, alpha], axis=-1)


def list_images(folder: str | os.PathLike) -> tuple[list[Path], int]:
    """The image files of a folder in natural order (2 before 10), and how many other files it has.

    Hidden files count as others. Raises `InputError` if the folder is missing, is no folder or has no images.
    """
    images, others = split_folder(folder)
    return images, len(others)


def split_folder(folder: str | os.PathLike) -> tuple[list[Path], list[Path]]:
    """As `list_images`, with the other files themselves."""
    folder = Path(folder)
    if not is_folder(folder):
        if not folder.exists():
            raise InputError(f"there is no folder {folder}")
        raise InputError(f"{folder} should be a folder of frames; it is a file")
    files = sorted(entries(folder)[1], key=natural_order)
    images = [path for path in files if is_image_name(path)]
    if not images:
        others = f" among its {len(files)} files" if files else ""
        raise InputError(f"{folder} has no frames{others}; frames end in {', '.join(IMAGE_SUFFIXES)}")
    chosen = set(images)
    return images, [path for path in files if path not in chosen]


def is_image_name(path: Path) -> bool:
    """Whether a file is an image by its name, and not hidden."""
    return path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."


def natural_order(path: Path) -> list[tuple[int, str]]:
    """A sort key of names that counts digits as numbers: frame2 before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in parts]


def check_clip(paths: Sequence[Path]) -> ImageHeader:
    """The size that all frames of a clip share, and the channels and bits that hold every one of them.

    Reads headers and endings only. Raises `InputError` naming the first file that is unreadable, cut short,
    or of another size than the first frame. Formats may differ (a gray frame among RGB): see `convert`.
    """
    headers = []
    for path in paths:
        headers.append(header := image_header(path))
        if not _is_whole(path):
            raise InputError(f"{path} is cut short; {_WHOLE_FILE_HINT}")
        if header[:2] != headers[0][:2]:
            raise InputError(
                f"{path} has {header.width}x{header.height} pixels, but the first frame {paths[0].name} has "
                f"{headers[0].width}x{headers[0].height}; frames of one clip have one size"
            )
    color = any(header.channels >= 3 for header in headers)
    alpha = any(header.channels in (2, 4) for header in headers)
    bits = max(header.bits for header in headers)
    return ImageHeader(*headers[0][:2], (3 if color else 1) + alpha, bits)


def _unreadable(path: str | os.PathLike, error: Exception) -> InputError:
    unknown = isinstance(error, UnidentifiedImageError)
    reason = "unknown format" if unknown else (str(error) or type(error).__name__).splitlines()[0]
    return InputError(f"{path} is no readable image ({reason}); {_WHOLE_FILE_HINT}")


def _header(file: BinaryIO, kind: str | None) -> ImageHeader:
    if kind == "png":
        return ImageHeader(*png.read_header(file)[:4])
    if kind == "tiff":
        from ascendcv.dataloader import tiff

        return ImageHeader(*tiff.read_header(file.read())[:4])
    if kind is None:
        raise UnidentifiedImageError
    with Image.open(file, formats=_PILLOW_FORMATS[kind]) as image:
        transparent = "A" in image.getbands() or "transparency" in image.info
        gray = image.mode in ("1", "L", "LA")
        mode = ("L" if gray else "RGB") + ("A" if transparent else "")
        return ImageHeader(image.height, image.width, _MODE_CHANNELS[mode], 8)


def _decode(data: bytes, kind: str, header: ImageHeader) -> np.ndarray:
    if kind == "tiff":
        from ascendcv.dataloader import tiff

        return tiff.read_page(data)
    if header.bits == 16:
        return png.decode_16_bits(data)
    import imageio.v3 as imageio

    # Pillow does the work: its modes for gray, color and alpha, the first picture of several. Of a PNG it gets
    # the pixels alone, because it refuses profiles above 1 MB.
    data = png.pixels_only(data) if kind == "png" else data
    return imageio.imread(data, plugin="pillow", index=0, mode=_CHANNELS_MODE[header.channels])


def _tags_and_turn(data: bytes, kind: str) -> tuple[PictureTags, Turn]:
    if kind == "png":
        return png.check(data), _turn(io.BytesIO(data), kind)
    if kind == "tiff":
        from ascendcv.dataloader import tiff

        return tiff.read_tags(data), _turn(io.BytesIO(data), kind)
    with Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS[kind]) as image:
        tags = PictureTags(icc_profile=image.info.get("icc_profile") or None)
    return tags, _turn(io.BytesIO(data), kind)


def _turn(file: BinaryIO, kind: str) -> Turn:
    if kind == "tiff":
        from ascendcv.dataloader import tiff

        return Turn.of_exif(tiff.orientation(file.read()))
    if kind == "png":  # of which Pillow would decode all pixels
        exif = Image.Exif()
        exif.load(png.read_exif(file))
        return Turn.of_exif(exif.get(_EXIF_ORIENTATION, 1))
    with Image.open(file, formats=_PILLOW_FORMATS[kind]) as image:
        return Turn.of_exif(image.getexif().get(_EXIF_ORIENTATION, 1))


def _is_whole(path: Path) -> bool:
    """Whether a PNG or JPEG has its end mark; files of other formats count as whole."""
    with open_frame(path) as file:
        signature = file.read(8)
        file.seek(-min(12, file.seek(0, os.SEEK_END)), os.SEEK_END)
        ending = file.read()
        if signature == png.SIGNATURE:
            return ending[4:8] == b"IEND" or _png_has_end(file)
        if signature.startswith(b"\xff\xd8"):
            return ending.endswith(b"\xff\xd9") or _jpeg_has_end(file)
    return True


def _png_has_end(file: BinaryIO) -> bool:
    """Walks the chunks: some programs write more after the image."""
    file.seek(len(png.SIGNATURE))
    while len(chunk := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", chunk)
        if kind == b"IEND":
            return True
        file.seek(length + 4, os.SEEK_CUR)
    return False


def _jpeg_has_end(file: BinaryIO) -> bool:
    """Walks the segments to the start of scan, behind which FF D9 is nothing but the end mark; cameras write
    more after the image, and pictures of their own before it."""
    file.seek(2)
    while len(segment := file.read(4)) == 4 and segment[:2] != b"\xff\xda":
        file.seek(int.from_bytes(segment[2:]) - 2, os.SEEK_CUR)
    return b"\xff\xd9" in file.read()
