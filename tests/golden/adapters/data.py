"""How frames are chosen and turned: windows at the ends of a clip, samples of a training set, augmentation."""

import re
import tempfile
from pathlib import Path

import numpy as np

from tests.golden.case import Case


def border_windows(case: Case) -> dict:
    """Arrays such as `windows_readme_N7`: every window of a clip of 7 frames, by each of the rules.

    `readme` is reflection, the rule of this project, and `default` those of its windows that lie inside. The two
    others are what the source's programs read instead, which nothing here offers: lists of frames that begin and
    end with half a window more, cut into windows.
    """
    from ascendcv.dataloader.windows import window_indices

    size = case.config["n_seq"]
    outputs = {}
    for name in case.outputs:
        rule, length = re.fullmatch(r"windows_(\w+)_N(\d+)", name).groups()
        length = int(length)
        windows = [window_indices(center, length, size, "reflection") for center in range(length)]
        if rule == "default":
            windows = windows[size // 2 : length - size // 2]
        if rule in ("border", "fork_code"):
            half = size // 2
            before, after = range(half), range(-half, 0)
            if rule == "fork_code":
                before, after = range(half + 1, 1, -1), range(-1, -half - 1, -1)
            order = [*before, *range(length), *(length + index for index in after)]
            windows = [order[first : first + size] for first in range(length)]
        outputs[name] = np.array(windows)
    return outputs


def augment(case: Case) -> dict:
    """`hH_vV_rR`: CDVD-TSP's three coins, in its order."""
    from ascendcv.dataloader.augment import augment, rotate

    outputs = {}
    for name in case.outputs:
        hflip, vflip, rot90 = (flag == "1" for flag in re.fullmatch(r"h(.)_v(.)_r(.)", name).groups())
        outputs[name] = np.array(rotate(augment(case.array("image"), hflip, vflip, False), int(rot90)))
    return outputs


def dataset_indices(case: Case) -> dict:
    """PVDNet's clips of frame_itr_num frames and one before and after, and its windows of three for validation."""
    from ascendcv.dataloader.samples import frames_of, training_samples
    from ascendcv.dataloader.windows import window_indices

    lengths, updates, size = (case.config[key] for key in ("frames_per_video", "frame_itr_num", "frame_num"))
    num_frames = updates + size - 1
    samples = training_samples(
        [_clip(str(length), range(length)) for length in lengths],
        num_frames=num_frames,
        crop_size=(1, 1),
        margin=size // 2,
        stride=updates,
    )
    train = [[s.clip, *frames_of(s, lengths[s.clip], num_frames=num_frames)] for s in samples]
    valid = [
        [video, *window_indices(frame, length, size, "replicate"), frame == 0]
        for video, length in enumerate(lengths)
        for frame in range(length)
    ]
    return {"train_samples": np.array(train), "valid_samples": np.array(valid, dtype=np.int64)}


def gopro_index(case: Case) -> dict:
    """The file numbers of deblur-devil's windows: Su's sequences and Nah's, of training and test."""
    from ascendcv.dataloader.layouts import DVD_SCORED, DVD_TEST

    assert tuple(case.config["su_validation_sequences"]) == DVD_TEST
    size = case.config["sequence_length"]
    su, nah = (
        sorted(
            (split, name, range(first, first + count)) for split, name, first, count in _trees(case.config[tree])
        )
        for tree in ("su_tree", "nah_tree")
    )
    su_train = [(name, numbers) for _, name, numbers in su if name not in DVD_TEST]
    su_valid = [(name, numbers) for _, name, numbers in su if name in DVD_TEST]
    nah_train, nah_test = (
        [(name, numbers) for split, name, numbers in nah if split == wanted] for wanted in ("train", "test")
    )
    return {
        "su_train": _centered(su_train, size),
        "su_valid": _centered(su_valid, size, DVD_SCORED),
        "nah_train": _centered(nah_train, size),
        "nah_test": _centered(nah_test, size),
        "nah_full": _centered(nah_train + nah_test, size),
    }


def lmdb(case: Case) -> dict:
    """The frames of an LMDB in the order of the case's keys, as OpenCV orders their channels."""
    from ascendcv.dataloader.image import read_image
    from ascendcv.dataloader.lmdb_file import read_lmdb

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "data.mdb").write_bytes(case.array("data_mdb").tobytes())
        frames = []
        for number, (_, value) in enumerate(read_lmdb(folder)):  # the keys are in order
            path = Path(folder, f"{number}.png")
            path.write_bytes(value)
            frames.append(read_image(path)[..., ::-1])
    return {"decoded_bgr": np.stack(frames)}


def bd_matlab(case: Case) -> dict:
    from ascendcv.dataloader.degrade import blur_downsample

    kernel = np.zeros((12, 12))
    for y in range(12):
        for x in range(12):
            # The output pixel (5, 5) begins to see at row and column 4 * 5 + 1 - 5.
            impulse = np.zeros((44, 44, 1))
            impulse[16 + y, 16 + x] = 1.0
            kernel[y, x] = blur_downsample(impulse)[5, 5, 0]
    return {
        "bd": blur_downsample(case.frames("image")),
        "bd_uint8": blur_downsample(case.array("image")),
        "kernel": kernel,
    }


def duf_downsample(case: Case) -> dict:
    """`xS`: frames [N,T,C,H,W] reduced by S; `kernel_xS`: what a single bright pixel becomes, phase by phase."""
    from ascendcv.dataloader.degrade import duf_downsample

    frames = case.frames("frames")
    batch, time = frames.shape[:2]
    outputs = {}
    for scale in case.config["scales"]:
        reduced = [duf_downsample(np.moveaxis(frame, 0, -1), scale) for clip in frames for frame in clip]
        reduced = np.moveaxis(np.stack(reduced), -1, 1)
        outputs[f"x{scale}"] = reduced.reshape(batch, time, *reduced.shape[1:])
        kernel = np.zeros((13, 13))
        for y in range(13):
            for x in range(13):
                # The output pixel whose center is (6 * scale, 6 * scale) sees a bright pixel beside it.
                impulse = np.zeros((12 * scale + 1, 12 * scale + 1, 1))
                impulse[6 * scale + y - 6, 6 * scale + x - 6] = 1.0
                kernel[y, x] = duf_downsample(impulse, scale)[6, 6, 0]
        outputs[f"kernel_x{scale}"] = kernel
    return outputs


def _trees(tree: list) -> list:
    return [(split or "", name, first, count) for split, name, first, count in tree]


def _centered(clips: list[tuple[str, range]], size: int, positions: tuple[int, ...] | None = None) -> np.ndarray:
    """The windows that have each frame of each clip, or those at `positions`, in the middle."""
    from ascendcv.dataloader.samples import frames_of, training_samples

    samples = training_samples(
        [_clip(name, numbers) for name, numbers in clips], num_frames=size, crop_size=(1, 1), margin=size // 2
    )
    windows = []
    for sample in samples:
        numbers = clips[sample.clip][1]
        if positions is None or sample.first + size // 2 in positions:
            windows.append([numbers[index] for index in frames_of(sample, len(numbers), num_frames=size)])
    return np.array(windows)


def _clip(name: str, numbers: range):
    from ascendcv.dataloader.clips import Clip

    files = [Path(name, f"{number:05d}.png") for number in numbers]
    return Clip(name, files, files, (1, 1), (1, 1))


ADAPTERS = {
    "common": {"bd_matlab": bd_matlab, "duf_downsample": duf_downsample, "lmdb": lmdb},
    "cdvd_tsp": {"augment": augment, "border_windows": border_windows},
    "deblur_devil": {"gopro_index": gopro_index},
    "pvdnet": {"dataset_indices": dataset_indices},
}
