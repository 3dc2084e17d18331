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
from importlib.resources import files

import numpy as np
from PIL import Image

from ascendcv.dataloader.footage import Footage
from ascendcv.utils.files import atomic_path
from ascendvsr.restoration.compare import enlarged
from ascendvsr.restoration.quality import LABELS, MEASURES, Quality, as_cut, shown
from ascendvsr.restoration.showing import for_showing

MOST_SHOWN = 8  # frames with pictures in the page

_LARGEST_PNG = 1 << 19  # pixels; larger pictures are JPEG, that the page stays small enough for a browser
_JPEG_QUALITY = 95
_THUMBNAIL = (240, 135)


class Report:
    """Gathers frames while they are restored, in constant memory at any length of the clip.

    Of all frames it keeps the first and up to `MOST_SHOWN` in all at equal distances, and in `quality` the numbers
    of each that has ground truth.
    """

    def __init__(self, footage: Footage | None = None):
        """`footage`: of the source; its aspect and, for HDR, its colors are those in which frames are shown."""
        self._color = footage.color if footage is not None else None
        self._aspect = float(footage.aspect) if footage is not None else 1.0
        self._count = 0
        self._shown: list[dict] = []
        self._distance = 1  # between shown frames
        self.quality = Quality()

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
        scores = None if truth is None else self.quality.add(index, name, before, after, truth)
        self._count += 1
        if index % self._distance == 0:
            images = {"before": enlarged(before, *after.shape[:2]), "after": after}
            if truth is not None:
                images["truth"] = as_cut(truth, before, after, name)
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
            "points": [point.values() for point in self.quality.points],
            "frames_per_point": self.quality.frames_per_point,
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

    def _table(self) -> str:
        """The means over all frames and the lowest value of each measure, as HTML; '' without ground truth."""
        if not self.quality.points:
            return ""
        count = self.quality.count
        before, after = self.quality.means()
        rows = {
            "Input": [shown(measure, value) for measure, value in zip(MEASURES, before, strict=True)],
            "Restored": [shown(measure, value) for measure, value in zip(MEASURES, after, strict=True)],
            "Gain": [
                shown(measure, value, "+") for measure, value in zip(MEASURES, _gain(before, after), strict=True)
            ],
            "Lowest": [self._lowest_cell(measure) for measure in MEASURES],
        }
        head = "".join(f'<th scope="col">{LABELS[measure]}</th>' for measure in MEASURES)
        body = "".join(
            f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'
            for name, cells in rows.items()
        )
        caption = f"Mean of {count} frame{'' if count == 1 else 's'} with ground truth"
        head = f"<thead><tr><td></td>{head}</tr></thead>"
        return f"<table><caption>{caption}</caption>{head}<tbody>{body}</tbody></table>"

    def _lowest_cell(self, measure: str) -> str:
        value, name = self.quality.lowest.get(measure, (math.nan, ""))
        return f"{shown(measure, value)}<small>{_escaped(name)}</small>"


def _gain(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # of two infinite ratios
        return after - before


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
