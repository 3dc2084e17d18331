"""One HTML page on what a restoration did: frames before and after, quality, rates and settings.

The page holds all that it shows and asks for nothing from outside.
"""

import base64
import html
import io
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from PIL import Image

from ascendcv.dataloader.footage import Footage
from ascendcv.dataloader.image import to_rgb
from ascendcv.dataloader.pixels import to_255
from ascendcv.metrics.psnr import psnr
from ascendcv.metrics.ssim import ssim
from ascendcv.utils.color import luma
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path
from ascendvsr.restoration.compare import enlarged, whole_scale
from ascendvsr.restoration.showing import for_showing

MEASURES = ("psnr", "ssim", "psnr_y", "ssim_y")
MOST_SHOWN = 8  # frames with pictures in the page
MOST_POINTS = 2048  # on a curve; of longer clips, neighbors share one

_LARGEST_PNG = 1 << 19  # pixels; larger pictures are JPEG, that the page stays small enough for a browser
_JPEG_QUALITY = 95
_THUMBNAIL = (240, 135)
_SMALLEST_FOR_SSIM = 11
_LABELS = {"psnr": "PSNR, dB", "ssim": "SSIM", "psnr_y": "PSNR Y, dB", "ssim_y": "SSIM Y"}
_DIGITS = {"psnr": 2, "ssim": 4, "psnr_y": 2, "ssim_y": 4}


class Report:
    """Gathers frames while they are restored, in constant memory at any length of the clip.

    Of all frames it keeps the first and up to `MOST_SHOWN` in all at equal distances, and the numbers of each;
    beyond `MOST_POINTS` frames, the means of neighbors.
    """

    def __init__(self, footage: Footage | None = None):
        """`footage`: of the source; its aspect and, for HDR, its colors are those in which frames are shown."""
        self._color = footage.color if footage is not None else None
        self._aspect = float(footage.aspect) if footage is not None else 1.0
        self._count = 0
        self._shown: list[dict] = []
        self._distance = 1  # between shown frames
        self._points: list[_Point] = []
        self._frames_per_point = 1
        self._lowest: dict[str, tuple[float, str]] = {}

    def add(self, name: str, before: np.ndarray, after: np.ndarray, truth: np.ndarray | None = None) -> None:
        """Takes the next frame of the clip.

        Args:
            before: [H, W, C], uint8 or uint16, C 1 to 4; what has been enlarged already is taken as it is.
            after: the restored frame [H', W', C].
            truth: the ground truth [H', W', C''], of 8 or 16 bits. With it, both are measured. Where the network
                cut the frame, so is the ground truth.
        Raises:
            InputError: a ground truth of another size.
        """
        index, name = self._count, _printable(name)
        if truth is not None:
            truth = _as_cut(truth, before, after, name)
        self._count += 1
        shown = index % self._distance == 0
        if not shown and truth is None:
            return
        before = enlarged(before, *after.shape[:2])
        scores = None if truth is None else {"before": _scores(before, truth), "after": _scores(after, truth)}
        if scores is not None:
            self._measured(index, name, scores)
        if shown:
            images = {"before": before, "after": after} | ({} if truth is None else {"truth": truth})
            self._show(index, name, images, scores)

    def write(self, path: str | os.PathLike, facts: Mapping[str, object]) -> None:
        """Writes the page; it appears complete or not at all.

        Args:
            facts: what the page says beside the frames (network, weights, input, rates, ...), in this order. Keys
                are shown as they are; values may have several lines; those that are empty are left out.
        """
        title = _printable(os.path.splitext(os.path.basename(os.fspath(path)))[0])
        data = {
            "aspect": self._aspect,
            "count": self._count,
            "frames": self._shown,
            "points": [point.values() for point in self._points],
            "frames_per_point": self._frames_per_point,
        }
        facts = {key: value for key, value in facts.items() if value not in (None, "")}
        fields = {
            "title": _escaped(title),
            "summary": f"{self._count} frame{'' if self._count == 1 else 's'}",
            "quality": self._table(),
            "facts": "".join(
                f"<div><dt>{_escaped(key)}</dt><dd>{_escaped(value)}</dd></div>\n" for key, value in facts.items()
            ),
            "facts_hidden": "" if facts else " hidden",
            "data": _json(data),
        }
        template = files("ascendvsr.restoration").joinpath("report.html").read_text(encoding="utf-8")
        # In one pass: what is filled in is not searched for fields again.
        page = re.sub(r"\{\{(\w+)\}\}", lambda match: fields[match[1]], template)
        with atomic_path(path) as temporary:
            temporary.write_text(page, encoding="utf-8")

    def _show(self, index: int, name: str, images: dict[str, np.ndarray], scores: dict | None) -> None:
        pictures = {key: Image.fromarray(for_showing(image, self._color)) for key, image in images.items()}
        thumbnail = pictures["after"].copy()
        thumbnail.thumbnail(_THUMBNAIL)
        self._shown.append(
            {
                "index": index,
                "name": name,
                "height": images["after"].shape[0],
                "width": images["after"].shape[1],
                "images": {key: _data_address(picture) for key, picture in pictures.items()},
                "thumbnail": _data_address(thumbnail),
                "scores": scores,
            }
        )
        if len(self._shown) > MOST_SHOWN:
            self._distance *= 2
            self._shown = [frame for frame in self._shown if frame["index"] % self._distance == 0]

    def _measured(self, index: int, name: str, scores: dict[str, dict[str, float]]) -> None:
        for measure, value in scores["after"].items():
            if not math.isnan(value) and (measure not in self._lowest or value < self._lowest[measure][0]):
                self._lowest[measure] = value, name
        values = np.array([[scores[image][measure] for measure in MEASURES] for image in ("before", "after")])
        self._add_point(_Point(index, name, 1, values))
        if len(self._points) > MOST_POINTS:
            self._frames_per_point *= 2
            finer, self._points = self._points, []
            for point in finer:
                self._add_point(point)

    def _add_point(self, point: "_Point") -> None:
        last = self._points[-1] if self._points else None
        if last is not None and last.index // self._frames_per_point == point.index // self._frames_per_point:
            last.count += point.count
            last.sums = last.sums + point.sums
        else:
            self._points.append(point)

    def _table(self) -> str:
        """The means over all frames and the lowest value of each measure, as HTML; '' without ground truth."""
        if not self._points:
            return ""
        count = sum(point.count for point in self._points)
        nothing = np.zeros_like(self._points[0].sums)
        before, after = sum((point.sums for point in self._points), nothing) / count
        rows = {
            "Input": [_number(measure, value) for measure, value in zip(MEASURES, before, strict=True)],
            "Restored": [_number(measure, value) for measure, value in zip(MEASURES, after, strict=True)],
            "Gain": [
                _number(measure, value, "+") for measure, value in zip(MEASURES, _gain(before, after), strict=True)
            ],
            "Lowest": [self._lowest_cell(measure) for measure in MEASURES],
        }
        head = "".join(f'<th scope="col">{_LABELS[measure]}</th>' for measure in MEASURES)
        body = "".join(
            f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'
            for name, cells in rows.items()
        )
        caption = f"Mean of {count} frame{'' if count == 1 else 's'} with ground truth"
        head = f"<thead><tr><td></td>{head}</tr></thead>"
        return f"<table><caption>{caption}</caption>{head}<tbody>{body}</tbody></table>"

    def _lowest_cell(self, measure: str) -> str:
        value, name = self._lowest.get(measure, (math.nan, ""))
        return f"{_number(measure, value)}<small>{_escaped(name)}</small>"


@dataclass
class _Point:
    """The numbers of frames that stand next to each other."""

    index: int
    name: str  # of the first
    count: int
    sums: np.ndarray  # [before or after, measure]

    def values(self) -> list:
        before, after = (self.sums / self.count).tolist()
        return [self.index, self.name, self.count, before, after]


def _as_cut(truth: np.ndarray, before: np.ndarray, after: np.ndarray, name: str) -> np.ndarray:
    """The part of the ground truth that a restored frame shows. Raises `InputError` for a wrong size."""
    height, width = after.shape[:2]
    scale = whole_scale(before.shape, after.shape)
    whole = scale * before.shape[0], scale * before.shape[1]
    if truth.shape[:2] not in ((height, width), whole):
        raise InputError(
            f"the ground truth of frame {name} has {truth.shape[1]}x{truth.shape[0]} pixels, but the restored "
            f"frame has {width}x{height}; take the ground truth of this clip, at the network's scale {scale}"
        )
    return truth[:height, :width]


def _scores(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """`MEASURES` on 0..255 without rounding; nan for what frames are too small for."""
    image, truth = (to_255(to_rgb(pixels)) for pixels in (image, truth))
    pairs = {"": (image, truth), "_y": (luma(image), luma(truth))}
    large = min(truth.shape[:2]) >= _SMALLEST_FOR_SSIM
    return {
        f"{name}{suffix}": function(*pair) if name == "psnr" or large else math.nan
        for suffix, pair in pairs.items()
        for name, function in (("psnr", psnr), ("ssim", ssim))
    }


def _gain(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # of two infinite ratios
        return after - before


def _number(measure: str, value: float, sign: str = "") -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:{sign}.{_DIGITS[measure]}f}"


def _data_address(picture: Image.Image) -> str:
    """The picture as a `data:` address: PNG up to `_LARGEST_PNG` pixels, JPEG with full chroma beyond."""
    target = io.BytesIO()
    if picture.width * picture.height <= _LARGEST_PNG:
        kind = "png"
        picture.save(target, "PNG")
    else:
        kind = "jpeg"
        picture.save(target, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return f"data:image/{kind};base64,{base64.b64encode(target.getvalue()).decode()}"


def _printable(text: object) -> str:
    """Text that UTF-8 can hold: bytes of a file name that are none are written as \\udcNN."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def _escaped(text: object) -> str:
    """For HTML, between tags."""
    return html.escape(_printable(text))


def _json(data: object) -> str:
    """For a script element, which ends at the first '</script' whatever it stands in; nan is null."""
    text = json.dumps(_finite(data), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _finite(data: object) -> object:
    """Numbers as JSON has them: nan is null, infinity the string that JavaScript's Number() takes."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None if math.isnan(data) else "Infinity"
    return round(data, 6) if isinstance(data, float) else data
