"""Moves the official validation clips of REDS behind its training clips.

    python scripts/regroup_reds_dataset.py data/reds

DIR/val_sharp/000 ... 029 become DIR/train_sharp/240 ... 269; val_sharp_bicubic/X4, val_blur and the like
follow wherever both folders exist. A clip is moved by one rename: an interrupted run leaves every clip in one
place or the other, and the next run moves the rest.
"""

import packages  # noqa: F401

# isort: split
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ascendcv.utils.errors import InputError

FIRST_NUMBER = 240
KINDS = ("sharp", "sharp_bicubic/X4", "blur", "blur_bicubic/X4", "blur_comp")


def regroup(folder: Path) -> int:
    """Moves what is still to be moved; returns how many clips that was.

    Raises `InputError` if there is nothing that could ever be moved, or if a clip would replace another: then
    nothing is moved at all.
    """
    pairs = [(folder / f"val_{kind}", folder / f"train_{kind}") for kind in KINDS]
    if not any(train.is_dir() for _, train in pairs):
        raise InputError(f"{folder} has no train_sharp or the like: download REDS into it first (download_REDS.py)")
    moves = []
    for val, train in pairs:
        if val.is_dir() and not train.is_dir():
            raise InputError(f"{val} is there, but {train} is not: download it first")
        clips = sorted(path for path in val.iterdir() if path.name.isdecimal()) if val.is_dir() else []
        moves += [(clip, train / f"{int(clip.name) + FIRST_NUMBER:03d}") for clip in clips]
    for clip, target in moves:
        if target.exists():
            raise InputError(f"{clip} should become {target}, which exists already; remove one of them")
    for clip, target in moves:
        clip.rename(target)
    return len(moves)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds train_sharp, val_sharp and so on")
    folder = parser.parse_args(argv).folder
    try:
        moved = regroup(folder)
    except InputError as error:
        print(f"regroup_reds_dataset: {error}", file=sys.stderr)
        return 2
    print(f"{folder}: {moved} clips moved" if moved else f"{folder}: nothing to move")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
