"""Reads weights files of any supported format into one form: official names -> arrays in PyTorch's layout.

No Keras, no TensorFlow, no PyTorch, and nothing that a file contains is executed.
"""

import contextlib
import logging
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from ascendcv.runner.checkpoint import META, CheckpointStore, damage, first_whole
from ascendcv.utils.errors import InputError
from ascendvsr.models import CARDS
from ascendvsr.weights import h5_file, npz_file, safetensors_file, torch_file
from ascendvsr.weights.cache import local_file
from ascendvsr.weights.wrappers import Found, check_choice, without_prefixes

ENDINGS = (".weights.h5", ".safetensors", ".pth", ".pt")  # of the files that are written

_MAX_NAME = 500

_NOT_WEIGHTS = {
    b"<": "a web page: the download went wrong; download it again",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with `git lfs pull`",
}


logger = logging.getLogger(__name__)


def load_checkpoint(path: str | os.PathLike, weights: str = "auto") -> dict[str, np.ndarray]:
    """Official names -> arrays as PyTorch lays them out (a convolution's weight is [out, in, kh, kw]).

    Reads torch files (zip and legacy), safetensors, npz and this project's `.weights.h5`, told apart by what
    is in them, and training checkpoints `<Model>-<step>/`; of a run's folder, the newest of these that is whole.
    The name of published weights (`ascendvsr.models.zoo`) means their file, where it was downloaded before. What
    training programs put around weights (`ascendvsr.weights.wrappers`) is removed, and names that another program
    gives a network become official ones. Floating-point values become float32.

    Args:
        weights: where there are the weights and their moving average (`params_ema`, `ema.weights.h5`, ...): 'raw',
            'ema', or 'auto', the average if there is one. Which was taken is logged.
    Raises:
        InputError: naming the file, for one that is missing, damaged, of another kind, without weights or with
            weights that are not finite, or that asks for anything to be executed.
    """
    return read_checkpoint(path, weights).arrays


def read_checkpoint(path: str | os.PathLike, weights: str = "auto") -> Found:
    """What `load_checkpoint` gives, and which of the weights and their moving average it is."""
    check_choice(weights)
    path = local_file(path)
    _refuse_tensorflow_1(path)
    with naming(path):
        kind = words = ""
        if path.is_dir():
            path, kind, words = _file_of_folder(path, weights)
        _check_against_run(path)
        found = _READERS[recognize(path)](path, weights)
        if kind:
            found = Found(found.arrays, kind, words)
        if not found.arrays:
            raise InputError(f"{path} holds no tensors")
        found = without_prefixes(found, str(path), weights)
        arrays = {_checked_name(name, path): _plain(array) for name, array in found.arrays.items()}
        check_finite(arrays, str(path))
        if found.words:
            logger.info("%s: taking %s", path, found.words)
        return found._replace(arrays=_under_official_names(arrays))


def check_ending(path: str | os.PathLike) -> None:
    """Raises `InputError` for a name that no file of weights is written under."""
    if not os.path.basename(path).endswith(ENDINGS):
        raise InputError(f"weights are written as {', '.join(ENDINGS)}, not to {os.fspath(path)}")


def check_finite(arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Raises `InputError` naming `source` and the first array that holds NaN or infinity."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            count = array.size - np.count_nonzero(np.isfinite(array))
            raise InputError(
                f"{source} is refused: {count:,} of {array.size:,} values of {name} are not finite (NaN or "
                "infinite), so that it restores nothing; take an earlier checkpoint"
            )


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


def _refuse_tensorflow_1(path: Path) -> None:
    """Raises `InputError` for PREFIX, of which PREFIX.index and PREFIX.data-... are the files, and for those."""
    prefix = re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", str(path))
    folder = path.is_dir() and not (path / META).exists() and (path / "checkpoint").is_file()
    if os.path.isfile(f"{prefix}.index") or (folder and any(path.glob("*.index"))):
        raise InputError(
            f"{path} is a checkpoint of TensorFlow (.index and .data files), as the TensorFlow EDVR release wrote "
            "them: its network pads and upsamples in another way and has its offsets in another order, so that its "
            "weights would restore something else here; take published ones (`ascendvsr models edvr`), or train"
        )


def recognize(path: Path) -> str:
    """Which format a file has, by its content: a key of the readers. Raises `InputError` for others."""
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        raise InputError(f"{path} is empty")
    if head.startswith(b"PK\x03\x04"):
        return _recognize_archive(path)
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


def _recognize_archive(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(map(torch_file.is_pickle_member, names)):
        return "torch zip"
    if "model.weights.h5" in names:
        raise InputError(f"{path} is a whole Keras model; only weights are read: write them with `save_weights`")
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    raise InputError(f"{path} is a zip archive without weights; it holds {', '.join(names[:5])}")


_READERS: dict[str, Callable[[Path, str], Found]] = {
    "torch zip": torch_file.read_zip,
    "torch legacy": torch_file.read_legacy,
    "safetensors": lambda path, weights: Found(safetensors_file.read(path)),
    "npz": lambda path, weights: Found(npz_file.read(path)),
    "h5": lambda path, weights: Found(h5_file.read_official(path)),
}

RAW, AVERAGE = "model.weights.h5", "ema.weights.h5"  # in a training checkpoint


def _file_of_folder(folder: Path, weights: str) -> tuple[Path, str, str]:
    """The file of weights in a training checkpoint, or in the newest one of a run, and what kind it is of."""
    if not (folder / META).exists():
        folder = _newest(folder)
    if problem := damage(folder):
        raise InputError(f"{folder} is damaged: {problem}")
    has_average = (folder / AVERAGE).exists()
    if weights == "ema" and not has_average:
        raise InputError(f"{folder} holds no moving average of weights: leave --weights ema out")
    if has_average and weights != "raw":
        return folder / AVERAGE, "ema", f"the moving average {AVERAGE}, not {RAW}"
    return folder / RAW, "raw", f"the weights {RAW}, not the moving average {AVERAGE}" if has_average else ""


def _newest(folder: Path) -> Path:
    """The newest checkpoint of a run that is whole."""
    found = (re.fullmatch(r"(.+)-\d+", meta.parent.name) for meta in folder.glob(f"*-*/{META}"))
    names = sorted({match[1] for match in found if match})
    if not names:
        raise InputError(f"{folder} holds no training checkpoint (a folder <Model>-<step>/ with {META})")
    if len(names) > 1:
        stores = [CheckpointStore(folder, name) for name in names]
        paths = " or ".join(str(store.path(store.steps()[-1])) for store in stores)
        raise InputError(f"{folder} holds checkpoints of {' and '.join(names)}: which one? Say {paths}")
    store = CheckpointStore(folder, names[0])
    return first_whole([store.path(step) for step in reversed(store.steps())])


def _check_against_run(path: Path) -> None:
    """Raises `InputError` for a file in a training checkpoint that is not what was written there."""
    if (path.parent / META).is_file() and (problem := damage(path.parent, path.name)):
        raise InputError(f"{path} is damaged: {problem}")


def _under_official_names(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same arrays; where another program's names of a network are recognized, under its official ones."""
    for card in CARDS:
        if any(name.startswith(card.other_names.mark) for name in arrays if card.other_names.mark):
            return {card.other_names.official(name): array for name, array in arrays.items()}
    return arrays


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
