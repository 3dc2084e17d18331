"""Writes the set files of a data set in REDS layout: python scripts/make_reds_dataset.py data/reds

DIR/images holds NAME/FOLDER/*.png or FOLDER/NAME/*.png; DIR/sets/train.json and val.json will say which clips
there are, with the size and number of their frames as they really are. Running it again is safe.
"""

import packages  # noqa: F401

# isort: split
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ascendcv.dataloader.reds import REDS4, write_sets
from ascendcv.utils.errors import InputError


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="the data set, which holds a folder images; DIR/sets means the same",
    )
    parser.add_argument(
        "--scale", type=int, default=4, help="size of the ground truth over the input's; 1: deblurring"
    )
    parser.add_argument("--lq_folder", default="blur4", help="name of the folders of input frames (%(default)s)")
    parser.add_argument("--gt_folder", default="truth", help="name of the folders of ground truth (%(default)s)")
    parser.add_argument("--val", nargs="*", default=list(REDS4), metavar="NAME", help="clips of val.json (REDS4)")
    options = parser.parse_args(argv)
    if options.folder.name == "sets" and not (options.folder / "images").is_dir():
        options.folder = options.folder.parent  # the release was given the folder of the set files
    try:
        counts = write_sets(
            options.folder,
            scale=options.scale,
            lq_folder=options.lq_folder,
            gt_folder=options.gt_folder,
            val_names=options.val,
        )
    except InputError as error:
        print(f"make_reds_dataset: {error}", file=sys.stderr)
        return 2
    for which, count in counts.items():
        print(f"{options.folder / 'sets' / which}.json: {count} clips")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
