"""Pairs of frames with the optical flow between them: FlyingChairs, Sintel, and files of flow."""

import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ascendcv.dataloader.image import image_header, natural_order, read_image
from ascendcv.utils.errors import InputError
from ascendcv.utils.flow_io import flo_size, read_flo

_FLOW_SUFFIXES = (".flo", ".png")


class FlowPair(NamedTuple):
    """Files of two frames and of the flow from the first to the second."""

    first: Path
    second: Path
    flow: Path


def flying_chairs(folder: str | os.PathLike, split: str | os.PathLike = "", part: str = "train") -> list[FlowPair]:
    """The pairs of FlyingChairs (Dosovitskiy et al., ICCV 2015), in order.

    Args:
        folder: `FlyingChairs_release/data`, with NAME_img1.ppm, NAME_img2.ppm and NAME_flow.flo (or 16-bit .png).
        split: the file `FlyingChairs_train_val.txt`, published beside the set: a line for each pair, 1 for training
            and 2 for validation. '': all pairs belong to either part.
        part: 'train' or 'validation'.

    Raises `InputError` for a folder without pairs, files that are missing, or a split of another set.
    """
    folder = Path(folder)
    _require_folder(folder, "FlyingChairs_release/data")
    flows = sorted(
        (path for path in folder.iterdir() if re.fullmatch(r".+_flow\.(flo|png)", path.name)), key=natural_order
    )
    if not flows:
        raise InputError(f"{folder} holds no pairs of FlyingChairs: NAME_img1.ppm, NAME_img2.ppm, NAME_flow.flo")
    pairs = []
    for flow in flows:
        name = flow.name.rpartition("_")[0]
        pairs.append(FlowPair(folder / f"{name}_img1.ppm", folder / f"{name}_img2.ppm", flow))
    _require_files(pairs)
    if not split:
        return pairs
    try:
        numbers = Path(split).read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the split {split}: {error}") from error
    if len(numbers) != len(pairs) or set(numbers) - {"1", "2"}:
        raise InputError(
            f"{split} should have a line with 1 or 2 for each of the {len(pairs)} pairs in {folder}; it has "
            f"{len(numbers)}"
        )
    wanted = {"train": "1", "validation": "2"}[part]
    return [pair for pair, number in zip(pairs, numbers, strict=True) if number == wanted]


def sintel(folder: str | os.PathLike, rendering: str = "clean") -> list[FlowPair]:
    """The pairs of MPI Sintel's training part (Butler et al., ECCV 2012), scene by scene: 1041 of them.

    Args:
        folder: the set's own, with training/clean/SCENE/frame_0001.png, ... and training/flow/SCENE/frame_0001.flo.
        rendering: 'clean' or 'final'.

    Raises `InputError` for a folder without scenes or a frame without flow.
    """
    frames_folder = Path(folder) / "training" / rendering
    _require_folder(frames_folder, f"training/{rendering} of MPI Sintel")
    pairs = []
    for scene in sorted(path for path in frames_folder.iterdir() if path.is_dir()):
        frames = sorted(scene.glob("*.png"), key=natural_order)
        for first, second in itertools.pairwise(frames):
            if _number(second) != _number(first) + 1:
                raise InputError(f"between {first} and {second.name} frames are missing")
            flow = Path(folder) / "training" / "flow" / scene.name / f"{first.stem}.flo"
            pairs.append(FlowPair(first, second, flow))
    if not pairs:
        raise InputError(f"{frames_folder} holds no scenes: SCENE/frame_0001.png, SCENE/frame_0002.png, ...")
    _require_files(pairs)
    return pairs


def common_size(pairs: Sequence[FlowPair]) -> tuple[int, int]:
    """(height, width) of all frames and flows of these pairs. Raises `InputError` naming the first other one."""
    size = image_header(pairs[0].first)[:2]
    for pair in pairs:
        for path in pair:
            found = flo_size(path) if path.suffix == ".flo" else image_header(path)[:2]
            if found != size:
                raise InputError(
                    f"{path} has {found[1]}x{found[0]} pixels, but {pairs[0].first} has {size[1]}x{size[0]}; "
                    "a batch is of one size"
                )
    return size


def read_flow(path: str | os.PathLike) -> np.ndarray:
    """[H, W, 2] float32 in pixels, of a .flo or 16-bit .png file; NaN where a .png says that flow is not known.

    Raises `InputError` naming the file for one that is missing, damaged or of another kind.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FLOW_SUFFIXES:
        raise InputError(f"{path} should be optical flow: a .flo or 16-bit .png file")
    if suffix == ".flo":
        return read_flo(path)
    pixels = read_image(path)
    if pixels.dtype != np.uint16 or pixels.shape[-1] != 3:
        raise InputError(
            f"{path} has {8 * pixels.dtype.itemsize} bits and {pixels.shape[-1]} channels; flow has 16 and 3"
        )
    # KITTI's: 64 * flow + 2^15 in red and green, and whether it is known in blue.
    flow = (pixels[..., :2].astype(np.float32) - 2**15) / 64
    return np.where(pixels[..., 2:] > 0, flow, np.float32(np.nan))


def _number(frame: Path) -> int:
    digits = re.search(r"(\d+)$", frame.stem)
    if not digits:
        raise InputError(f"{frame} has no number: frames are called frame_0001.png, frame_0002.png, ...")
    return int(digits[1])


def _require_folder(folder: Path, what: str) -> None:
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; it should be {what}")


def _require_files(pairs: Sequence[FlowPair]) -> None:
    present: dict[Path, set[str]] = {}
    for pair in pairs:
        for path in pair:
            if path.parent not in present:
                present[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
            if path.name not in present[path.parent]:
                raise InputError(f"there is no {path}, which {pair.first.name} is paired with")
