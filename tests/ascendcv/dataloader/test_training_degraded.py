"""Training input that is made of the ground truth while it is read."""

from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.degradations import read_chain
from ascendcv.dataloader.image import read_image, write_image
from tests.ascendcv.dataloader.numbered_clips import assert_equal, batches, together

OPTIONS = {
    "num_frames": 3,
    "crop_size": (12, 12),
    "flip": False,
    "transpose": False,
    "batch_size": 2,
    "target": "all",
}


@pytest.fixture
def clips(tmp_path: Path, photograph: np.ndarray) -> list[Clip]:
    """Two clean clips of five frames of 96x128 pixels."""
    made = []
    for number in range(2):
        paths = [tmp_path / f"{number}/{frame}.png" for frame in range(5)]
        for frame, path in enumerate(paths):
            write_image(path, photograph[7 * number + 3 * frame :][:96, 2 * frame : 2 * frame + 128])
        made.append(Clip(str(number), paths, paths, (24, 32), (96, 128)))
    return made


@pytest.mark.parametrize("step", ["bicubic scale=4", "bicubic scale=4 rounding=end", "bd", "duf"])
def test_a_crop_is_degraded_as_the_whole_frame_is(clips: list[Clip], step: str):
    chain = read_chain([step])
    small = {}
    for clip in clips:
        frames, _ = chain.apply([read_image(path) for path in clip.gt], np.random.default_rng(0))
        small[clip.name] = np.stack(list(frames))
    for batch in batches(clips, 8, degrade=chain, **OPTIONS):
        for lq, gt in zip(batch["lq"], batch["gt"], strict=True):
            crop, truth = np.rint(lq * 255).astype(np.uint8), np.rint(gt * 255).astype(np.uint8)
            assert _found(crop, truth, clips, small)


def _found(crop: np.ndarray, truth: np.ndarray, clips: list[Clip], small: dict[str, np.ndarray]) -> bool:
    """Whether the crop is the place of the degraded frames whose ground truth is there."""
    for clip in clips:
        frames = np.stack([read_image(path) for path in clip.gt])
        for first in range(3):
            for top in range(13):
                for left in range(21):
                    rows, columns = slice(4 * top, 4 * top + 48), slice(4 * left, 4 * left + 48)
                    if np.array_equal(frames[first : first + 3, rows, columns], truth):
                        made = small[clip.name][first : first + 3, top : top + 12, left : left + 12]
                        return np.array_equal(made, crop)
    return False


def test_samples_are_degraded_each_in_its_own_way_which_a_resumed_run_repeats(clips: list[Clip]):
    chain = read_chain(["bicubic", "gaussian sigma=5..50", "jpeg quality=30..90"])
    whole = batches(clips, 6, degrade=chain, num_threads=4, **OPTIONS)
    assert_equal(whole[3:], batches(clips, 3, degrade=chain, start_step=3, **OPTIONS))
    clean = batches(clips, 6, degrade=read_chain(["bicubic"]), **OPTIONS)
    deviations = [
        np.std(one - other) for one, other in zip(together(whole)["lq"], together(clean)["lq"], strict=True)
    ]
    assert max(deviations) > 1.5 * min(deviations)
    for one, other in zip(whole, clean, strict=True):
        np.testing.assert_array_equal(one["gt"], other["gt"])


def test_frames_are_averaged_with_those_around_them_also_beyond_the_window(clips: list[Clip]):
    still = {"degrade": read_chain(["average frames=3"]), "scale": 1}
    sharp = [Clip(clip.name, clip.gt, clip.gt, clip.gt_size, clip.gt_size) for clip in clips]
    options = OPTIONS | {"crop_size": (96, 128), "num_frames": 5}  # the whole frame, the whole clip
    for batch in batches(sharp, 2, **still | options):
        for lq, gt in zip(batch["lq"], batch["gt"], strict=True):
            frames = np.rint(gt * 255)
            around = [frames[[max(t - 1, 0), t, min(t + 1, 4)]].mean(0) for t in range(5)]
            np.testing.assert_array_equal(np.rint(lq * 255), np.rint(around))
