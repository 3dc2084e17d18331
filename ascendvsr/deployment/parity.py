"""The proof that an exported file equals the Keras model: both compute the same frames, at several sizes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.image import read_image
from ascendcv.dataloader.pixels import quantize, to_unit_rgb
from ascendcv.utils.errors import InputError
from ascendvsr.datasets import evaluation_clips
from ascendvsr.deployment.serving import FIRST, FRAMES, RESTORED, STEP, Served, computations, state_for

Arrays = Mapping[str, np.ndarray]
Function = Callable[[Arrays], Arrays]

# What free sizes are tried with: odd and even, wide and high, multiples of nothing that networks divide by.
_TRIAL_SIZES = ((45, 62), (33, 50), (70, 37))

_NOISE = 30 / 255  # standard deviation that a denoising network is told


@dataclass(frozen=True)
class Tolerance:
    """The largest difference that is accepted.

    Attributes:
        floats: in float outputs, relative to the largest value (at least 1); None: any.
        levels: in uint8 outputs; None: any.
        psnr: the least of restored frames against those of the Keras model, in dB; 0: any.
    """

    floats: float | None = 1e-4
    levels: int | None = 1
    psnr: float = 0.0


# By precision: how much may be lost.
TOLERANCES = {
    "float32": Tolerance(),
    "float16": Tolerance(floats=1e-2, levels=3, psnr=50.0),
    "int8": Tolerance(floats=None, levels=None, psnr=30.0),
}


@dataclass(frozen=True)
class Candidate:
    """An exported form: what it is called, what computes it by signature, and how much it may differ."""

    name: str
    functions: Mapping[str, Function]
    tolerance: Tolerance = Tolerance()


def prove(served: Served, candidates: Sequence[Candidate], frames: Sequence[np.ndarray]) -> list[dict]:
    """Compares each candidate with the Keras model over all trial shapes.

    `frames` are pictures to compute, as `pictures` gives them. Returns a case for each shape, signature and output:
    shape, signature, output, unsaturated (the share of values between 0 and 1, of restored frames), differences
    and accepted (by the candidates' names, in [0, 1], pixels or levels), and psnr (of restored frames, in dB; None:
    no difference).
    Raises `RuntimeError` where one differs by more than accepted, or is not a number.
    """
    cases = []
    for trial in trial_shapes(served.shape):
        for signature, inputs, expected in _computed(served, moving_clips(frames, trial)):
            found = {each.name: each.functions[signature](inputs) for each in candidates}
            for output, array in expected.items():
                case: dict[str, Any] = {"shape": list(trial), "signature": signature, "output": output}
                restored = output == RESTORED
                if restored:
                    case["unsaturated"] = float(np.mean((array > 0) & (array < 1)))
                case |= {"differences": {}, "accepted": {}, "psnr": {}}
                for candidate in candidates:
                    _judge(case, candidate, array, found[candidate.name][output], restored)
                cases.append(case)
    return cases


def _judge(case: dict, candidate: Candidate, expected: np.ndarray, found: np.ndarray, restored: bool) -> None:
    """Enters a candidate's difference in `case`. Raises `RuntimeError` where it is too large."""
    name, tolerance = candidate.name, candidate.tolerance
    largest, unit = 1.0, 1.0
    accepted: float | None
    if found.dtype == np.uint8:
        expected, accepted, unit = quantize(expected, np.uint8), tolerance.levels, 255.0
    else:
        largest = max(1.0, float(np.abs(expected).max(initial=0)))
        rounding = float(np.finfo(found.dtype).eps) if found.dtype == np.float16 else 0.0
        accepted = tolerance.floats and (tolerance.floats + rounding) * largest
    if found.shape != expected.shape:
        raise RuntimeError(
            f"the {name} gives {case['output']} of {list(found.shape)} instead of {list(expected.shape)} for an "
            f"input of {case['shape']}; nothing was written"
        )
    error = found.astype(np.float64) - expected
    difference = float(np.abs(error).max(initial=0))
    case["differences"][name], case["accepted"][name] = difference, accepted
    told = f"{difference:.2e}, more than {accepted:.2e}," if accepted is not None else f"{difference:.2e}"
    wrong = accepted is not None and not difference <= accepted
    if restored:
        mean = float(np.mean(np.square(error / unit)))
        case["psnr"][name] = psnr = None if mean == 0 else float(-10 * np.log10(mean))
        if psnr is not None and not psnr >= tolerance.psnr:
            wrong, told = True, f"{psnr:.1f} dB, less than {tolerance.psnr:.1f} dB,"
    if wrong or not np.isfinite(difference):
        raise RuntimeError(
            f"the {name} differs from the Keras model by {told} in {case['output']} for an input of "
            f"{case['shape']}; nothing was written"
        )


def _computed(served: Served, clips: np.ndarray) -> Iterator[tuple[str, Arrays, Arrays]]:
    """(signature, what the exported form is given, what the Keras model gives for it) of each signature."""
    work, state = computations(served.card, served.model), {}
    given = _as_given(served, clips)
    clips = given.reshape(clips.shape).astype(np.float32)
    clips = clips / np.float32(255) if served.input_dtype == "uint8" else clips
    if FIRST in work:
        outputs = _arrays(work[FIRST](clips))
        yield FIRST, {FRAMES: given}, outputs
        state = state_for(outputs)
    yield STEP, {FRAMES: given} | state, _arrays(work[STEP](clips, **state))


def _as_given(served: Served, clips: np.ndarray) -> np.ndarray:
    """Clips in [0, 1] as the exported form takes them."""
    given = quantize(clips, np.uint8) if served.input_dtype == "uint8" else clips.astype(served.input_dtype)
    return given.reshape(-1, *given.shape[2:]) if served.folded else given


def _arrays(tensors: Mapping[str, object]) -> Arrays:
    return {name: np.asarray(tensor) for name, tensor in tensors.items()}


def trial_shapes(shape: Sequence[int | None]) -> list[tuple[Any, ...]]:
    """Shapes [N, T, H, W, C] to compare with: three where height and width are free."""
    batch, num_frames, height, width, channels = shape
    trials = [
        (batch or number, num_frames, height or rows, width or columns, channels)
        for number, (rows, columns) in zip((1, 2, 1), _TRIAL_SIZES, strict=True)
    ]
    return list(dict.fromkeys(trials))


def pictures(cfg: CfgNode) -> tuple[list[np.ndarray], str]:
    """Frames [H, W, 3] float32 in [0, 1] to compare with, and where they are from.

    The first clip of the evaluation set; without one, noise with the spectrum of photographs.
    """
    try:
        clip = evaluation_clips(cfg)[0]
        frames = [to_unit_rgb(read_image(path)) for path in clip.lq[: cfg.model.num_frames]]
        return frames, f"clip {clip.name} of {cfg.data.data_dir}"
    except InputError:
        return [noise()], "1/f noise"


def noise(side: int = 256) -> np.ndarray:
    """[side, side, 3] float32 in [0, 1]: noise with the spectrum of photographs, 1/f."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, np.newaxis], np.fft.fftfreq(side))
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(np.random.default_rng(0).standard_normal((side, side, 3)), axes=(0, 1))
    picture = np.fft.ifft2(spectrum / frequency[..., np.newaxis], axes=(0, 1)).real
    return ((picture - picture.min()) / np.ptp(picture)).astype(np.float32)


def samples(served: Served, frames: Sequence[np.ndarray], count: int = 24) -> Iterator[Arrays]:
    """`count` inputs of a network of fixed sizes: consecutive frames, each time from further on, cut elsewhere."""
    shape: Any = served.shape
    _, length, height, width, _ = shape
    random = np.random.default_rng(0)
    for number in range(count):
        start = number * max(1, (len(frames) - length) // count)
        y, x = (
            random.integers(0, max(1, side - wanted + 1))
            for side, wanted in zip(frames[0].shape, (height, width), strict=False)
        )
        part = [frames[(start + time) % len(frames)][y : y + height, x : x + width] for time in range(length)]
        clips = moving_clips(part, shape, step=0)
        yield {FRAMES: _as_given(served, clips)}


def moving_clips(frames: Sequence[np.ndarray], shape: Sequence[int], step: int = 1) -> np.ndarray:
    """Clips of `shape` [N, T, H, W, C]: the frames, moving by `step` pixels per frame, cut or mirrored to the size.

    A fourth channel is the level of noise.
    """
    batch, num_frames, height, width, _ = shape
    clips = np.full(shape, _NOISE, np.float32)
    for number in range(batch):
        for time in range(num_frames):
            frame = np.roll(frames[time % len(frames)], (step * time, 2 * step * time + 9 * number), axis=(0, 1))
            missing = max(height - frame.shape[0], 0), max(width - frame.shape[1], 0)
            frame = np.pad(frame, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
            clips[number, time, ..., :3] = frame[:height, :width]
    return clips
