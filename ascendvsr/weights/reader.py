"""Reads weights files of any supported format into one form: official names -> arrays in PyTorch's layout.

No Keras, no TensorFlow, no PyTorch, and nothing that a file contains is executed.
"""

import contextlib
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ascendcv.runner.checkpoint import META, damage
from ascendcv.utils.errors import InputError
from ascendvsr.weights import h5_file, npz_file, safetensors_file, torch_file
from ascendvsr.weights.cache import local_file

# What wrappers for several devices, compilation or training loops put before every name.
_PREFIXES = ("module.", "_orig_mod.", "model.")
_MAX_NAME = 500

_NOT_WEIGHTS = {
    b"<": "a web page: the download went wrong; download it again",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with `git lfs pull`",
}


def load_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Official names -> arrays as PyTorch lays them out (a convolution's weight is [out, in, kh, kw]).

    Reads torch files (zip and legacy), safetensors, npz and this project's `.weights.h5`, told apart by what
    is in them, and training checkpoints `<Model>-<step>/`; of a run's folder, the newest of these. Where a
    file or a folder has the moving average of the weights (`params_ema`, `ema.weights.h5`) beside the
    weights, the average is read. The name of published weights (`ascendvsr.models.zoo`) means their file, where it
    was downloaded before. Prefixes that every name has (`module.`) are removed. Floating-point values
    become float32.

    Raises `InputError`, naming the file, for one that is missing, damaged, of another kind, without weights,
    or that asks for anything to be executed.
    """
    path = local_file(path)
    with naming(path):
        if path.is_dir():
            path = _file_of_folder(path)
        arrays = _READERS[recognise(path)](path)
        if not arrays:
            raise InputError(f"{path} holds no tensors")
        return _without_prefixes({_checked_name(name, path): _plain(array) for name, array in arrays.items()})


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Inside the block, whatever goes wrong with the file at `path` becomes an `InputError` that names it."""
    try:
        yield
    except InputError as error:
        raise InputError(_printable(error)) from error
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(f"cannot read the weights {path}: {error.strerror}") from None
    except Exception as error:  # whatever a parser stumbles over in a damaged file
        reason = f"{type(error).__name__} {_printable(error)[:200]}".strip()
        raise InputError(f"{path} is truncated or damaged ({reason}); get or write it again") from error


def recognise(path: Path) -> str:
    """Which format a file has, by its content: a key of the readers. Raises `InputError` for others."""
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        raise InputError(f"{path} is empty")
    if head.startswith(b"PK\x03\x04"):
        return _recognise_archive(path)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "h5"
    if head[:1] == b"\x80" and torch_file.LEGACY_MAGIC.to_bytes(10, "little") in head[:32]:
        return "torch legacy"
    if head[257:262] == b"ustar":
        raise InputError(
            f"{path} has the tar format of PyTorch before 0.2, or is another tar archive; load it with "
            "PyTorch and save it again"
        )
    if head[8:9] == b"{":
        return "safetensors"
    for start, what in _NOT_WEIGHTS.items():
        if head.lstrip().startswith(start):
            raise InputError(f"{path} is {what}")
    raise InputError(
        f"{path} is no weights file: torch files (.pth, .pt), .safetensors, .npz and .weights.h5 can be read"
    )


def _recognise_archive(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(map(torch_file.is_pickle_member, names)):
        return "torch zip"
    if "model.weights.h5" in names:
        raise InputError(f"{path} is a whole Keras model; only weights are read: write them with `save_weights`")
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    raise InputError(f"{path} is a zip archive without weights; it holds {', '.join(names[:5])}")


_READERS = {
    "torch zip": torch_file.read_zip,
    "torch legacy": torch_file.read_legacy,
    "safetensors": safetensors_file.read,
    "npz": npz_file.read,
    "h5": h5_file.read_official,
}


def _file_of_folder(folder: Path) -> Path:
    """The weights in a training checkpoint, or in the newest one of a run."""
    if not (folder / META).exists():
        found = [meta.parent for meta in folder.glob(f"*-*/{META}")]
        steps = {int(match[1]): run for run in found if (match := re.fullmatch(r".+-(\d+)", run.name))}
        if not steps:
            raise InputError(f"{folder} holds no training checkpoint (a folder <Model>-<step>/ with {META})")
        folder = steps[max(steps)]
    if problem := damage(folder):
        raise InputError(f"{folder} is damaged: {problem}")
    average = folder / "ema.weights.h5"
    return average if average.exists() else folder / "model.weights.h5"


def _printable(error: Exception) -> str:
    """One line that a terminal only prints: messages quote names that a file of unknown origin holds."""
    text = " ".join(str(error).split())
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _checked_name(name: str, path: Path) -> str:
    if not name.isprintable() or len(name) > _MAX_NAME:
        raise InputError(f"{path} holds a tensor under an impossible name, {name[:100]}: it is damaged")
    return name


def _plain(array: np.ndarray) -> np.ndarray:
    """A copy as float32, or as the integers that it holds, in this machine's byte order."""
    if array.dtype.kind not in "fiub":
        raise TypeError(f"weights of type {array.dtype}")
    dtype = np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    return np.array(array, dtype, order="C")


def _without_prefixes(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    while prefix := next((prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in arrays)), None):
        arrays = {name.removeprefix(prefix): array for name, array in arrays.items()}
    return arrays
