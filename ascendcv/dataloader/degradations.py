"""Chains of degradations, by which inputs are made of clean clips: for `ascendvsr degrade` and while training.

A step is written as its name and parameters, `gaussian sigma=5..25`. A range `low..high` is drawn evenly, once per
clip. Frames [H, W, 3] of 8 or 16 bits go in and come out; after each step they are rounded and clipped, as if they
had been written to files in between. Levels (sigma) are those of 8 bits whatever the depth.

    bicubic      MATLAB's imresize: scale, rounding (each: after each of its two passes, as in REDS and Vid4; end:
                 once, as KAIR and BasicSR do)
    bd           KAIR's Gaussian blur and decimation: scale
    duf          DUF's: scale
    gaussian     noise of standard deviation sigma; or map, a gray picture whose levels are each pixel's deviation
    poisson      shot noise of peak photons at white
    salt-pepper  amount: the part of all values that is replaced; salt: the part of those that becomes white
    speckle      multiplicative Gaussian noise of deviation sigma, of 1
    jpeg         quality
    video        codec (h264, hevc), crf
    average      the mean of frames neighbors: frames, step (from one mean to the next), gamma (1: of the stored
                 values; 2.2: of light). Comes first
"""

import functools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np

from ascendcv.dataloader.degrade import blur_downsample, duf_downsample, imresize
from ascendcv.dataloader.image import read_image
from ascendcv.utils.errors import InputError

Frames = Iterator[np.ndarray]
_MARGIN = 4  # pixels of the result whose values what is outside of a crop changes: a kernel's reach, rounded up


@dataclass(frozen=True)
class Parameter:
    """What a parameter may be: one of `choices`, a path, or a number within [low, high], whole or not."""

    default: Any
    low: float = 0.0
    high: float = math.inf
    whole: bool = False
    choices: tuple[str, ...] = ()
    is_path: bool = False


_SCALE = Parameter(4, 1, 16, whole=True)
_PARAMETERS: dict[str, dict[str, Parameter]] = {
    "bicubic": {"scale": _SCALE, "rounding": Parameter("each", choices=("each", "end"))},
    "bd": {"scale": Parameter(4, 4, 4, whole=True)},
    "duf": {"scale": Parameter(4, 2, 4, whole=True)},
    "gaussian": {"sigma": Parameter(None, 0, 255), "map": Parameter(None, is_path=True)},
    "poisson": {"peak": Parameter(255.0, 1e-3, 1e6)},
    "salt-pepper": {"amount": Parameter(0.005, 0, 1), "salt": Parameter(0.5, 0, 1)},
    "speckle": {"sigma": Parameter(0.1, 0, 10)},
    "jpeg": {"quality": Parameter(None, 1, 100, whole=True)},
    "video": {
        "codec": Parameter("h264", choices=("h264", "hevc")),
        "crf": Parameter(None, 0, 51, whole=True),
    },
    "average": {
        "frames": Parameter(None, 1, 1001, whole=True),
        "step": Parameter(1, 1, 1001, whole=True),
        "gamma": Parameter(1.0, 0.1, 10),
    },
}
_FIXED = ("scale", "rounding", "codec", "map", "frames", "step")  # parameters that cannot be ranges


@dataclass(frozen=True)
class Step:
    """A degradation: its name, and its parameters, numbers or ranges (low, high)."""

    name: str
    settings: dict[str, Any]

    def drawn(self, rng: np.random.Generator) -> dict[str, Any]:
        """The parameters with every range drawn."""
        return {key: self._draw(key, value, rng) for key, value in self.settings.items()}

    def _draw(self, key: str, value: Any, rng: np.random.Generator) -> Any:
        if not isinstance(value, tuple):
            return value
        low, high = value
        whole = _PARAMETERS[self.name][key].whole
        return int(rng.integers(low, high + 1)) if whole else float(rng.uniform(low, high))


@dataclass(frozen=True)
class Chain:
    """Steps, one after the other."""

    steps: tuple[Step, ...]

    @property
    def scale(self) -> int:
        """The size of a frame over that of what becomes of it."""
        return math.prod(step.settings.get("scale", 1) for step in self.steps)

    @property
    def reach(self) -> int:
        """How many frames on each side of a frame go into its mean, where frames are averaged."""
        return self.steps[0].settings["frames"] // 2 if self.steps[0].name == "average" else 0

    @property
    def margin(self) -> int:
        """Pixels of the result around a crop that have to be made too, so that it is as one of the whole frame."""
        return _MARGIN if self.scale > 1 else 0

    def apply(self, frames: Iterable[np.ndarray], rng: np.random.Generator) -> tuple[Frames, list[dict[str, Any]]]:
        """The degraded frames, made as they are taken, and what was drawn for each step."""
        drawn, noise = [], rng.spawn(len(self.steps))
        given = iter(frames)
        for step, own in zip(self.steps, noise, strict=True):
            settings = step.drawn(own)
            said = {key: value for key, value in settings.items() if value is not None}
            drawn.append({"degradation": step.name} | said)
            given = _STEPS[step.name](given, own, **settings)
        return given, drawn

    def degrade_window(self, windows: Sequence[Sequence[np.ndarray]], rng: np.random.Generator) -> list[np.ndarray]:
        """The degraded frames of a training sample, each given with the `reach` frames before and after it."""
        rest, frames = self, [window[self.reach] for window in windows]
        if self.reach:
            gamma = self.steps[0].drawn(rng)["gamma"]
            frames, rest = [_mean(window, gamma) for window in windows], Chain(self.steps[1:])
        return list(rest.apply(frames, rng)[0]) if rest.steps else frames


def read_chain(texts: Sequence[str]) -> Chain:
    """A chain of what is written as in the text above. Raises `InputError` naming the step and what it may be."""
    steps = tuple(_read_step(text) for text in texts)
    if not steps:
        raise InputError(f"no degradation is named: say one or more of {', '.join(_PARAMETERS)}")
    for step in steps[1:]:
        if step.name == "average":
            raise InputError("average should be the first step: frames move from clean frame to clean frame")
    return Chain(steps)


def check_for_training(chain: Chain, scale: int) -> None:
    """Raises `InputError` for a chain that cannot degrade crops of `scale` times the input's size."""
    if chain.scale != scale:
        raise InputError(f"`degrade` makes frames {chain.scale} times smaller, and `scale` is {scale}")
    for step in chain.steps:
        if step.settings.get("map"):
            raise InputError("`degrade`: a map of deviations is of whole frames, and training has crops of them")
        if step.name == "average" and (step.settings["frames"] % 2 == 0 or step.settings["step"] != 1):
            raise InputError(
                "`degrade`: in training an odd number of frames is averaged around each one of the window; how far "
                "these are apart `interval` says: leave step out"
            )


def _read_step(text: str) -> Step:
    name, *words = text.split() or [""]
    if name not in _PARAMETERS:
        raise InputError(f"no degradation is called {name!r}; there are {', '.join(_PARAMETERS)}")
    known = _PARAMETERS[name]
    settings = {key: parameter.default for key, parameter in known.items()}
    for word in words:
        key, equals, value = word.partition("=")
        if key not in known or not equals:
            raise InputError(f"{text!r}: {name} takes {', '.join(f'{other}=...' for other in known)}, not {word!r}")
        settings[key] = _value(text, key, value, known[key])
    if name == "gaussian" and (settings["sigma"] is None) == (settings["map"] is None):
        raise InputError(f"{text!r}: gaussian takes sigma=LEVEL, sigma=LOW..HIGH or map=PICTURE")
    for key, value in settings.items():
        if value is None and not known[key].is_path and name != "gaussian":
            raise InputError(f"{text!r}: {name} needs {key}=...")
    return Step(name, settings)


def _value(text: str, key: str, value: str, parameter: Parameter) -> Any:
    if parameter.choices:
        if value not in parameter.choices:
            raise InputError(f"{text!r}: {key} should be {' or '.join(parameter.choices)}, not {value!r}")
        return value
    if parameter.is_path:
        return value
    parts = value.split("..")
    try:
        numbers = [int(part) if parameter.whole else float(part) for part in parts]
    except ValueError:
        numbers = []
    within = all(parameter.low <= number <= parameter.high for number in numbers)
    if (
        len(numbers) not in (1, 2)
        or not within
        or numbers != sorted(numbers)
        or (len(numbers) == 2 and key in _FIXED)
    ):
        kind = "a whole number" if parameter.whole else "a number"
        limits = f" from {parameter.low:g}" + (f" to {parameter.high:g}" if parameter.high < math.inf else " on")
        ranged = "" if key in _FIXED else ", or a range of such, LOW..HIGH"
        raise InputError(f"{text!r}: {key} should be {kind}{limits}{ranged}, not {value!r}")
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _frame_by_frame(degrade: Callable[..., np.ndarray]) -> Callable[..., Frames]:
    @functools.wraps(degrade)
    def step(frames: Frames, rng: np.random.Generator, **settings: Any) -> Frames:
        return (degrade(frame, rng, **settings) for frame in frames)

    return step


@_frame_by_frame
def _bicubic(frame: np.ndarray, rng: np.random.Generator, scale: int, rounding: str) -> np.ndarray:
    if rounding == "each":
        return imresize(frame, 1 / scale)
    return _rounded(imresize(frame.astype(np.float64), 1 / scale), frame.dtype)


@_frame_by_frame
def _bd(frame: np.ndarray, rng: np.random.Generator, scale: int) -> np.ndarray:
    return blur_downsample(frame, scale)


@_frame_by_frame
def _duf(frame: np.ndarray, rng: np.random.Generator, scale: int) -> np.ndarray:
    return duf_downsample(frame, scale)


def _gaussian(frames: Frames, rng: np.random.Generator, sigma: float | None, map: str | None) -> Frames:
    deviation: Any = sigma  # one number, or one per pixel
    if map is not None:
        pixels = read_image(Path(map))
        deviation = pixels[..., :1].astype(np.float64) * 255 / np.iinfo(pixels.dtype).max
    for frame in frames:
        if map is not None and deviation.shape[:2] != frame.shape[:2]:
            raise InputError(
                f"{map} has {deviation.shape[1]}x{deviation.shape[0]} pixels; the frames have "
                f"{frame.shape[1]}x{frame.shape[0]}"
            )
        levels = deviation * _level(frame)
        yield _rounded(frame + levels * rng.standard_normal(frame.shape, np.float32), frame.dtype)


@_frame_by_frame
def _poisson(frame: np.ndarray, rng: np.random.Generator, peak: float) -> np.ndarray:
    photons = peak / np.iinfo(frame.dtype).max
    return _rounded(rng.poisson(frame * photons) / photons, frame.dtype)


@_frame_by_frame
def _salt_pepper(frame: np.ndarray, rng: np.random.Generator, amount: float, salt: float) -> np.ndarray:
    draw = rng.random(frame.shape)
    noisy = np.where(draw < amount, 0, frame)
    return np.where(draw < amount * salt, np.iinfo(frame.dtype).max, noisy).astype(frame.dtype)


@_frame_by_frame
def _speckle(frame: np.ndarray, rng: np.random.Generator, sigma: float) -> np.ndarray:
    return _rounded(frame * (1 + sigma * rng.standard_normal(frame.shape, np.float32)), frame.dtype)


@_frame_by_frame
def _jpeg(frame: np.ndarray, rng: np.random.Generator, quality: int) -> np.ndarray:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(_to_8_bits(frame)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as picture:
        return _from_8_bits(np.asarray(picture), frame.dtype)


def _video(frames: Frames, rng: np.random.Generator, codec: str, crf: int) -> Frames:
    """Encoded and decoded, as many frames as there were; sides are made even by repeating the edge."""
    import av

    library = {"h264": "libx264", "hevc": "libx265"}[codec]
    first = next(frames, None)
    if first is None:
        return
    height, width = first.shape[:2]
    encoder = cast(av.VideoCodecContext, av.CodecContext.create(library, "w"))
    decoder = cast(av.VideoCodecContext, av.CodecContext.create(codec, "r"))
    encoder.width, encoder.height = width + width % 2, height + height % 2
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    # With threads, equal frames do not always give equal bits. Nor do they with x264's macroblock trees: their
    # vector code reads memory that nothing has written where the blocks of a row are no multiple of 16.
    encoder.thread_count = decoder.thread_count = 1
    repeatable = {"h264": {"mbtree": "0"}, "hevc": {"x265-params": "log-level=none:pools=none:frame-threads=1"}}
    encoder.options = {"crf": str(crf)} | repeatable[codec]

    def pictures(packets: Iterable) -> Frames:
        for packet in packets:
            for picture in decoder.decode(packet):
                yield _from_8_bits(picture.to_ndarray(format="rgb24")[:height, :width], first.dtype)

    for number, frame in enumerate(_with_first(first, frames)):
        even = np.pad(_to_8_bits(frame), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(even, "rgb24").reformat(format="yuv420p")
        picture.pts, picture.time_base = number, encoder.time_base
        yield from pictures(encoder.encode(picture))
    yield from pictures([*encoder.encode(None), None])


def _average(given: Frames, rng: np.random.Generator, frames: int, step: int, gamma: float) -> Frames:
    return (_mean(window, gamma) for window in _windows(given, frames, step))


def centers(frames: Iterable[Any], chain: Chain) -> Iterator[Any]:
    """The frame in the middle of each of the means that `chain` begins with; all, where it does not average."""
    if chain.steps[0].name != "average":
        yield from frames
        return
    count = chain.steps[0].settings["frames"]
    for window in _windows(frames, count, chain.steps[0].settings["step"]):
        yield window[count // 2]


def _windows(frames: Iterable[Any], count: int, step: int) -> Iterator[Sequence[Any]]:
    """`count` frames that follow each other, from every `step`-th on, as long as there are as many."""
    window: deque[Any] = deque(maxlen=count)
    for number, frame in enumerate(frames):
        window.append(frame)
        begin = number - count + 1
        if begin >= 0 and begin % step == 0:
            yield window


_STEPS: dict[str, Callable[..., Frames]] = {
    "bicubic": _bicubic,
    "bd": _bd,
    "duf": _duf,
    "gaussian": _gaussian,
    "poisson": _poisson,
    "salt-pepper": _salt_pepper,
    "speckle": _speckle,
    "jpeg": _jpeg,
    "video": _video,
    "average": _average,
}


def _mean(window: Iterable[np.ndarray], gamma: float) -> np.ndarray:
    frames = list(window)
    high = np.iinfo(frames[0].dtype).max
    total = np.zeros(frames[0].shape)
    for frame in frames:
        total += frame if gamma == 1 else (frame / high) ** gamma
    mean = total / len(frames)
    return _rounded(mean if gamma == 1 else high * mean ** (1 / gamma), frames[0].dtype)


def _with_first(first: np.ndarray, frames: Frames) -> Frames:
    yield first
    yield from frames


def _level(frame: np.ndarray) -> float:
    """One level of 8 bits, in the frame's own."""
    return np.iinfo(frame.dtype).max / 255


def _rounded(frame: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.rint(np.clip(frame, 0, np.iinfo(dtype).max)).astype(dtype)


def _to_8_bits(frame: np.ndarray) -> np.ndarray:
    return frame if frame.dtype == np.uint8 else _rounded(frame / 257, np.dtype(np.uint8))


def _from_8_bits(frame: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return frame if dtype == np.uint8 else frame.astype(np.uint16) * 257
