"""What a training set consists of: one sample for every window that fits into a clip."""

from collections.abc import Sequence
from typing import NamedTuple

from ascendcv.dataloader.reds import Clip
from ascendcv.utils.errors import InputError


class Sample(NamedTuple):
    """Frames `first`, `first` + interval, ... of clip number `clip`."""

    clip: int
    first: int


def training_samples(
    clips: Sequence[Clip], *, num_frames: int, crop_size: tuple[int, int], interval: int = 1
) -> list[Sample]:
    """All windows of `num_frames` frames, `interval` apart, clip by clip. One pass over them is an epoch.

    A window never leaves its clip (EDVR's recipe redraws a centre until its window fits, which takes every
    window that fits equally often). Raises `InputError` naming the clip that has no ground truth, is shorter
    than a window or smaller than the crop (height, width).
    """
    span = (num_frames - 1) * interval + 1
    samples = []
    for number, clip in enumerate(clips):
        if not clip.gt:
            raise InputError(f"clip {clip.name} ({clip.lq[0].parent}) has no ground truth, which training needs")
        if len(clip.lq) < span:
            raise InputError(
                f"clip {clip.name} ({clip.lq[0].parent}) has {len(clip.lq)} frames; a training window of "
                f"{num_frames} frames at interval {interval} needs {span}"
            )
        if clip.lq_size[0] < crop_size[0] or clip.lq_size[1] < crop_size[1]:
            raise InputError(
                f"clip {clip.name} has frames of {clip.lq_size[1]}x{clip.lq_size[0]} pixels, smaller than "
                f"the crop of {crop_size[1]}x{crop_size[0]} (data.train_in_size is [height, width])"
            )
        samples += [Sample(number, first) for first in range(len(clip.lq) - span + 1)]
    return samples
