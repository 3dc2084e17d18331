"""Which frame of the ground truth belongs to which frame of the input: by name or number, never by position.

To pair two folders of frames (on the disk or in an LMDB, `ascendcv.dataloader.stored`):

    lq, _ = list_images(lq_folder)            # ascendcv.dataloader.image: in natural order
    gt, _ = list_images(gt_folder)
    pairs = pair_frames(lq, gt)               # [(lq file, gt file), ...] in the input's order, or `InputError`

To list the clips of a published set in any of the layouts that people keep it in:

    clips = read_layout("gopro", data_dir, "test")   # ascendcv.dataloader.layouts: Clip(name, lq, gt, sizes)

with `clip.lq[i]` and `clip.gt[i]` a pair; `frame_numbers(clip.lq)[i]` is the number in the name of frame i, which
does not always begin at 0 (GoPro, DVD). Positions that a protocol scores count in the sorted list of a whole clip.
"""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ascendcv.utils.errors import InputError

_NAMED = 3  # how many frames a message names


def frame_numbers(frames: Sequence[Path]) -> list[int] | None:
    """The number of each frame: the digits in its name that differ from frame to frame.

    Names may have other digits (clip2_x4_0001); of a single frame the last ones count. None where the names differ
    in more than one number or in words.
    """
    split = [re.split(r"(\d+)", path.stem) for path in frames]
    if len({tuple(parts[0::2]) for parts in split}) != 1 or len(split[0]) == 1:
        return None
    digits = [parts[1::2] for parts in split]
    differing = [place for place in range(len(digits[0])) if len({int(parts[place]) for parts in digits}) > 1]
    if len(differing) > 1:
        return None
    place = differing[0] if differing else -1
    return [int(parts[place]) for parts in digits]


def pair_frames(
    lq: Sequence[Path], gt: Sequence[Path], *, gt_may_lack: bool = False
) -> list[tuple[Path, Path | None]]:
    """Each input frame with its ground truth.

    Frames are paired by their names without endings where all of these are equal, else by `frame_numbers`.

    Args:
        lq, gt: the files of one folder each, at least one.
        gt_may_lack: whether there may be no ground truth, None then, of some frames, but not of all.
    Raises:
        InputError: frames without a partner, by name, or several frames of one name or number.
    """
    names = [path.stem for path in lq], [path.stem for path in gt]
    lq_numbers, gt_numbers = frame_numbers(lq), frame_numbers(gt)
    by_name = set(names[0]) == set(names[1]) or (gt_may_lack and set(names[1]) < set(names[0]))
    keys: tuple[Sequence[object], Sequence[object]] = names
    if not by_name and lq_numbers is not None and gt_numbers is not None:
        keys = lq_numbers, gt_numbers
    for side, files in zip(keys, (lq, gt), strict=True):
        key, count = Counter(side).most_common(1)[0]
        if count > 1:
            same = [path.name for path, own in zip(files, side, strict=True) if own == key]
            raise InputError(
                f"{files[0].parent} has {count} frames {key}, {' and '.join(same[:2])}: keep one of them"
            )
    truths = dict(zip(keys[1], gt, strict=True))
    alone = [path for path, key in zip(lq, keys[0], strict=True) if key not in truths]
    extra = [path for path, key in zip(gt, keys[1], strict=True) if key not in set(keys[0])]
    if extra or (alone and not gt_may_lack) or len(alone) == len(lq):
        raise InputError(_unpaired(lq, gt, alone, extra))
    return [(path, truths.get(key)) for path, key in zip(lq, keys[0], strict=True)]


def gap(frames: Sequence[Path]) -> str | None:
    """What a clip seems to lack, such as '00000012'; None: its numbers follow each other at one distance."""
    numbers = frame_numbers(frames)
    if numbers is None or len(numbers) < 3:
        return None
    numbers = sorted(numbers)
    steps = Counter(second - first for first, second in itertools.pairwise(numbers))
    step = min(steps)
    if len(steps) == 1 or steps[step] < len(numbers) / 2:
        return None
    first = next(number for number, after in itertools.pairwise(numbers) if after - number != step)
    missing = sum(count * (distance // step - 1) for distance, count in steps.items())
    return f"{first + step}" + (f" and {missing - 1} more" if missing > 1 else "")


def listed_names(paths: Sequence[Path]) -> str:
    """'a.png, b.png, c.png and 4 more'."""
    named = ", ".join(path.name for path in paths[:_NAMED])
    return named + (f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else "")


def _unpaired(lq: Sequence[Path], gt: Sequence[Path], alone: Sequence[Path], extra: Sequence[Path]) -> str:
    lq_folder, gt_folder = lq[0].parent, gt[0].parent
    lacking = []
    if alone:
        lacking.append(f"{gt_folder} lacks {listed_names(alone)}")
    if extra:
        lacking.append(f"{lq_folder} lacks {listed_names(extra)}")
    counts = (
        f"{gt_folder} has {len(gt)} frames, but {lq_folder} has {len(lq)}"
        if len(lq) != len(gt)
        else f"frames of {lq_folder} and {gt_folder} have other names or numbers"
    )
    return (
        f"{counts}: they should be pairs; {'; '.join(lacking)}: copy what is missing again, remove what has no "
        "partner, or give partners equal names"
    )
