"""Image files <-> arrays [H, W, C]: 8 bit by Pillow, 16 bit without loss.

Channels are Y, YA, RGB or RGBA as the file has them; a palette is expanded. Pixels come as they are stored:
an orientation noted in EXIF data turns nothing, because the frames of a clip share one orientation and a
network's input and ground truth must keep theirs.
"""

import os
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # colour type -> channels; 3 is a palette
_MODE_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_CHANNELS_MODE = {channels: mode for mode, channels in _MODE_CHANNELS.items()}
_WHOLE_FILE_HINT = "copy or extract it again, or remove it"


class ImageHeader(NamedTuple):
    """What an image file says of itself: size in pixels, channels 1 to 4, 8 or 16 bits a channel."""

    height: int
    width: int
    channels: int
    bits: int


def read_image(path: str | os.PathLike) -> np.ndarray:
    """The pixels [H, W, C] of an image file, uint8 or (16-bit PNG) uint16, C = 1, 2, 3 or 4.

    Raises `InputError` naming the file if it is missing, no image, damaged, cut short, or larger than Pillow
    accepts (a few bytes of a hostile file can claim gigabytes).
    """
    header = image_header(path)
    try:
        if header.bits == 16 and header.channels > 1:
            return _decode_png16(Path(path).read_bytes())
        with Image.open(path) as image:
            # Pillow has a mode of its own for 16-bit gray, and none for 16-bit colour.
            mode = "I;16" if header.bits == 16 else _CHANNELS_MODE[header.channels]
            pixels = np.array(image if image.mode == mode else image.convert(mode))
    except Exception as error:  # decoders meet damaged data with exceptions of every kind
        raise _unreadable(path, error) from error
    return pixels.reshape(header.height, header.width, header.channels)


def image_header(path: str | os.PathLike) -> ImageHeader:
    """Size, channels and bits of an image file, without decoding it. Raises `InputError` naming the file."""
    try:
        with open(path, "rb") as file:
            start = file.read(33)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    try:
        header = _png_header(start) or _pillow_header(path)
    except Exception as error:
        raise _unreadable(path, error) from error
    if header.height * header.width > 2 * Image.MAX_IMAGE_PIXELS:
        raise InputError(
            f"{path} says it has {header.width}x{header.height} pixels, more than the "
            f"{2 * Image.MAX_IMAGE_PIXELS} that are accepted; is it damaged?"
        )
    return header


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes [H, W, C] (C = 1 to 4) or [H, W] pixels; the file appears complete or not at all.

    The ending chooses the format: .png takes uint8 and uint16, .jpg and .jpeg uint8 gray or RGB.
    Raises `InputError` for another ending or pixels that the format cannot hold, OSError if the disk is full.
    """
    suffix = Path(path).suffix.lower()
    image = image[..., np.newaxis] if image.ndim == 2 else image
    channels, bits = image.shape[2], 8 * image.dtype.itemsize
    if suffix not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"cannot write {path}: the ending should be .png, .jpg or .jpeg")
    if suffix != ".png" and (bits != 8 or channels not in (1, 3)):
        raise InputError(f"cannot write {bits}-bit pixels of {channels} channels to {path}: use .png")
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f"cannot write {image.dtype} pixels to {path}: images hold uint8 or uint16")
    with atomic_path(path) as temporary:
        if bits == 16 and channels > 1:
            temporary.write_bytes(_encode_png16(image))
        else:
            # Level 3 takes under half of the default's time and gives files 2 % larger.
            options = {"compress_level": 3} if suffix == ".png" else {"quality": 95}
            Image.fromarray(image.squeeze(2) if channels == 1 else image).save(temporary, **options)


def to_rgb(image: np.ndarray) -> np.ndarray:
    """[..., H, W, 1 | 2 | 3 | 4] -> [..., H, W, 3]: gray is repeated, an alpha channel is dropped."""
    return np.repeat(image[..., :1], 3, axis=-1) if image.shape[-1] <= 2 else image[..., :3]


def convert(image: np.ndarray, channels: int, bits: int) -> np.ndarray:
    """Pixels [H, W, C] in the format that a clip's frames share, `check_clip`'s channels and bits.

    Gray becomes colour by repetition, a missing alpha channel is opaque, 8 bits become 16 so that white stays
    white (v * 257). What would lose colour or depth is not done: C = 3 and 4 stay colour, 16 bits stay 16.
    """
    if bits == 16 and image.dtype == np.uint8:
        image = image.astype(np.uint16) * 257
    colour = to_rgb(image) if channels >= 3 else image[..., : 3 if image.shape[-1] >= 3 else 1]
    if channels in (1, 3):
        return colour
    opaque = np.full_like(image[..., :1], np.iinfo(image.dtype).max)
    alpha = image[..., -1:] if image.shape[-1] in (2, 4) else opaque
    return np.concatenate([colour, alpha], axis=-1)


def list_images(folder: str | os.PathLike) -> tuple[list[Path], int]:
    """The image files of a folder in natural order (2 before 10), and how many other files it has.

    Hidden files count as others. Raises `InputError` if the folder is missing, is no folder or has no images.
    """
    folder = Path(folder)
    if not folder.exists():
        raise InputError(f"there is no folder {folder}")
    if not folder.is_dir():
        raise InputError(f"{folder} should be a folder of frames; it is a file")
    files = [path for path in folder.iterdir() if path.is_file()]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."]
    if not images:
        others = f" among its {len(files)} files" if files else ""
        raise InputError(f"{folder} has no frames{others}; frames end in {', '.join(IMAGE_SUFFIXES)}")
    return sorted(images, key=natural_order), len(files) - len(images)


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
    colour = any(header.channels >= 3 for header in headers)
    alpha = any(header.channels in (2, 4) for header in headers)
    bits = max(header.bits for header in headers)
    return ImageHeader(*headers[0][:2], (3 if colour else 1) + alpha, bits)


def _unreadable(path: str | os.PathLike, error: Exception) -> InputError:
    unknown = isinstance(error, UnidentifiedImageError)
    reason = "unknown format" if unknown else (str(error) or type(error).__name__).splitlines()[0]
    return InputError(f"{path} is no readable image ({reason}); {_WHOLE_FILE_HINT}")


def _png_header(start: bytes) -> ImageHeader | None:
    """The header in a PNG's first 33 bytes; None for other formats and palettes, which Pillow reads."""
    if not start.startswith(_PNG_SIGNATURE):
        return None
    if len(start) < 33 or start[12:16] != b"IHDR" or zlib.crc32(start[12:29]) != int.from_bytes(start[29:33]):
        raise ValueError("damaged PNG header")
    width, height, depth, colour = struct.unpack(">IIBB", start[16:26])
    if colour == 3:
        return None
    if not width or not height or colour not in _PNG_CHANNELS:
        raise ValueError("invalid PNG header")
    return ImageHeader(height, width, _PNG_CHANNELS[colour], 16 if depth == 16 else 8)


def _pillow_header(path: str | os.PathLike) -> ImageHeader:
    with Image.open(path) as image:
        transparent = "A" in image.getbands() or (image.mode == "P" and "transparency" in image.info)
        gray = image.mode in ("1", "L", "LA")
        mode = ("L" if gray else "RGB") + ("A" if transparent else "")
        return ImageHeader(image.height, image.width, _MODE_CHANNELS[mode], 8)


def _is_whole(path: Path) -> bool:
    """Whether a PNG or JPEG has its end mark; files of other formats count as whole."""
    with open(path, "rb") as file:
        signature = file.read(8)
        file.seek(-min(12, os.path.getsize(path)), os.SEEK_END)
        ending = file.read()
        if signature == _PNG_SIGNATURE:
            return ending[4:8] == b"IEND" or _png_has_end(file)
        if signature.startswith(b"\xff\xd8"):
            return ending.endswith(b"\xff\xd9") or _jpeg_has_end(file)
    return True


def _png_has_end(file: BinaryIO) -> bool:
    """Walks the chunks: some programs write more after the image."""
    file.seek(len(_PNG_SIGNATURE))
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


def _decode_png16(data: bytes) -> np.ndarray:
    import tensorflow as tf  # the codec for 16-bit colour, which Pillow reduces to 8 bits

    try:
        return tf.io.decode_png(data, dtype=tf.uint16).numpy()
    except tf.errors.InvalidArgumentError:
        raise ValueError("damaged PNG data") from None


def _encode_png16(image: np.ndarray) -> bytes:
    import tensorflow as tf

    return tf.io.encode_png(image, compression=3).numpy()
