"""Libraries without the lines that they write to the terminal while they start."""

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Iterator

from ascendcv.utils.errors import InputError


def import_tensorflow() -> None:
    """Imports TensorFlow, silently, as the backend of Keras.

    Raises `InputError` where it is not installed, and where KERAS_BACKEND names another backend.

    What its libraries print while they load comes before any log level counts, so the process's standard error is
    closed for that time; exceptions come through.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise InputError(
            "TensorFlow is not installed: pip install 'ascendvsr[cpu]', or 'ascendvsr[gpu]' for NVIDIA GPUs"
        )
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise InputError(
            f"KERAS_BACKEND is {backend}, with which restore, inference and eval compute; training and all others "
            "are TensorFlow's: unset KERAS_BACKEND"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silent_libraries():
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def silent_libraries() -> Iterator[None]:
    """Within the block the process's standard error is closed; exceptions come through."""
    standard_error = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
