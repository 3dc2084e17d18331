"""What a training set consists of: one sample for every window of frames that its clips have."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ascendcv.dataloader.clips import Clip
from ascendcv.utils.errors import InputError


class Sample(NamedTuple):
    """Frames `first`, `first` + interval, ... of clip number `clip`; see `frames_of`."""

    clip: int
    first: int


def training_samples(
    clips: Sequence[Clip],
    *,
    num_frames: int,
    crop_size: tuple[int, int],
    interval: int = 1,
    margin: int = 0,
    stride: int = 1,
) -> list[Sample]:
    """Windows of `num_frames` frames, `interval` apart, clip by clip. One pass over them is an epoch.

    With a `margin` of 0 a window never leaves its clip (EDVR's recipe redraws a center until its window fits, which
    takes every window that fits equally often). With more, that many frames at each end may lie outside, where the
    clip's edge frame is repeated: with margin T // 2 every frame is a center once (deblur-devil); with margin 1 and
    stride T - 2 every frame is once among those between (PVDNet, which drops an incomplete window at the end too).

    Args:
        margin: below half of `num_frames`.
        stride: frames between the beginnings of neighboring windows.

    Raises `InputError` naming the clip that has no ground truth, is shorter than a window without its margins or
    smaller than the crop (height, width).
    """
    if not 0 <= 2 * margin < num_frames:
        raise InputError(f"`margin` {margin} should be below half of the {num_frames} frames of a sample")
    if stride < 1:
        raise InputError(f"`stride` should be 1 or more, not {stride}")
    span = (num_frames - 2 * margin - 1) * interval + 1
    samples = []
    for number, clip in enumerate(clips):
        if not clip.gt:
            raise InputError(f"clip {clip.name} ({clip.lq[0].parent}) has no ground truth, which training needs")
        if len(clip.lq) < span:
            margins = f" without its margins of {margin}" if margin else ""
            raise InputError(
                f"clip {clip.name} ({clip.lq[0].parent}) has {len(clip.lq)} frames; a training window of "
                f"{num_frames} frames at interval {interval} needs {span}{margins} (`num_frames`, "
                "`interval`)"
            )
        if clip.lq_size[0] < crop_size[0] or clip.lq_size[1] < crop_size[1]:
            raise InputError(
                f"clip {clip.name} has frames of {clip.lq_size[1]}x{clip.lq_size[0]} pixels, smaller than "
                f"the crop of {crop_size[1]}x{crop_size[0]} (`crop_size` is [height, width])"
            )
        starts = range(0, len(clip.lq) - span + 1, stride)
        samples += [Sample(number, start - margin * interval) for start in starts]
    return samples


def frames_of(sample: Sample, length: int, *, num_frames: int, interval: int = 1) -> list[int]:
    """The frames of a sample, of a clip of `length` frames whose ends are repeated."""
    indices = sample.first + interval * np.arange(num_frames)
    return indices.clip(0, length - 1).tolist()


def examples_of_batch(batch_size: int, workers: int, crops_per_example: int) -> tuple[int, int]:
    """How many windows a global batch and a worker's part of it are made of.

    Raises `InputError` where they cannot be a whole number.
    """
    if batch_size % workers:
        raise InputError(f"a global batch of {batch_size} cannot be shared equally by {workers} workers")
    if crops_per_example < 1 or batch_size // workers % crops_per_example:
        raise InputError(
            f"a batch of {batch_size // workers} samples (`batch_size`) cannot be made of "
            f"{crops_per_example} from each window (`crops_per_example`): one should divide the other"
        )
    return batch_size // crops_per_example, batch_size // workers // crops_per_example


def check_turns(crop_size: tuple[int, int], **turns: bool) -> None:
    """Raises `InputError` for turns (transpose, rot90, rotation) that a crop cannot take, or two of a kind."""
    for name, used in turns.items():
        if used and crop_size[0] != crop_size[1]:
            raise InputError(
                f"`{name}` exchanges height and width, so `crop_size` {list(crop_size)} should be square; or set "
                f"`{name}` False"
            )
    if turns["rot90"] and turns["rotation"]:
        raise InputError("`rotation` includes `rot90`: set one of them False")


def steps_per_epoch(num_samples: int, *, batch_size: int, crops_per_example: int = 1, repeat: int = 1) -> int:
    """Steps of a global batch, complete ones, in an epoch of `repeat` passes over all windows; at least one.

    `repeat` 0 is the rule of CDVD-TSP (`VIDEODATA.repeat`, with `test_every` 1000): as many passes as make about
    1000 batches, or one if that is more.
    """
    examples = max(batch_size // crops_per_example, 1)
    if repeat == 0:
        repeat = max(1000 // max(num_samples // examples, 1), 1)
    return max(num_samples * repeat // examples, 1)
