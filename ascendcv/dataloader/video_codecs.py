"""Which codec a video is written with: what containers and codecs hold, and what is taken where one does not."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import av

from ascendcv.dataloader.footage import Color
from ascendcv.dataloader.video_color import RGB, Layout, format_of, layout_of
from ascendcv.utils.errors import InputError

# Container by ending: what ffmpeg calls it and the codecs to try, the first by default.
CONTAINERS = {
    ".mp4": ("mp4", ("h264", "hevc", "av1", "vp9")),
    ".m4v": ("mp4", ("h264", "hevc")),
    ".mov": ("mov", ("h264", "hevc", "prores")),
    ".mkv": ("matroska", ("h264", "hevc", "vp9", "ffv1", "av1", "prores")),
    ".webm": ("webm", ("vp9", "av1")),
}


@dataclass(frozen=True)
class Codec:
    """An encoder of ffmpeg's and its settings."""

    encoder: str
    rgb_encoder: str | None = None  # another one for RGB
    crf: int | None = None  # the default: hardly to be told from the input
    options: tuple[tuple[str, str], ...] = ()
    even: bool = False  # whether subsampled chroma needs even sizes
    has_preset: bool = False
    smallest: int = 1  # pixels a side
    alpha_containers: tuple[str, ...] = ()  # where decoders find its transparency again


# Frames that an encoder looks ahead stay in memory: of H.264, 20 instead of 40.
CODECS = {
    "h264": Codec(
        "libx264",
        "libx264rgb",
        16,
        (("preset", "medium"), ("rc-lookahead", "20")),
        even=True,
        has_preset=True,
    ),
    "hevc": Codec("libx265", None, 18, (("preset", "medium"),), even=True, has_preset=True),
    "av1": Codec("libsvtav1", None, 20, (("preset", "8"),), even=True, has_preset=True, smallest=64),
    "vp9": Codec(
        "libvpx-vp9",
        None,
        20,
        (("b", "0"), ("row-mt", "1"), ("cpu-used", "4"), ("auto-alt-ref", "0")),
        alpha_containers=("webm", "matroska"),
    ),
    "prores": Codec("prores_ks", None, None, (("vendor", "apl0"),), alpha_containers=("mov", "matroska")),
    "ffv1": Codec("ffv1", None, None, (("level", "3"), ("slicecrc", "1")), alpha_containers=("matroska",)),
}


@dataclass(frozen=True)
class Choice:
    """How a video is encoded."""

    codec: str
    encoder: str
    pixel_format: str
    color: Color
    options: dict[str, str]
    notes: tuple[str, ...] = ()


def choose(
    path: Path,
    wanted: str,
    size: tuple[int, int],
    color: Color,
    *,
    codec: str | None = None,
    crf: int | None = None,
    preset: str | None = None,
    pixel_format: str | None = None,
) -> Choice:
    """The encoder for a file of this ending.

    Args:
        wanted: the pixel format that keeps what the frames are.
        size: height and width.
        color: what the frames are tagged with; the matrix follows the pixel format.
        codec: one of `CODECS`, which may take a larger pixel format; None: the container's first that holds the
            frames.
        pixel_format: what to take instead of `wanted`.
    Raises:
        InputError: a codec that is unknown, or does not fit into the container or the settings; frames that a
            named codec cannot hold, or transparency that no codec of the container can.
    """
    container, codecs = CONTAINERS[path.suffix.lower()]
    if codec is not None and codec not in CODECS:
        raise InputError(f"there is no codec {codec!r}; there are {', '.join(CODECS)}")
    if codec is not None and codec not in codecs:
        raise InputError(f"{path} cannot hold {codec}; {path.suffix} files take {', '.join(codecs)}")
    if pixel_format is not None:
        wanted = _known_format(pixel_format)
    layout, notes = layout_of(wanted), []
    if pixel_format is None and CODECS[codec or codecs[0]].even and _needs_even(layout, size):
        # H.264 and HEVC have half-size chroma for even sizes only.
        layout = replace(layout, chroma="444")
        notes.append(f"{path}: written as {format_of(layout)}, because {size[1]}x{size[0]} is an odd size")
    candidates = (codec,) if codec else codecs
    possible = ((name, _format_in(name, layout, size, container)) for name in candidates)
    fitting = {name: found for name, found in possible if found is not None}
    chosen = next((name for name, found in fitting.items() if layout_of(found) == layout), None)
    larger = fitting.get(codec) if codec and pixel_format is None else None
    if chosen is None and larger and not any(_loss(layout, layout_of(larger))[:_LOSSES]):
        chosen = codec
        notes.append(f"{path}: written as {larger}, which holds all of {wanted}: {codec} has no such format")
    if chosen is None and (codec or pixel_format):
        held = ", ".join(_formats(name)[0] for name in candidates) if not codec else ", ".join(_formats(codec))
        named = codec or f"{path.suffix} files"
        raise InputError(f"{path}: {named} cannot hold {wanted} of {size[1]}x{size[0]} pixels; it holds {held}")
    if chosen is None:
        if not fitting:
            reason = "transparency" if layout.alpha else f"{size[1]}x{size[0]} pixels"
            raise InputError(
                f"{path} cannot hold {reason}; name a folder, for PNG files" + _alpha_hint(layout, path)
            )
        chosen = min(fitting, key=lambda name: _loss(layout, layout_of(fitting[name])))
        notes.append(f"{path}: written as {fitting[chosen]}, because {path.suffix} cannot hold {wanted}")
    elif chosen != codecs[0] and codec is None:
        notes.append(f"{path}: written with {chosen}, because {codecs[0]} cannot hold {wanted}")
    return _choice(chosen, fitting[chosen], color, crf, preset, tuple(notes), path)


def keeping(source_format: str | None, channels: int, bits: int) -> str:
    """The pixel format that keeps frames of a video in `source_format` or, if None, of pictures."""
    if source_format is None:
        family = Layout("yuv", 8 if bits == 8 else 10, channels in (2, 4), "420")
        return format_of(family)
    layout = layout_of(source_format)
    if layout.family == "gray" and channels >= 3:
        layout = replace(layout, family="yuv", chroma="420")
    alpha = channels in (2, 4)
    deep = bits == 16 and layout.bits < 10
    return format_of(replace(layout, alpha=alpha, bits=10 if deep or 8 < layout.bits < 10 else layout.bits))


def _choice(
    name: str,
    pixel_format: str,
    color: Color,
    crf: int | None,
    preset: str | None,
    notes: tuple[str, ...],
    path: Path,
) -> Choice:
    codec, layout = CODECS[name], layout_of(pixel_format)
    options = dict(codec.options)
    if crf is not None:
        if codec.crf is None:
            raise InputError(f"{path}: {name} has no crf")
        if not 0 <= crf <= (51 if name in ("h264", "hevc") else 63):
            raise InputError(
                f"{path}: crf should be 0 (best) to {51 if name in ('h264', 'hevc') else 63}, not {crf}"
            )
    if codec.crf is not None:
        options["crf"] = str(codec.crf if crf is None else crf)
    if preset is not None:
        if not codec.has_preset:
            raise InputError(f"{path}: {name} has no presets")
        options["preset"] = str(preset)
    if name == "prores":
        options["profile"] = "4444" if layout.chroma == "444" else "hq"
    if layout.family == "rgb":
        color = replace(color, matrix=RGB, full_range=True)
    elif color.matrix == RGB:
        color = replace(color, matrix=1, full_range=False)
    options |= _color_options(name, color)
    if (color.mastering_display or color.content_light) and name not in ("h264", "hevc", "av1"):
        notes += (f"{path}: {name} does not tell the mastering display and the light levels",)
    if layout.chroma == "420":
        options["chroma_sample_location"] = "left"
    encoder = codec.rgb_encoder if layout.family == "rgb" and codec.rgb_encoder else codec.encoder
    return Choice(name, encoder, pixel_format, color, options, notes)


def _color_options(name: str, color: Color) -> dict[str, str]:
    """The encoder's own settings: quiet, and with what a display needs to know about high dynamic range."""
    display, light = color.mastering_display, color.content_light
    if name in ("h264", "hevc"):
        settings = ["log-level=none"] if name == "hevc" else []
        if display:
            red_green_blue = [round(value * 50000) for value in display[:6]]
            points = dict(zip("RGB", zip(red_green_blue[0::2], red_green_blue[1::2], strict=True), strict=True))
            text = "".join(f"{letter}({points[letter][0]},{points[letter][1]})" for letter in "GBR")
            white = tuple(round(value * 50000) for value in display[6:8])
            least, most = (round(value * 10000) for value in display[8:])
            key = "mastering-display" if name == "h264" else "master-display"
            settings.append(f"{key}={text}WP({white[0]},{white[1]})L({most},{least})")
        if light:
            settings.append(f"{'cll' if name == 'h264' else 'max-cll'}={light[0]},{light[1]}")
        return {f"x{name[-3:] if name == 'h264' else '265'}-params": ":".join(settings)} if settings else {}
    if name == "av1":
        settings = []
        if display:
            values = [f"{float(value):.5f}" for value in display]
            chromaticities = {"R": values[0:2], "G": values[2:4], "B": values[4:6], "WP": values[6:8]}
            text = "".join(f"{letter}({','.join(chromaticities[letter])})" for letter in ("G", "B", "R", "WP"))
            settings.append(f"mastering-display={text}L({float(display[9]):.4f},{float(display[8]):.4f})")
        if light:
            settings.append(f"content-light={light[0]},{light[1]}")
        return {"svtav1-params": ":".join(settings)} if settings else {}
    return {}


def _format_in(name: str, layout: Layout, size: tuple[int, int], container: str) -> str | None:
    """The encoder's pixel format nearest to a layout, that a picture of this size can have; None: there is none.

    A format without alpha is never nearest to one with.
    """
    codec = CODECS[name]
    if min(size) < codec.smallest:
        return None
    formats = [found for found in _formats(name) if not (codec.even and _needs_even(layout_of(found), size))]
    if layout.alpha:
        holds = container in codec.alpha_containers
        formats = [found for found in formats if holds and layout_of(found).alpha]
    return min(formats, key=lambda found: _loss(layout, layout_of(found)), default=None)


def _needs_even(layout: Layout, size: tuple[int, int]) -> bool:
    return (layout.chroma == "420" and any(side % 2 for side in size)) or (
        layout.chroma == "422" and size[1] % 2 == 1
    )


_LOSSES = 5  # so many values of `_loss` tell of losses


def _loss(wanted: Layout, found: Layout) -> tuple:
    """What is lost, the worst first; what is added for nothing comes last."""
    order = ("410", "411", "420", "440", "422", "444", "")
    resolution = {name: rank for rank, name in enumerate(order)}
    colors_lost = wanted.family != "gray" and found.family == "gray"
    chroma = "444" if wanted.family == "rgb" else wanted.chroma or "420"
    found_chroma = "444" if found.family == "rgb" else found.chroma or chroma
    return (
        wanted.alpha and not found.alpha,
        colors_lost,
        max(wanted.bits - found.bits, 0),
        max(resolution[chroma] - resolution[found_chroma], 0),
        wanted.family != found.family,
        found.bits - wanted.bits,
        resolution[found_chroma] - resolution[chroma],
        found.alpha and not wanted.alpha,
    )


@lru_cache(maxsize=32)
def _formats(name: str) -> tuple[str, ...]:
    """The pixel formats that an encoder takes, by their planar little-endian names where there are some."""
    codec = CODECS[name]
    found = []
    for encoder in filter(None, (codec.encoder, codec.rgb_encoder)):
        for described in av.Codec(encoder, "w").video_formats or ():
            text = described.name
            if text.startswith("yuvj") or text in ("nv12", "nv16", "nv21", "nv20le", "bgr0", "bgra", "yaf16le"):
                continue
            # libvpx takes no alpha but that of 4:2:0, whatever it lists.
            if "f16" in text or "f32" in text or (name == "vp9" and text in ("yuva422p", "yuva444p", "gbrap")):
                continue
            found.append(text)
    if name == "ffv1":
        found += ["bgr0", "bgra"]
    return tuple(found)


def _known_format(name: str) -> str:
    try:
        av.VideoFormat(name)
    except ValueError:
        raise InputError(f"there is no pixel format {name!r} (yuv420p, yuv422p10le, yuv444p, gbrp ...)") from None
    return name


def _alpha_hint(layout: Layout, path: Path) -> str:
    if not layout.alpha:
        return ""
    return f", or a {'.webm' if layout.bits == 8 else '.mov'} file" if path.suffix.lower() != ".mov" else ""
