"""TIFF files of 8 and 16 bits, page by page, by tifffile; what it cannot unpack, by PyAV or Pillow."""

import io
import logging
import warnings
from typing import Any, NamedTuple

import av
import numpy as np
import tifffile
from PIL import Image

from ascendcv.dataloader.footage import PictureTags

# It tells of damage in lines of its own, before the error that is raised.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_ICC_PROFILE = 34675  # the tag's number


class TiffHeader(NamedTuple):
    """Size, channels 1 to 4, 8 or 16 bits, and how many pages of this kind there are."""

    height: int
    width: int
    channels: int
    bits: int
    frames: int


def read_header(data: bytes) -> TiffHeader:
    """Raises ValueError for damage and for pixels that are neither 8 nor 16 bits."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = _whole_pages(file)
        if not pages:
            raise ValueError("it has no page")
        first = _page_header(pages[0])
        same = sum(_page_header(page, checked=False) == first for page in pages)
    return TiffHeader(*first, same)


def read_tags(data: bytes) -> PictureTags:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages.first.tags.get(_ICC_PROFILE)
        return PictureTags(icc_profile=bytes(tag.value)) if tag is not None else PictureTags()


def orientation(data: bytes) -> int:
    """1 to 8, as EXIF numbers them."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages.first.tags.get("Orientation")
        return int(tag.value) if tag is not None and 1 <= int(tag.value) <= 8 else 1


def read_page(data: bytes, number: int = 0) -> np.ndarray:
    """The pixels [H, W, C], uint8 or uint16, of the page of that number among those like the first."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = _whole_pages(file)
        header = _page_header(pages[0])
        pages = [page for page in pages if _page_header(page, checked=False) == header]
        page = pages[number]
        photometric, planar = _photometric(page), page.planarconfig == 2
        if photometric in ("YCBCR", "SEPARATED", "CIELAB") or page.bitspersample < 8:
            return _by_pillow(data, number, header)
        try:
            pixels = page.asarray()
        except (ValueError, KeyError, NotImplementedError) as error:
            if "imagecodecs" not in str(error):
                raise
            # Packed in a way that tifffile leaves to another package.
            if header[3] == 8:
                return _by_pillow(data, number, header)
            if len(pages) > 1:
                raise ValueError(f"several pages packed with compression {int(page.compression)}") from error
            return _by_av(data, header)
        if photometric == "PALETTE":
            colors = np.asarray(page.colormap)
            return (colors[:, pixels].transpose(1, 2, 0) >> 8).astype(np.uint8)
    if planar and pixels.ndim == 3:
        pixels = pixels.transpose(1, 2, 0)
    pixels = pixels.reshape(*header[:2], -1)[..., : header[2]]
    pixels = pixels.astype(np.uint16 if header[3] == 16 else np.uint8)
    return np.iinfo(pixels.dtype).max - pixels if photometric == "MINISWHITE" else pixels


def encode(pixels: np.ndarray, tags: PictureTags | None = None) -> bytes:
    """A TIFF file of [H, W, C] uint8 or uint16."""
    channels, target = pixels.shape[2], io.BytesIO()
    profile = tags.icc_profile if tags is not None else None
    tifffile.imwrite(
        target,
        pixels[..., 0] if channels == 1 else pixels,
        photometric="rgb" if channels >= 3 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        planarconfig="contig" if channels > 1 else None,
        compression="zlib",
        iccprofile=profile,
        metadata=None,
    )
    return target.getvalue()


def _whole_pages(file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """The pages that are no smaller copies of others."""
    return [page for page in (page.aspage() for page in file.pages) if not page.is_reduced]


def _page_header(page: tifffile.TiffPage, checked: bool = True) -> tuple[int, int, int, int]:
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    sample_format: Any = page.sampleformat  # tifffile gives one number, none, or one per sample
    is_whole_number = sample_format in (None, 1, (1,))
    if checked and (not is_whole_number or bits not in (1, 2, 4, 8, 16) or page.imagedepth > 1):
        raise ValueError(f"pixels of {bits} bits" + ("" if is_whole_number else ", not unsigned integers"))
    samples, photometric = page.samplesperpixel, _photometric(page)
    if photometric in ("PALETTE", "SEPARATED", "YCBCR", "CIELAB"):
        channels = 3
    elif photometric == "RGB":
        channels = 4 if samples > 3 and page.extrasamples else 3
    else:
        channels = 2 if samples > 1 and page.extrasamples else 1
    return page.imagelength, page.imagewidth, channels, 16 if bits == 16 and photometric != "PALETTE" else 8


def _photometric(page: tifffile.TiffPage) -> str:
    """What the values of a page are, by tifffile's names."""
    return getattr(page.photometric, "name", str(page.photometric))


def _by_pillow(data: bytes, number: int, header: tuple[int, int, int, int]) -> np.ndarray:
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
        image.seek(number)
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[header[2]]
        return np.array(image.convert(mode)).reshape(header[:3])


def _by_av(data: bytes, header: tuple[int, int, int, int]) -> np.ndarray:
    decoder = av.CodecContext.create("tiff", "r")
    try:
        frames = decoder.decode(av.Packet(data)) or decoder.decode(None)
    except av.FFmpegError as error:
        raise ValueError(error.strerror or "damaged data") from None
    if not frames:
        raise ValueError("damaged data")
    pixels = frames[0].to_ndarray()
    return pixels.reshape(*header[:2], -1)[..., : header[2]].astype(np.uint16)
