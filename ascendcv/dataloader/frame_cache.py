"""Decoded frames in a folder: a crop is then read from the disk, or from memory that the system lends to it."""

import hashlib
import os
from pathlib import Path

import numpy as np

from ascendcv.dataloader.image import read_image
from ascendcv.dataloader.stored import state_of
from ascendcv.utils.files import atomic_path


class FrameCache:
    """Pixels of image files, decoded once and kept as .npy files in `folder`.

    What is kept belongs to a file's path, size and time of change: one that has changed is decoded again (its
    former entry stays until the folder is removed). Several processes may share the folder. A frame takes as
    many bytes as it has values: 2.8 MB for 1280x720 of 8 bits. What is read often stays in the system's memory,
    as far as there is some.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)

    def read(self, path: str | os.PathLike) -> np.ndarray:
        """As `read_image`: [H, W, C] uint8 or uint16, mapped from the disk and not to be written to."""
        size, changed = state_of(path)
        identity = f"{os.path.abspath(path)}|{size}|{changed}"
        name = hashlib.sha256(os.fsencode(identity)).hexdigest()
        entry = self.folder / name[:2] / f"{name}.npy"
        if not entry.exists():
            with atomic_path(entry) as temporary:
                np.save(temporary, read_image(path))
        return np.load(entry, mmap_mode="r")
