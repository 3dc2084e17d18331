"""Moves weights between Keras models and official names, and reports what does not fit."""

import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path
from ascendvsr.models import card_of
from ascendvsr.weights import h5_file, safetensors_file, torch_writer
from ascendvsr.weights.cache import local_file
from ascendvsr.weights.names import named_constants, named_variables
from ascendvsr.weights.reader import check_ending, check_finite, load_checkpoint, naming, recognize

_ENDING = ".weights.h5"
_NOT_IN_NETWORKS = "num_batches_tracked"  # PyTorch's counter of batches in every batch normalization


@dataclass(frozen=True)
class LoadReport:
    """Official names by what became of them; `mismatched` adds the shapes in the file and in the network."""

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether the network and the file had the same names and shapes."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        """One line with every name that did not fit."""
        parts = [f"{len(self.loaded)} of {len(self.loaded) + len(self.missing) + len(self.mismatched)} weights fit"]
        if self.missing:
            parts.append(f"{len(self.missing)} missing: {', '.join(self.missing)}")
        if self.unexpected:
            parts.append(f"{len(self.unexpected)} unexpected: {', '.join(self.unexpected)}")
        if self.mismatched:
            shapes = (
                f"{name} {_times(given)} instead of {_times(needed)}" for name, given, needed in self.mismatched
            )
            parts.append(f"{len(self.mismatched)} of another shape: {', '.join(shapes)}")
        return "; ".join(parts)


def state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """Official names -> arrays as PyTorch lays them out ([out, in, kh, kw]); float32 stays float32."""
    return {
        entry.name: np.array(np.asarray(entry.variable).transpose(entry.axes), order="C")
        for entry in named_variables(model)
    }


def load_state_dict(
    model: keras.Model,
    state_dict: Mapping[str, np.ndarray],
    strict: bool = True,
    source: str = "the checkpoint",
) -> LoadReport:
    """Assigns arrays in PyTorch's layout to the variables of those official names.

    With `strict`, names and shapes must be the network's own, or nothing is assigned and an `InputError`
    lists all that is missing, unexpected or mis-shaped. Without, what fits is assigned and the report tells
    the rest. `source` names the weights in the message. Constants that checkpoints hold beside weights (see
    `named_constants`) may be given or not; other values than the network's, and weights that are not finite, are an
    `InputError` in any case.
    """
    given = {name: array for name, array in state_dict.items() if name.split(".")[-1] != _NOT_IN_NETWORKS}
    for name, constant in named_constants(model).items():
        array = np.asarray(given.pop(name, constant))
        if array.shape != constant.shape or not np.allclose(array, constant):
            raise InputError(f"{source} is of another network than {type(model).__name__}: {name} differs from its")
    report = LoadReport()
    assignments = []
    for entry in named_variables(model):
        if entry.name not in given:
            report.missing.append(entry.name)
            continue
        array = np.asarray(given.pop(entry.name))
        needed = tuple(entry.variable.shape[axis] for axis in entry.axes)
        if array.shape != needed:
            report.mismatched.append((entry.name, array.shape, needed))
            continue
        check_finite({entry.name: array}, source)
        report.loaded.append(entry.name)
        assignments.append((entry.variable, array.transpose(np.argsort(entry.axes))))
    report.unexpected.extend(given)
    if strict and not report.complete:
        raise InputError(f"{source} does not fit the network {type(model).__name__}: {report}")
    for variable, array in assignments:
        variable.assign(np.array(array, order="C"))
    return report


def load_weights(model: keras.Model, path: str | os.PathLike, strict: bool = True) -> LoadReport:
    """Loads any file or folder that `load_checkpoint` reads, and what Keras's own `save_weights` wrote.

    Raises `InputError` for a file that cannot be read and, with `strict`, for one that is not the network's.
    """
    path = local_file(path)
    with naming(path):
        by_keras_alone = path.is_file() and recognize(path) == "h5" and not h5_file.has_official_names(path)
    if by_keras_alone:
        return _load_as_keras_does(model, path)
    return load_state_dict(model, load_checkpoint(path), strict, source=str(path))


def save_weights(model: keras.Model, path: str | os.PathLike) -> None:
    """Writes the weights under their official names; the file appears when it is complete.

    The ending says how: `.weights.h5`, which `keras.Model.load_weights` reads too; `.safetensors`; or `.pth` and
    `.pt`, as the network's original keeps its checkpoints, which `torch.load(weights_only=True)` reads. The last
    two also hold the constants that PyTorch's networks keep beside weights (see `named_constants`). No PyTorch is
    needed. Raises `InputError` for a path with another ending.
    """
    check_ending(path)
    if Path(path).name.endswith(_ENDING):
        entries = (
            (entry.place, np.asarray(entry.variable), entry.name, entry.axes) for entry in named_variables(model)
        )
        with atomic_path(path) as temporary:
            h5_file.write(temporary, entries)
        return
    arrays = state_dict(model) | named_constants(model)
    with atomic_path(path) as temporary:
        if Path(path).suffix == ".safetensors":
            safetensors_file.write(temporary, arrays)
        else:
            torch_writer.write(temporary, _as_published(model, arrays))


def _as_published(model: keras.Model, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What a torch file of the network's original holds; of a network without a card, what BasicSR's holds."""
    try:
        key, prefix = card_of(model).published_as
    except InputError:
        key, prefix = "params", ""
    named = {prefix + name: array for name, array in arrays.items()}
    return {key: named} if key else named


def _load_as_keras_does(model: keras.Model, path: Path) -> LoadReport:
    """Loads a file that Keras wrote alone: all of it, or nothing and an `InputError`."""
    before = state_dict(model)
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"link{_ENDING}"  # Keras insists on the ending
        link.symlink_to(path.resolve())
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", "Skipping nested container")  # and leaving its layers as they are
                model.load_weights(link)
        except Exception as error:
            load_state_dict(model, before)
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"{path} does not fit the network {type(model).__name__}: {reason}") from error
    try:
        check_finite(state_dict(model), str(path))
    except InputError:
        load_state_dict(model, before)
        raise
    return LoadReport(loaded=list(before))


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
