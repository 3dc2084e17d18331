"""Which windows a training set has, and how many steps an epoch."""

from pathlib import Path

import pytest

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.samples import Sample, frames_of, steps_per_epoch, training_samples
from ascendcv.utils.errors import InputError


def clip(length: int) -> Clip:
    files = [Path(f"clip/{number}.png") for number in range(length)]
    return Clip("clip", files, files, (8, 12), (8, 12))


def windows(length: int, **options: int) -> list[list[int]]:
    samples = training_samples([clip(length)], crop_size=(8, 8), **options)
    shape = {key: value for key, value in options.items() if key in ("num_frames", "interval")}
    return [frames_of(sample, length, **shape) for sample in samples]


def test_windows_lie_inside_their_clip():
    assert windows(5, num_frames=3) == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert windows(6, num_frames=3, interval=2) == [[0, 2, 4], [1, 3, 5]]
    assert training_samples([clip(3), clip(4)], num_frames=3, crop_size=(8, 8)) == [
        Sample(0, 0),
        Sample(1, 0),
        Sample(1, 1),
    ]


def test_a_margin_may_lie_outside_and_repeats_the_edge_frame():
    assert windows(3, num_frames=5, margin=2) == [[0, 0, 0, 1, 2], [0, 0, 1, 2, 2], [0, 1, 2, 2, 2]]
    assert windows(1, num_frames=3, margin=1) == [[0, 0, 0]]
    assert windows(3, num_frames=3, margin=1, interval=2) == [[0, 0, 2], [0, 1, 2], [0, 2, 2]]


def test_a_clip_may_be_as_short_as_a_window_without_its_margins():
    assert len(windows(13, num_frames=15, margin=1, stride=13)) == 1
    message = r"has 12 frames; a training window of 15 frames at interval 1 needs 13 without its margins of 1"
    with pytest.raises(InputError, match=message):
        windows(12, num_frames=15, margin=1, stride=13)


@pytest.mark.parametrize(
    ("windows", "options", "steps"),
    [
        (2103, {"batch_size": 64, "crops_per_example": 8}, 262),  # deblur-devil on Nah et al.'s set
        (5708, {"batch_size": 64, "crops_per_example": 8}, 713),  # and on Su et al.'s
        (100, {"batch_size": 8}, 12),
        (100, {"batch_size": 8, "repeat": 3}, 37),
        (3, {"batch_size": 8}, 1),
        (5856, {"batch_size": 8, "repeat": 0}, 732),  # CDVD-TSP on DVD: 61 clips of 96 windows
        (200, {"batch_size": 8, "repeat": 0}, 1000),  # 40 passes of 25 batches
        (3, {"batch_size": 8, "repeat": 0}, 375),  # 1000 passes
    ],
)
def test_an_epoch_has_complete_batches(windows: int, options: dict, steps: int):
    assert steps_per_epoch(windows, **options) == steps
