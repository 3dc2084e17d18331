"""How near a restored clip is to its ground truth, gathered frame by frame."""

import math
from dataclasses import dataclass

import numpy as np

from ascendcv.dataloader.image import to_rgb
from ascendcv.dataloader.pixels import to_255
from ascendcv.metrics.psnr import psnr
from ascendcv.metrics.ssim import ssim
from ascendcv.utils.color import luma
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.compare import enlarged, whole_scale

MEASURES = ("psnr", "ssim", "psnr_y", "ssim_y")
LABELS = {"psnr": "PSNR, dB", "ssim": "SSIM", "psnr_y": "PSNR Y, dB", "ssim_y": "SSIM Y"}
MOST_POINTS = 2048  # on a curve; of longer clips, neighbors share one

_SMALLEST_FOR_SSIM = 11
_DIGITS = {"psnr": 2, "ssim": 4, "psnr_y": 2, "ssim_y": 4}

Scores = dict[str, dict[str, float]]


class Quality:
    """PSNR and SSIM of a clip before and after, in constant memory at any length of it.

    Attributes:
        points: the numbers of each frame; beyond `MOST_POINTS` frames, the sums of neighbors.
        frames_per_point: how many share a point.
        lowest: the lowest value of each measure after restoration, and the frame that has it.
    """

    def __init__(self):
        self.points: list[Point] = []
        self.frames_per_point = 1
        self.lowest: dict[str, tuple[float, str]] = {}

    def add(self, index: int, name: str, before: np.ndarray, after: np.ndarray, truth: np.ndarray) -> Scores:
        """Measures a frame; gives what it has 'before' and 'after'.

        Args:
            before: [H, W, C], uint8 or uint16, C 1 to 4; it is enlarged where the network enlarges.
            after: the restored frame [H', W', C].
            truth: the ground truth [H', W', C'']. Where the network cut the frame, so is the ground truth.
        Raises:
            InputError: a ground truth of another size.
        """
        truth = as_cut(truth, before, after, name)
        before = enlarged(before, *after.shape[:2])
        scores = {"before": _scores(before, truth), "after": _scores(after, truth)}
        for measure, value in scores["after"].items():
            if not math.isnan(value) and (measure not in self.lowest or value < self.lowest[measure][0]):
                self.lowest[measure] = value, name
        values = np.array([[scores[image][measure] for measure in MEASURES] for image in ("before", "after")])
        self._add_point(Point(index, name, 1, values))
        if len(self.points) > MOST_POINTS:
            self.frames_per_point *= 2
            finer, self.points = self.points, []
            for point in finer:
                self._add_point(point)
        return scores

    @property
    def count(self) -> int:
        """How many frames were measured."""
        return sum(point.count for point in self.points)

    def means(self) -> np.ndarray:
        """[before or after, measure], over all frames. At least one must have been added."""
        nothing = np.zeros_like(self.points[0].sums)
        return sum((point.sums for point in self.points), nothing) / self.count

    def __str__(self) -> str:
        """One line: PSNR and SSIM of the result, and of the input; '' where nothing was measured."""
        if not self.points:
            return ""
        before, after = self.means()
        told = []
        for measure, first, value in zip(MEASURES, before, after, strict=True):
            name, _, unit = LABELS[measure].partition(", ")
            told.append(f"{name} {shown(measure, value)}{unit and ' ' + unit} (input {shown(measure, first)})")
        return f"{', '.join(told)}, mean of {self.count} frame{'' if self.count == 1 else 's'}"

    def _add_point(self, point: "Point") -> None:
        last = self.points[-1] if self.points else None
        if last is not None and last.index // self.frames_per_point == point.index // self.frames_per_point:
            last.count += point.count
            last.sums = last.sums + point.sums
        else:
            self.points.append(point)


@dataclass
class Point:
    """The numbers of frames that stand next to each other."""

    index: int
    name: str  # of the first
    count: int
    sums: np.ndarray  # [before or after, measure]

    def values(self) -> list:
        before, after = (self.sums / self.count).tolist()
        return [self.index, self.name, self.count, before, after]


def as_cut(truth: np.ndarray, before: np.ndarray, after: np.ndarray, name: str) -> np.ndarray:
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


def shown(measure: str, value: float, sign: str = "") -> str:
    """A value as people read it, with a plus where `sign` is '+'."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:{sign}.{_DIGITS[measure]}f}"
