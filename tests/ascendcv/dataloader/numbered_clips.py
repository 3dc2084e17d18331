"""Training clips whose pixels say where they come from, and what a batch of them says."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.image import write_image
from ascendcv.dataloader.train import training_dataset

Batch = dict[str, np.ndarray]
LENGTHS = (5, 7, 6)  # frames of the clips
HEIGHT, WIDTH, SCALE = 12, 14, 4
OPTIONS = {"num_frames": 3, "crop_size": (8, 8), "scale": SCALE, "batch_size": 4, "seed": 7}


def make_clips(folder: Path, convert: Callable = lambda frame: frame, ending: str = "png") -> list[Clip]:
    """Clips whose pixels say where they come from: (10 * clip + frame, row, column)."""
    clips = []
    for number, length in enumerate(LENGTHS):
        paths = {}
        for kind, size in (("lq", (HEIGHT, WIDTH)), ("gt", (HEIGHT * SCALE, WIDTH * SCALE))):
            paths[kind] = [folder / f"{number}/{kind}/{frame}.{ending}" for frame in range(length)]
            for frame, path in enumerate(paths[kind]):
                rows, columns = np.mgrid[: size[0], : size[1]]
                pixels = np.stack([np.full(size, 10 * number + frame), rows, columns], -1).astype(np.uint8)
                write_image(path, convert(pixels))
        lq_size, gt_size = (HEIGHT, WIDTH), (HEIGHT * SCALE, WIDTH * SCALE)
        clips.append(Clip(str(number), paths["lq"], paths["gt"], lq_size, gt_size))
    return clips


def batches(clips: list[Clip], count: int, **changes: object) -> list[Batch]:
    dataset = training_dataset(clips, **OPTIONS | changes)
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


def together(batches: list[Batch]) -> Batch:
    return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}


def assert_equal(first: list[Batch], second: list[Batch]) -> None:
    for one, other in zip(first, second, strict=True):
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def source(pixels: np.ndarray) -> np.ndarray:
    """The numbers in the pixels: 10 * clip + frame, row, column."""
    return np.round(pixels * 255).astype(int)


def frame_numbers(sample: np.ndarray) -> list[int]:
    """10 * clip + frame of every frame of a sample [T, h, w, 3]."""
    return source(sample)[:, 0, 0, 0].tolist()
