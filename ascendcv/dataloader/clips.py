"""A clip: the files of its frames and of their ground truth, checked by their headers."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ascendcv.dataloader.image import check_clip, list_images, read_image
from ascendcv.utils.errors import InputError


@dataclass(frozen=True)
class Clip:
    """The frames of one clip, in order; sizes are (height, width)."""

    name: str
    lq: list[Path]  # what the network sees; of a clean clip, which training degrades, the files of `gt` themselves
    gt: list[Path]  # the ground truth, one a frame; empty where there is none
    lq_size: tuple[int, int]
    gt_size: tuple[int, int]  # of the ground truth, or what it would be
    bits: int = 8  # the most that any of these files has


def read_clip(name: str, lq_folder: Path, gt_folder: Path | None, scale: int, same_names: bool = False) -> Clip:
    """The images of two folders as a clip, paired in natural order.

    A ground truth that is None or no folder gives a clip without. `scale` is its size over that of the input.
    Raises `InputError` naming the folder or file: no frames, unreadable ones, different sizes or numbers of frames,
    and where `same_names` is asked for, a frame whose name (without ending) differs from its ground truth's.
    """
    lq, _ = list_images(lq_folder)
    lq_header = check_clip(lq)
    lq_size = (lq_header.height, lq_header.width)
    gt_size = (lq_size[0] * scale, lq_size[1] * scale)
    if gt_folder is None or not gt_folder.is_dir():
        return Clip(name, lq, [], lq_size, gt_size, lq_header.bits)
    gt, _ = list_images(gt_folder)
    gt_header = check_clip(gt)
    if len(gt) != len(lq):
        raise InputError(f"{gt_folder} has {len(gt)} frames, but {lq_folder} has {len(lq)}: they should be pairs")
    if same_names:
        for frame, truth in zip(lq, gt, strict=True):
            if frame.stem != truth.stem:
                raise InputError(f"{frame} and {truth} should be a pair: give both the same name")
    if (gt_header.height, gt_header.width) != gt_size:
        raise InputError(
            f"{gt_folder} has frames of {gt_header.width}x{gt_header.height} pixels; {scale} times those of "
            f"{lq_folder} would be {gt_size[1]}x{gt_size[0]} (`scale`)"
        )
    return Clip(name, lq, gt, lq_size, gt_size, max(lq_header.bits, gt_header.bits))


def verify_frames(clips: Iterable[Clip]) -> None:
    """Decodes every frame: raises `InputError` naming the first one whose pixels cannot be read."""
    for clip in clips:
        for path in dict.fromkeys([*clip.lq, *clip.gt]):
            read_image(path)
