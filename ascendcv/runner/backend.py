"""The backend of Keras that restoration computes with: TensorFlow, JAX or PyTorch, as KERAS_BACKEND says."""

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Sequence

from ascendcv.utils.errors import InputError
from ascendcv.utils.quiet import import_tensorflow, silent_libraries

# What PyTorch calls a kind of device, and the module of its vendor, which adds it.
_TORCH_DEVICES = {"cpu": ("cpu", None), "gpu": ("cuda", None), "npu": ("npu", "torch_npu")}


def start_backend(device: str = "auto", device_ids: Sequence[int] = (0,), num_threads: int = 0) -> str:
    """Imports the backend that KERAS_BACKEND names, TensorFlow where it names none, for one device; its name.

    Args:
        device: 'cpu', 'gpu', 'npu' or 'auto', the backend's own choice.
        device_ids: the first of them says which of its kind.
        num_threads: of processors; 0: as many as there are. JAX always takes all.

    Keras must not have been imported. Raises `InputError` where the backend or the device is not there.
    """
    name = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name not in _STARTS:
        raise InputError(f"KERAS_BACKEND is {name!r}; networks restore with one of: {', '.join(_STARTS)}")
    if name != "tensorflow" and importlib.util.find_spec(name) is None:
        raise InputError(f"KERAS_BACKEND is {name}, which is not installed: pip install {name}")
    _STARTS[name](device, device_ids[0], num_threads)
    with silent_libraries():
        importlib.import_module("keras")
    return name


def _start_tensorflow(device: str, number: int, num_threads: int) -> None:
    import_tensorflow()
    from ascendcv.runner.device import prepare_devices

    prepare_devices(device, [number], num_threads=num_threads)


def _start_jax(device: str, number: int, num_threads: int) -> None:
    jax = importlib.import_module("jax")
    if device == "auto":
        return
    try:
        there = jax.devices(device)
    except RuntimeError as error:
        raise InputError(f"device {device} is not there for JAX: say device cpu or auto") from error
    if number >= len(there):
        raise InputError(f"device_ids is {number}, and JAX has {len(there)} of {device}")
    jax.config.update("jax_default_device", there[number])


def _start_torch(device: str, number: int, num_threads: int) -> None:
    torch = importlib.import_module("torch")
    if num_threads:
        torch.set_num_threads(num_threads)
    if device == "auto":
        return
    kind, vendor = _TORCH_DEVICES[device]
    if vendor:
        with contextlib.suppress(ImportError):  # as without it there is no such device
            importlib.import_module(vendor)
    there = kind == "cpu" or (hasattr(torch, kind) and getattr(torch, kind).is_available())
    if not there:
        needed = f", which needs the module {vendor}" if vendor else ""
        raise InputError(f"device {device} is not there for PyTorch{needed}: say device cpu or auto")
    if kind != "cpu" and number >= getattr(torch, kind).device_count():
        raise InputError(
            f"device_ids is {number}, and PyTorch has {getattr(torch, kind).device_count()} of {device}"
        )
    # Where Keras puts tensors.
    os.environ["KERAS_TORCH_DEVICE"] = kind if kind == "cpu" else f"{kind}:{number}"


_STARTS = {"tensorflow": _start_tensorflow, "jax": _start_jax, "torch": _start_torch}
