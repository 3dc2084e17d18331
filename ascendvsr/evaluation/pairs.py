"""Which clip of the ground truth belongs to which restored one: folders, videos and LMDBs, paired by name."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ascendcv.dataloader.clips import folders_of_frames
from ascendcv.dataloader.frame_source import open_source, prefetch
from ascendcv.dataloader.image import (
    check_clip,
    image_header,
    is_image_name,
    list_images,
    natural_order,
    read_image,
)
from ascendcv.dataloader.pairing import pair_frames
from ascendcv.dataloader.stored import entries, is_folder
from ascendcv.utils.errors import InputError
from ascendvsr.evaluation.protocols import Protocol, every_frame
from ascendvsr.restoration.jobs import is_video_name

Read = Callable[[], np.ndarray]  # gives [H, W, C], uint8 or uint16

_NAMED = 5  # how many clips a message names


@dataclass(frozen=True)
class Pair:
    """A restored clip and its ground truth: a folder of frames, a video or a picture each."""

    name: str
    restored: Path
    truth: Path


@dataclass(frozen=True)
class Frames:
    """A frame that counts: its place in the clip, its name, and what reads both images."""

    index: int
    name: str
    restored: Read
    truth: Read


def find_pairs(restored: Path, truth: Path) -> tuple[list[Pair], list[str]]:
    """The clips of two paths, and the names of those that are in the ground truth alone.

    A path is a clip (a folder of frames, a video, a picture) or a folder or LMDB of clips. Clips are paired by
    name, without the ending of videos; where all clips of a side lie in folders of one name (`000/truth`), without
    that. Raises `InputError` for a path that is nothing of these and for restored clips without ground truth.
    """
    sides = [_clips(path) for path in (restored, truth)]
    if all(len(side) == 1 for side in sides):
        (name, first), (_, second) = (next(iter(side.items())) for side in sides)
        return [Pair(name, first, second)], []
    if not set(sides[0]) & set(sides[1]):
        sides = [_without_common_folder(side) for side in sides]
    alone = [name for name in sides[0] if name not in sides[1]]
    if alone:
        named = ", ".join(alone[:_NAMED]) + (f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else "")
        raise InputError(
            f"{truth} has no ground truth for {named} of {restored}; it has {', '.join(list(sides[1])[:_NAMED])}"
        )
    pairs = [Pair(name, path, sides[1][name]) for name, path in sides[0].items()]
    return pairs, [name for name in sides[1] if name not in sides[0]]


def check(pair: Pair, protocol: Protocol) -> None:
    """Raises `InputError` for frames without a partner, unreadable or of other sizes, as far as headers tell."""
    if _is_folder_of_frames(pair.restored) and _is_folder_of_frames(pair.truth):
        paths = [paths for _, *paths in _paired_files(pair, protocol)]
        headers = [check_clip([path for path in side if path is not None]) for side in zip(*paths, strict=True)]
        check_sizes(headers[0][:2], headers[1][:2], str(pair.restored), str(pair.truth))


def check_sizes(restored: Sequence[int], truth: Sequence[int], restored_name: str, truth_name: str) -> None:
    """Raises `InputError` unless both (height, width) are equal."""
    if tuple(restored[:2]) != tuple(truth[:2]):
        raise InputError(
            f"{restored_name} has frames of {restored[1]}x{restored[0]} pixels and {truth_name} of "
            f"{truth[1]}x{truth[0]}: they should be of one size; is the first one restored, and the other its "
            "ground truth?"
        )


def frames_of(pair: Pair, protocol: Protocol) -> Iterator[Frames]:
    """The frames of a clip that count by the protocol, in order. Raises `InputError` for what cannot be paired."""
    if _is_folder_of_frames(pair.restored) and _is_folder_of_frames(pair.truth):
        for index, restored, truth in _paired_files(pair, protocol):
            yield Frames(index, restored.name, _reader(restored), _reader(truth))
        return
    counted = None
    if protocol.frames is not every_frame:
        counted = set(protocol.frames(pair.name, sum(1 for _ in open_source(pair.restored))))
    sources = [prefetch(open_source(path)) for path in (pair.restored, pair.truth)]
    for index, (frame, true_frame) in enumerate(itertools.zip_longest(*sources)):
        if frame is None or true_frame is None:
            shorter, longer = (pair.restored, pair.truth) if frame is None else (pair.truth, pair.restored)
            raise InputError(f"{shorter} has {index} frames, and {longer} has more: they should be pairs")
        if counted is None or index in counted:
            yield Frames(index, frame.name, _given(frame.pixels), _given(true_frame.pixels))


def _reader(path: Path) -> Read:
    return lambda: read_image(path)


def _given(pixels: np.ndarray) -> Read:
    return lambda: pixels


def _paired_files(pair: Pair, protocol: Protocol) -> list[tuple[int, Path, Path]]:
    """(place, restored file, truth file) of the frames that count; places are those in the longer list."""
    restored, truth = (_images(path) for path in (pair.restored, pair.truth))
    may_lack = protocol.frames is not every_frame and len(restored) != len(truth)
    pairs: Sequence[tuple[Path | None, Path | None]]
    if len(restored) >= len(truth):
        pairs = pair_frames(restored, truth, gt_may_lack=may_lack)
    else:
        pairs = [(first, second) for second, first in pair_frames(truth, restored, gt_may_lack=may_lack)]
    counted = [index for index in protocol.frames(pair.name, len(pairs)) if index < len(pairs)]
    if not counted:
        raise InputError(f"clip {pair.name} has no frame that counts by the protocol {protocol.name}")
    if any(None in pairs[index] for index in counted):
        pair_frames(restored, truth)  # which names what is missing
    return [
        (index, first, second)
        for index in counted
        for first, second in [pairs[index]]
        if first is not None and second is not None
    ]


def _images(path: Path) -> list[Path]:
    return list_images(path)[0] if is_folder(path) else [path]


def _clips(path: Path) -> dict[str, Path]:
    """The clips of a path by name."""
    if not is_folder(path):
        if not path.is_file():
            raise InputError(f"there is no file or folder {path}")
        return {path.stem: path}
    _, files = entries(path)
    videos = sorted((file for file in files if is_video_name(file) and file.name[0] != "."), key=natural_order)
    clips = {video.stem: video for video in videos}
    if len(clips) < len(videos):
        raise InputError(f"{path} has several videos of one name: keep one of them")
    if clips and not any(map(is_image_name, files)):
        with contextlib.suppress(InputError):  # no folders of frames beside the videos
            clips |= folders_of_frames(path, "")
        return clips
    return folders_of_frames(path, path.resolve().name.removesuffix(".lmdb"))


def _without_common_folder(clips: dict[str, Path]) -> dict[str, Path]:
    """Names without a last folder that all share: `000/truth`, `011/truth` -> `000`, `011`."""
    lasts = {name.rpartition("/")[2] for name in clips}
    if len(lasts) > 1 or not all("/" in name for name in clips):
        return clips
    return {name.rpartition("/")[0]: path for name, path in clips.items()}


def _is_folder_of_frames(path: Path) -> bool:
    """Whether frames can be read in any order: those of a folder, or a picture."""
    if is_folder(path):
        return True
    if not is_image_name(path) or is_video_name(path):
        return False
    try:
        image_header(path)
    except InputError:
        return False
    return True
