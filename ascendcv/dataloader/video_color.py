"""Pixels of video <-> arrays of RGB: each conversion by the matrix and range that the video is tagged with.

8 bits are converted by swscale, whose result is within half a code value of float64 on the way in and within
one on the way out. More than 8 bits are converted here: swscale takes the white of 10 bits for 65280 of 65535.
Source of the coefficients: ITU-T H.273, table 4.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import av
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideData
from av.video.reformatter import Interpolation, VideoReformatter

from ascendcv.dataloader.footage import Color

RGB, UNSPECIFIED, BT709, BT601, BT2020 = 0, 2, 1, 6, 9

# Matrix -> the parts of red and blue in luma.
_LUMA = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
_SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
# What cannot be converted by a matrix and an offset alone, or not exactly.
_UNCONVERTED = {
    8: "YCgCo",
    10: "BT.2020 with constant luminance",
    11: "SMPTE ST 2085 (Y'D'zD'x)",
    12: "a matrix derived from the primaries",
    13: "a matrix derived from the primaries, with constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
TRANSFERS = {16: "PQ", 18: "HLG"}
PRIMARIES = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
# Transfer and primaries that go with a matrix where nothing else is said.
_COMPANIONS = {RGB: (13, 1), 1: (1, 1), 5: (6, 5), 7: (7, 7), 9: (14, 9)}

_FLAGS = int(
    Interpolation.BICUBIC
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
)
_REARRANGE = int(Interpolation.POINT)  # values stay what they are
_LIMITED, _FULL = 1, 2  # AVColorRange


@dataclass(frozen=True)
class Layout:
    """What a pixel format of ffmpeg's holds."""

    family: str  # 'yuv', 'rgb' or 'gray'
    bits: int
    alpha: bool
    chroma: str = ""  # of 'yuv': '444', '422', '420', '440', '411' or '410'

    @property
    def channels(self) -> int:
        return (1 if self.family == "gray" else 3) + self.alpha


@lru_cache(maxsize=256)
def layout_of(pixel_format: str) -> Layout:
    """The layout of a pixel format; a palette is RGB."""
    if pixel_format == "pal8":
        return Layout("rgb", 8, False)
    described = av.VideoFormat(pixel_format)
    components = described.components
    alpha = any(component.is_alpha for component in components)
    bits = max(component.bits for component in components)
    if described.is_rgb or pixel_format.startswith(("bayer", "xyz")):
        return Layout("rgb", max(bits, 8), alpha)
    if len(components) <= 2:
        return Layout("gray", max(bits, 8), alpha)
    subsampling = (64 // described.chroma_width(64), 64 // described.chroma_height(64))
    names = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411", (4, 4): "410"}
    return Layout("yuv", bits, alpha, names[subsampling])


def format_of(layout: Layout) -> str:
    """The planar (of 8-bit gray with alpha, packed) little-endian pixel format of a layout."""
    deep = f"{layout.bits}le" if layout.bits > 8 else ""
    if layout.family == "gray":
        return ("ya" + (deep or "8")) if layout.alpha else "gray" + deep
    if layout.family == "rgb":
        return ("gbrap" if layout.alpha else "gbrp") + deep
    return f"yuv{'a' if layout.alpha else ''}{layout.chroma}p{deep}"


class ContainerTags(NamedTuple):
    """What a container says of a video's colors, as ffmpeg numbers it."""

    matrix: int = UNSPECIFIED
    color_range: int = 0
    transfer: int = UNSPECIFIED
    primaries: int = UNSPECIFIED

    @classmethod
    def of(cls, decoder: av.VideoCodecContext) -> "ContainerTags":
        return cls(*map(int, (decoder.colorspace, decoder.color_range, decoder.color_trc, decoder.color_primaries)))


def color_of(frame: av.VideoFrame, height: int, width: int, stream: ContainerTags) -> Color:
    """The color tags of a decoded frame, or else of its container; a missing matrix is that of this size.

    Each tag is read for itself: primaries or a transfer of BT.709 say nothing about the matrix.
    """
    layout = layout_of(frame.format.name)
    matrix = _known(int(frame.colorspace)) or _known(stream.matrix)
    if layout.family == "rgb":
        matrix = RGB
    elif not matrix:  # RGB as the matrix of YUV planes is a wrong tag
        matrix = matrix_of_size(height, width)
    limits = frame.color_range or stream.color_range
    full = limits == _FULL or layout.family == "rgb" or frame.format.name.startswith("yuvj")
    if layout.family == "gray" and not limits:
        full = True
    transfer = _known(int(frame.color_trc)) or _known(stream.transfer) or UNSPECIFIED
    primaries = _known(int(frame.color_primaries)) or _known(stream.primaries) or UNSPECIFIED
    return Color(matrix, full, transfer, primaries)


def with_mastering(color: Color, frame: av.VideoFrame) -> Color:
    """The color with the mastering display and the light levels that a frame carries.

    A frame whose side data was looked at lives until garbage is collected: that is for few frames.
    """
    display = light = None
    for entry in side_data(frame):
        kind = entry.type.name
        if kind == "MASTERING_DISPLAY_METADATA":
            # AVMasteringDisplayMetadata: ten rationals, then whether primaries and luminance are there.
            numbers = np.frombuffer(bytes(entry), np.int32)
            pairs = numbers[:20].reshape(10, 2).tolist()
            if numbers[20] and numbers[21] and all(denominator for _, denominator in pairs):
                display = tuple(Fraction(*pair) for pair in pairs)
        elif kind == "CONTENT_LIGHT_LEVEL":
            most, average = np.frombuffer(bytes(entry), np.uint32)[:2].tolist()
            light = (most, average)
    return replace(color, mastering_display=display, content_light=light)


def side_data(frame: av.VideoFrame) -> Iterable[SideData]:
    """What a frame carries beside its pixels: PyAV's type stubs take the container of it for a dictionary."""
    entries: Any = frame.side_data
    return entries


def matrix_of_size(height: int, width: int) -> int:
    """BT.709 from 1280 columns or 720 lines on, BT.601 below, as players do."""
    return BT709 if height >= 720 or width >= 1280 else BT601


def complete(color: Color) -> Color:
    """The same color with a transfer and primaries: where there are none, those that go with the matrix."""
    transfer, primaries = _COMPANIONS.get(color.matrix, (6, 6))
    return replace(
        color,
        transfer=transfer if color.transfer == UNSPECIFIED else color.transfer,
        primaries=primaries if color.primaries == UNSPECIFIED else color.primaries,
    )


def refusal(color: Color) -> str | None:
    """Why colors cannot be converted to RGB, or None if they can."""
    if color.matrix == RGB or color.matrix in _LUMA:
        return None
    return f"has colors in {_UNCONVERTED.get(color.matrix, f'matrix {color.matrix} of ITU-T H.273')}"


class PixelReader:
    """Decoded frames -> arrays [H, W, C], uint8 or uint16 (`bits` 8 or 16)."""

    def __init__(self, bits: int):
        self._bits = bits
        self._to_rgb, self._to_planar, self._to_444 = VideoReformatter(), VideoReformatter(), VideoReformatter()
        self._sited = _Siting()

    def __call__(self, frame: av.VideoFrame, color: Color) -> np.ndarray:
        layout = layout_of(frame.format.name)
        if layout.chroma in ("422", "440", "411") and not frame.format.name.startswith("yuvj"):
            # All standards have it left, so that some decoders do not say so; JPEG's do.
            frame = self._sited(frame)
        if layout.bits > 8 or layout.family == "gray":
            pixels = self._read_planes(frame, layout, color)
        else:
            pixels = self._read_8_bits(frame, layout, color)
        if self._bits == 16 and pixels.dtype == np.uint8:
            return pixels.astype(np.uint16) * 257
        if self._bits == 8 and pixels.dtype == np.uint16:
            return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return pixels

    def _read_8_bits(self, frame: av.VideoFrame, layout: Layout, color: Color) -> np.ndarray:
        if layout.family == "yuv":
            if self._bits == 16:
                return self._read_planes(frame, layout, color)
            frame.colorspace = color.matrix
            frame.color_range = _FULL if color.full_range else _LIMITED
            # swscale converts to planes in a third of the time that it takes for packed pixels.
            planes = "gbrap" if layout.alpha else "gbrp"
            frame = self._to_planar.reformat(
                frame, format=planes, interpolation=_FLAGS, dst_color_range=_FULL, threads=1
            )
        target = "rgba" if layout.alpha else "rgb24"
        packed = self._to_rgb.reformat(
            frame, format=target, interpolation=_REARRANGE, dst_color_range=_FULL, threads=1
        )
        return packed.to_ndarray()

    def _read_planes(self, frame: av.VideoFrame, layout: Layout, color: Color) -> np.ndarray:
        if layout.bits > 16:
            layout = replace(layout, bits=16)
        planar = self._to_planar.reformat(frame, format=format_of(layout), interpolation=_FLAGS)
        if layout.family == "gray":
            gray, *alpha = _gray_planes(planar, layout)
            gray = _scaled(gray, layout.bits, color.full_range)
            return np.stack([gray, *(_scaled(plane, layout.bits, True) for plane in alpha)], axis=-1)
        planes = _planes(planar)
        alpha = [_scaled(plane, layout.bits, True, deep=True) for plane in planes[3:]]
        if layout.family == "rgb":
            green, blue, red = (_scaled(plane, layout.bits, True, deep=True) for plane in planes[:3])
            return np.stack([red, green, blue, *alpha], axis=-1)
        if layout.chroma != "444":
            whole = format_of(replace(layout, chroma="444", alpha=False))
            opaque = planar
            if layout.alpha:
                opaque = _frame_of_planes(planes[:3], format_of(replace(layout, alpha=False)))
            planes[:3] = _planes(self._to_444.reformat(opaque, format=whole, interpolation=_FLAGS))
        rgb = _yuv_to_rgb(planes[:3], layout.bits, color)
        return np.concatenate([rgb, *(plane[..., np.newaxis] for plane in alpha)], axis=-1)


class PixelWriter:
    """Arrays [H, W, C], uint8 or uint16 -> frames of a pixel format and color."""

    def __init__(self, pixel_format: str, color: Color):
        self._format, self._layout, self._color = pixel_format, layout_of(pixel_format), color
        self._reformat, self._subsample, self._sited = VideoReformatter(), VideoReformatter(), _Siting()

    def __call__(self, pixels: np.ndarray) -> av.VideoFrame:
        frame = self._convert(_with_channels(pixels, self._layout.channels))
        frame.colorspace = self._color.matrix
        frame.color_range = _FULL if self._color.full_range else _LIMITED
        frame.color_trc, frame.color_primaries = self._color.transfer, self._color.primaries
        return frame

    def _convert(self, pixels: np.ndarray) -> av.VideoFrame:
        layout = self._layout
        if layout.family == "gray":
            planes = [_unscaled(pixels[..., 0], layout.bits, self._color.full_range)]
            planes += [_unscaled(pixels[..., channel], layout.bits, True) for channel in range(1, layout.channels)]
            return _gray_frame(planes, self._format)
        if layout.bits == 8 and not (layout.family == "yuv" and pixels.dtype == np.uint16):
            if pixels.dtype == np.uint16:
                pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
            source = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgba" if layout.alpha else "rgb24")
            source.color_range = _FULL
            options = {}
            if layout.family == "yuv":
                options["dst_colorspace"] = _SWSCALE_MATRIX[self._color.matrix]
                options["dst_color_range"] = _FULL if self._color.full_range else _LIMITED
                source = self._sited(source)
            return self._reformat.reformat(source, format=self._format, interpolation=_FLAGS, **options)
        alpha = [_unscaled(pixels[..., 3], layout.bits, True)] if layout.alpha else []
        if layout.family == "rgb":
            red, green, blue = (_unscaled(pixels[..., channel], layout.bits, True) for channel in range(3))
            planar = _frame_of_planes([green, blue, red, *alpha], format_of(layout))
            return self._reformat.reformat(planar, format=self._format, interpolation=_FLAGS)
        planes = _rgb_to_yuv(pixels, layout.bits, self._color)
        frame = _frame_of_planes(planes, format_of(replace(layout, chroma="444", alpha=False)))
        opaque = format_of(replace(layout, alpha=False))
        frame = self._sited(frame)
        frame = self._subsample.reformat(frame, format=opaque, interpolation=_FLAGS)
        if alpha:
            frame = _frame_of_planes([*_planes(frame), *alpha], format_of(layout))
        return frame if opaque == self._format else self._reformat.reformat(frame, format=self._format)


class _Siting:
    """Marks frames so that the chroma made of them lies left in the middle, as H.264 and HEVC have it.

    swscale takes unmarked frames for MPEG-1's, half a pixel to the right.
    """

    def __init__(self) -> None:
        self._graph = Graph()
        self._kind: tuple[int, int, str] | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        kind = frame.width, frame.height, frame.format.name
        if kind != self._kind:
            graph, self._kind = Graph(), kind
            self._graph = graph
            size = f"{frame.width}x{frame.height}"
            source = graph.add(
                "buffer", video_size=size, pix_fmt=frame.format.name, time_base="1/1", pixel_aspect="1/1"
            )
            graph.link_nodes(source, graph.add("setparams", "chroma_location=left"), graph.add("buffersink"))
            graph.configure()
        frame.pts = 0
        self._graph.vpush(frame)
        return self._graph.vpull()


def _yuv_to_rgb(planes: list[np.ndarray], bits: int, color: Color) -> np.ndarray:
    """Three planes [H, W] -> [H, W, 3] uint16."""
    red_part, blue_part = _LUMA[color.matrix]
    green_part = 1 - red_part - blue_part
    offset, luma_range, chroma_range = _code_range(bits, color.full_range)
    unit = np.float32(65535)
    luma = (planes[0].astype(np.float32) - np.float32(offset)) * (unit / np.float32(luma_range))
    middle = np.float32(1 << (bits - 1))
    blue_difference, red_difference = (
        (plane.astype(np.float32) - middle) * (unit / np.float32(chroma_range)) for plane in planes[1:]
    )
    rgb = np.empty((*luma.shape, 3), np.float32)
    rgb[..., 0] = luma + np.float32(2 * (1 - red_part)) * red_difference
    rgb[..., 2] = luma + np.float32(2 * (1 - blue_part)) * blue_difference
    rgb[..., 1] = luma - np.float32(2 * (1 - blue_part) * blue_part / green_part) * blue_difference
    rgb[..., 1] -= np.float32(2 * (1 - red_part) * red_part / green_part) * red_difference
    np.clip(np.rint(rgb, out=rgb), 0, 65535, out=rgb)
    return rgb.astype(np.uint16)


def _rgb_to_yuv(pixels: np.ndarray, bits: int, color: Color) -> list[np.ndarray]:
    """[H, W, 3 or 4], uint8 or uint16 -> three planes [H, W] of `bits`."""
    red_part, blue_part = _LUMA[color.matrix]
    offset, luma_range, chroma_range = _code_range(bits, color.full_range)
    peak = np.float32(np.iinfo(pixels.dtype).max)
    red, green, blue = (pixels[..., channel].astype(np.float32) / peak for channel in range(3))
    luma = np.float32(red_part) * red + np.float32(1 - red_part - blue_part) * green + np.float32(blue_part) * blue
    middle = np.float32(1 << (bits - 1))
    chroma = [
        (primary - luma) * np.float32(chroma_range / (2 * (1 - part))) + middle
        for primary, part in ((blue, blue_part), (red, red_part))
    ]
    planes = [luma * np.float32(luma_range) + np.float32(offset), *chroma]
    dtype = np.uint8 if bits == 8 else np.uint16
    return [np.clip(np.rint(plane), 0, (1 << bits) - 1).astype(dtype) for plane in planes]


def _code_range(bits: int, full_range: bool) -> tuple[int, int, int]:
    """The code of black, and how many codes luma and chroma span."""
    if full_range:
        return 0, (1 << bits) - 1, (1 << bits) - 1
    scale = 1 << (bits - 8)
    return 16 * scale, 219 * scale, 224 * scale


def _scaled(plane: np.ndarray, bits: int, full_range: bool, deep: bool = False) -> np.ndarray:
    """Codes of `bits` -> uint8 (of 8 bits, unless `deep`) or uint16, black 0 and white the maximum."""
    peak = 65535 if bits > 8 or deep else 255
    return _spread(bits, full_range, peak)[plane & ((1 << bits) - 1)]


@lru_cache(maxsize=32)
def _spread(bits: int, full_range: bool, peak: int) -> np.ndarray:
    black, span, _ = _code_range(bits, full_range)
    values = (np.arange(1 << bits) - black) * (peak / span)
    return np.clip(np.rint(values), 0, peak).astype(np.uint8 if peak == 255 else np.uint16)


def _unscaled(values: np.ndarray, bits: int, full_range: bool) -> np.ndarray:
    """uint8 or uint16 -> codes of `bits`."""
    return _gathered(bits, full_range, int(np.iinfo(values.dtype).max))[values]


@lru_cache(maxsize=32)
def _gathered(bits: int, full_range: bool, peak: int) -> np.ndarray:
    black, span, _ = _code_range(bits, full_range)
    codes = np.rint(np.arange(peak + 1) * (span / peak) + black)
    return codes.astype(np.uint8 if bits == 8 else np.uint16)


def _with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Pixels of 1 to 4 channels as `channels`: gray is repeated, missing alpha is opaque, colors become luma."""
    color, alpha = pixels[..., : 1 if pixels.shape[-1] <= 2 else 3], None
    if channels in (2, 4):
        peak = np.iinfo(pixels.dtype).max
        has_alpha = pixels.shape[-1] in (2, 4)
        alpha = pixels[..., -1:] if has_alpha else np.full_like(pixels[..., :1], peak)
    if channels >= 3 and color.shape[-1] == 1:
        color = np.repeat(color, 3, axis=-1)
    elif channels <= 2 and color.shape[-1] == 3:
        luma = color @ np.array([0.299, 0.587, 0.114])
        color = np.rint(luma).astype(pixels.dtype)[..., np.newaxis]
    return color if alpha is None else np.concatenate([color, alpha], axis=-1)


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """The planes of a planar little-endian frame, [H, W] each and less where subsampled: views of its memory."""
    dtype = np.dtype(np.uint8 if frame.format.components[0].bits <= 8 else "<u2")
    result = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), dtype).reshape(-1, plane.line_size // dtype.itemsize)
        result.append(rows[: plane.height, : plane.width])
    return result


def _frame_of_planes(planes: list[np.ndarray], pixel_format: str) -> av.VideoFrame:
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    for target, plane in zip(_planes(frame), planes, strict=True):
        target[...] = plane
    return frame


def _gray_planes(frame: av.VideoFrame, layout: Layout) -> list[np.ndarray]:
    if not layout.alpha:
        return _planes(frame)
    (plane,) = frame.planes
    dtype = np.dtype(np.uint8 if layout.bits == 8 else "<u2")
    rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : 2 * frame.width]
    return [rows[:, 0::2], rows[:, 1::2]]


def _gray_frame(planes: list[np.ndarray], pixel_format: str) -> av.VideoFrame:
    if len(planes) == 1:
        return _frame_of_planes(planes, pixel_format)
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), planes[0].dtype).reshape(height, -1)
    rows[:, 0 : 2 * width : 2], rows[:, 1 : 2 * width : 2] = planes
    return frame


def _known(tag: int) -> int:
    """A code point, or 0 where it says nothing."""
    return 0 if tag in (UNSPECIFIED, 3) else tag
