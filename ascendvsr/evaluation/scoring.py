"""What a network reaches on clips with ground truth, by a protocol."""

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.frame_sink import Write, in_background
from ascendcv.dataloader.frame_source import ImageSource, prefetch
from ascendcv.dataloader.image import read_image, to_rgb
from ascendcv.dataloader.pixels import quantize, to_255, to_unit_rgb
from ascendcv.utils.errors import InputError
from ascendvsr.evaluation.protocols import Protocol, by_keys
from ascendvsr.evaluation.results import means_of, summarized
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.progress import report_progress
from ascendvsr.restoration.runner import Runner, TimedRunner, as_runner
from ascendvsr.restoration.settings import Settings
from ascendvsr.restoration.sigma import Sigma, sigma_of, with_noise

# As RVRT's test program: the same for each clip.
NOISE_SEED = 0

_SCORING_THREADS = 4


def evaluate_model(
    network: Runner | Any,
    clips: Iterable[Clip],
    protocol: Protocol | None = None,
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    *,
    baseline: bool = True,
    sigma: Sigma = None,
    sink: Callable[[Clip], contextlib.AbstractContextManager[Write | None]] | None = None,
    begin: Callable[[Clip], None] | None = None,
    report: Callable[[dict], None] | None = None,
) -> dict:
    """What a network reaches on clips with ground truth.

    Args:
        network: a Keras model of `ascendvsr.models`, or a runner.
        protocol: how it is measured; None: clipped, not rounded, all of `ascendvsr.evaluation.protocols.MEASURES`.
        settings: windows, tiles and chunks.
        baseline: whether to measure bicubic upsampling too (the input itself for networks of scale 1).
        sigma: standard deviation of the noise that the network is told of. Clean clips, whose input is their
            ground truth, get such noise first, from the seed 0 each.
        sink: gives for a clip where restored frames are written.
        begin: called with each clip before it is restored.
        report: called with each clip's numbers as soon as they are there.
    Returns:
        {'total': mean over all frames, 'mean_of_videos': mean of the clips' means, 'videos': [...]}, each with
        the numbers of the protocol's measures, those of the baseline ('psnr_bicubic' or 'psnr_input', ...),
        'frames' and 'ms_per_frame' (the network's time, without reading and scoring); a video also has 'name' and
        'per_frame', a list with the name and numbers of each. 'sums' and 'counts' are those over all frames, from
        which parts of a set are merged (`ascendvsr.evaluation.results`).
    Raises:
        InputError: a clip without ground truth or without frames that count, a frame that cannot be read.
    """
    runner, protocol = TimedRunner(as_runner(network)), protocol or by_keys()
    settings = protocol.applied(settings)
    clips = list(clips)
    require_ground_truth(clips)
    require_frames(clips, protocol)
    videos = []
    for clip in clips:
        if begin is not None:
            begin(clip)
        runner.restart()
        with sink(clip) if sink else contextlib.nullcontext() as write:
            level = sigma_of(sigma, clip.name)
            restore = functools.partial(restored_frames, runner, settings=settings, sigma=level)
            videos.append(_evaluate_clip(restore, clip, protocol, runner.scale, baseline, level, write))
        videos[-1] |= {"ms_per_frame": 1000 * runner.seconds / len(clip.lq)}
        if report is not None:
            report(videos[-1])
    return summarized(videos)


def require_ground_truth(clips: Iterable[Clip]) -> None:
    """Raises `InputError` naming the first clip that has none."""
    for clip in clips:
        if not clip.gt:
            raise InputError(
                f"clip {clip.name} has no ground truth beside {clip.lq[0].parent}: evaluation needs it; "
                "`inference` restores without"
            )


def require_frames(clips: Iterable[Clip], protocol: Protocol) -> None:
    """Raises `InputError` naming the first clip of which the protocol measures no frame, or one without truth."""
    for clip in clips:
        counted = protocol.frames(clip.name, len(clip.lq))
        if lost := [clip.lq[index] for index in counted if clip.gt and clip.gt[index] is None]:
            raise InputError(
                f"{lost[0]} has no ground truth, and the protocol {protocol.name} measures it: Vimeo-90K's middle "
                "frames alone are measured by eval.protocol vimeo90k"
            )
        if not counted:
            raise InputError(
                f"clip {clip.name} has {len(clip.lq)} frame, none of which counts by the protocol {protocol.name}: "
                "leave it out or change eval.protocol"
            )


def _evaluate_clip(
    restore: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]],
    clip: Clip,
    protocol: Protocol,
    scale: int,
    baseline: bool,
    sigma: float | np.ndarray | None,
    write: Write | None,
) -> dict:
    """Measures are computed on threads while the network works on the next frames."""
    counted = set(protocol.frames(clip.name, len(clip.lq)))
    scores: dict[int, dict[str, Any]] = {}
    noisy: deque[np.ndarray] = deque()

    def work(index: int, frame: np.ndarray, given: np.ndarray | None) -> None:
        scores[index] = {"frame": clip.lq[index].name} | _score(clip, index, 255 * frame, protocol)
        if baseline:
            suffix = "input" if scale == 1 else "bicubic"
            unrestored = _enlarged(clip, index, scale, frame.shape) if given is None else 255 * given
            for name, value in _score(clip, index, unrestored, protocol).items():
                scores[index][f"{name}_{suffix}"] = value

    def remembered(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for frame in frames:
            noisy.append(frame)
            yield frame

    with (
        in_background(work, _SCORING_THREADS, _SCORING_THREADS) as submit,
        contextlib.closing(prefetch(ImageSource(clip.lq, clip.name))) as frames,
    ):
        inputs: Iterator[np.ndarray] = (to_unit_rgb(pixels) for _, pixels in frames)
        noise = sigma if clip.lq == clip.gt else None
        if noise is not None:
            inputs = remembered(with_noise(inputs, noise, NOISE_SEED))
        restored = _restored_twice(restore, inputs) if protocol.mirrored else restore(inputs)
        for index, frame in enumerate(report_progress(restored, len(clip.lq), clip.name)):
            given = noisy.popleft() if noise is not None else None
            if index in counted:
                submit(index, frame, given)
            if write is not None:
                write(clip.lq[index].stem, quantize(frame, np.uint8 if clip.bits == 8 else np.uint16))
    rows = [scores[index] for index in sorted(scores)]
    return {"name": clip.name, **means_of(rows), "frames": len(rows), "per_frame": rows}


def _restored_twice(
    restore: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]], frames: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """Restores a clip followed by its reversal; each frame is the mean of its two restorations."""
    frames = list(frames)
    restored = list(restore([*frames, *reversed(frames)]))
    for index in range(len(frames)):
        yield (restored[index] + restored[-1 - index]) / 2


def _score(clip: Clip, index: int, frame: np.ndarray, protocol: Protocol) -> dict[str, float]:
    """The measures of a frame [H, W, 3] in 0..255."""
    # A network may crop sizes that it cannot take.
    truth = to_255(to_rgb(read_image(cast(Path, clip.gt[index]))))[: frame.shape[0], : frame.shape[1]]
    return {name: float(value) for name, value in protocol.measure(protocol.image(frame), truth).items()}


def _enlarged(clip: Clip, index: int, scale: int, shape: Sequence[int]) -> np.ndarray:
    """The stored frame in 0..255, bicubically enlarged, of a restored frame's shape."""
    enlarged = imresize(to_rgb(read_image(clip.lq[index])), scale)
    return to_255(enlarged)[: shape[0], : shape[1]]
