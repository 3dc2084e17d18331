"""Turns an LMDB of frames, as BasicSR and KAIR make them, into image files: extract_lmdb.py train_GT.lmdb [FOLDER]

A frame of key 000/00000000 becomes FOLDER/000/00000000.png; FOLDER is the LMDB's name without its ending unless
given. The folders are then a data set in the layout that they had before (docs: data.layout).
"""

import packages  # noqa: F401

# isort: split
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ascendcv.dataloader.lmdb_file import read_lmdb
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_folder


def extract(lmdb: Path, folder: Path) -> int:
    """Writes every value to `folder`/KEY.png and returns their number; `folder` appears when all are there.

    Raises `InputError` for a file that is no LMDB, a key that leads out of `folder`, and a folder that exists.
    """
    if folder.exists():
        raise InputError(f"{folder} exists: name another folder, or remove it")
    count = 0
    with atomic_folder(folder) as temporary:
        for key, value in read_lmdb(lmdb):
            place = PurePosixPath(key)
            if place.is_absolute() or ".." in place.parts:
                raise InputError(f"{lmdb} has a key that is no place in a folder: {key}")
            path = temporary / f"{key}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value)
            count += 1
    return count


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lmdb", type=Path)
    parser.add_argument("folder", nargs="?", type=Path)
    arguments = parser.parse_args(argv)
    folder = arguments.folder or arguments.lmdb.with_suffix("")
    try:
        count = extract(arguments.lmdb, folder)
    except InputError as error:
        print(f"extract_lmdb: {error}", file=sys.stderr)
        return 2
    print(f"{folder}: {count} frames")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
