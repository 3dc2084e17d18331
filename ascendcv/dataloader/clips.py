"""A clip: the files of its frames and of their ground truth, checked by their headers."""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ascendcv.dataloader.image import (
    SKIPPED_FOLDERS,
    ImageHeader,
    check_clip,
    is_image_name,
    list_images,
    natural_order,
    read_image,
)
from ascendcv.dataloader.pairing import gap, pair_frames
from ascendcv.dataloader.stored import entries, is_folder
from ascendcv.utils.errors import InputError

logger = logging.getLogger(__name__)

_DEPTH = 3  # of folders of frames below a set's: Vimeo-90K's are 00001/0001


@dataclass(frozen=True)
class Clip:
    """The frames of one clip, in order; sizes are (height, width)."""

    name: str
    lq: list[Path]  # what the network sees; of a clean clip, which training degrades, the files of `gt` themselves
    # The ground truth, one per frame; empty where there is none. Of Vimeo-90K only the middle frame's may be there:
    # the others are None.
    gt: list[Path | None]
    lq_size: tuple[int, int]
    gt_size: tuple[int, int]  # of the ground truth, or what it would be
    bits: int = 8  # the most that any of these files has


def read_clip(name: str, lq_folder: Path, gt_folder: Path | None, scale: int, *, gt_may_lack: bool = False) -> Clip:
    """The images of two folders as a clip, paired by name or number (`ascendcv.dataloader.pairing`).

    A ground truth that is None or no folder gives a clip without. `scale` is its size over that of the input;
    `gt_may_lack` says that not all frames need one. Raises `InputError` naming the folder or file: no frames,
    unreadable ones, different sizes, frames without a partner. Warns of a number that both folders leave out.
    """
    lq, _ = list_images(lq_folder)
    lq_header = check_clip(lq)
    lq_size = (lq_header.height, lq_header.width)
    gt_size = (lq_size[0] * scale, lq_size[1] * scale)
    if missing := gap(lq):
        logger.warning(
            "%s seems to lack frame %s: what is before and after it is taken as neighbors", lq_folder, missing
        )
    if gt_folder is None or not is_folder(gt_folder):
        return Clip(name, lq, [], lq_size, gt_size, lq_header.bits)
    if gt_folder == lq_folder:
        _check_scale(gt_folder, lq_header, lq_folder, lq_size, scale)
        return Clip(name, lq, list(lq), lq_size, gt_size, lq_header.bits)
    gt, _ = list_images(gt_folder)
    gt_header = check_clip(gt)
    pairs = pair_frames(lq, gt, gt_may_lack=gt_may_lack)
    _check_scale(gt_folder, gt_header, lq_folder, lq_size, scale)
    bits = max(lq_header.bits, gt_header.bits)
    return Clip(name, [frame for frame, _ in pairs], [truth for _, truth in pairs], lq_size, gt_size, bits)


def folders_of_frames(folder: Path, only_clip: str) -> dict[str, Path]:
    """The folders with images in a folder, on the disk or in an LMDB, by their names ('000', '00001/0001').

    Where there are none, the folder itself is the one clip `only_clip`. A folder X4, which holds all clips in
    published sets of low-quality frames, gives no name. Hidden folders, those that other programs make, and those
    without images are left out. Raises `InputError` if there is no such folder or nowhere an image.
    """
    if not is_folder(folder):
        raise InputError(f"there is no folder {folder}")
    found = _below(folder, "", _DEPTH)
    if not found:
        list_images(folder)  # which says that there are none
        return {only_clip: folder}
    return found


def verify_frames(clips: Iterable[Clip]) -> None:
    """Decodes every frame: raises `InputError` naming the first one whose pixels cannot be read."""
    for clip in clips:
        for path in dict.fromkeys([*clip.lq, *clip.gt]):
            if path is not None:
                read_image(path)


def _below(folder: Path, name: str, depth: int) -> dict[str, Path]:
    found: dict[str, Path] = {}
    seen = [path for path in entries(folder)[0] if path.name[0] != "." and path.name not in SKIPPED_FOLDERS]
    for path in sorted(seen, key=natural_order):
        inner = name if len(seen) == 1 and re.fullmatch(r"[xX]\d", path.name) else f"{name}{path.name}"
        if _has_images(path):
            found[inner or path.name] = path
        elif depth > 1:
            found |= _below(path, f"{inner}/" if inner else "", depth - 1)
    return found


def _has_images(folder: Path) -> bool:
    return any(map(is_image_name, entries(folder)[1]))


def _check_scale(gt_folder: Path, gt: ImageHeader, lq_folder: Path, lq_size: Sequence[int], scale: int) -> None:
    wanted = (lq_size[0] * scale, lq_size[1] * scale)
    if (gt.height, gt.width) == wanted:
        return
    reason = (
        f"{gt_folder} has frames of {gt.width}x{gt.height} pixels; {scale} times those of {lq_folder} would be "
        f"{wanted[1]}x{wanted[0]} (`scale`)"
    )
    cut = (gt.height // scale * scale, gt.width // scale * scale)
    if cut != (gt.height, gt.width):
        reason += (
            f"; they cannot be divided by {scale}: cut them at the right and bottom to {cut[1]}x{cut[0]}, which "
            "`ascendvsr prepare` does"
        )
    raise InputError(reason)
