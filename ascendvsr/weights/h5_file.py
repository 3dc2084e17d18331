"""Weights in HDF5 files: what Keras calls `.weights.h5`, with the official names written beside the arrays.

Keras finds a variable under the attributes that lead to its layer and a number (`fusion/feat_fusion/vars/0`).
Here each of these datasets has two attributes more, so that a file can be read without its network: the
official name, and the permutation of axes that turns the array into PyTorch's layout.
"""

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ascendcv.utils.errors import InputError
from ascendvsr.weights.archive import refuse_bomb

_NAME = "official_name"
_AXES = "official_axes"


def write(path: Path, entries: Iterable[tuple[str, np.ndarray, str, tuple[int, ...]]]) -> None:
    """Writes (place in Keras's layout, array, official name, axes) of each variable.

    By way of memory: on a full disk the HDF5 library leaves files that end the process when they are freed.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for place, array, name, axes in entries:
            dataset = file.create_dataset(place, data=array)
            dataset.attrs[_NAME] = np.bytes_(name.encode())
            dataset.attrs[_AXES] = np.array(axes, np.int64)  # of a scalar, no axes and still whole numbers
    path.write_bytes(memory.getbuffer())


def has_official_names(path: Path) -> bool:
    """Whether `write` made the file, rather than Keras alone."""
    with h5py.File(path, "r") as file:
        return any(_NAME in dataset.attrs for dataset in _datasets(file, path).values())


def read_official(path: Path) -> dict[str, np.ndarray]:
    """Official names -> arrays in PyTorch's layout, of a file that `write` made."""
    with h5py.File(path, "r") as file:
        arrays = {
            _attribute(dataset, _NAME).decode(): dataset[()].transpose(_attribute(dataset, _AXES))
            for dataset in _datasets(file, path).values()
            if _NAME in dataset.attrs
        }
    if not arrays:
        raise InputError(
            f"{path} was written by Keras alone, without official names; build its network, read it with "
            "ascendvsr.weights.load_weights and write it with save_weights"
        )
    return arrays


def _attribute(dataset: h5py.Dataset, name: str) -> Any:
    """A string or numbers of fixed length; with damaged ones of variable length the HDF5 library runs for ever."""
    if dataset.attrs.get_id(name).dtype.kind not in "Siu":
        raise TypeError(f"the attribute {name} of {dataset.name}")
    return dataset.attrs[name]


def _datasets(file: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """All datasets of a file that lie in it: links to other files are refused, and sizes without content."""
    found: dict[str, h5py.Dataset] = {}

    def visit(place: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[place] = item

    file.visititems(visit)  # does not follow soft and external links
    for place, dataset in found.items():
        if dataset.external or dataset.is_virtual:
            raise InputError(f"{path} takes {place} from another file, which is refused")
        if dataset.dtype.kind not in "fiub":
            raise InputError(f"{path} holds {place} as {dataset.dtype}, which is no type of weights")
    refuse_bomb(path, sum(math.prod(dataset.shape) * dataset.dtype.itemsize for dataset in found.values()))
    return found
