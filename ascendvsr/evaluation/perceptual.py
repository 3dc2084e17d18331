"""LPIPS and NIQE by the package pyiqa, where it is installed. It fetches its weights itself."""

from collections.abc import Callable

import numpy as np

from ascendcv.utils.errors import InputError

MEASURES = ("lpips", "niqe")


def measure_named(name: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """A measure of `MEASURES`: (restored, ground truth), images [H, W, 3] in 0..255 -> a number, better if lower.

    Raises `InputError` without the package, and where it cannot make the measure.
    """
    try:
        import pyiqa
        import torch
    except ImportError as error:
        raise InputError(f"{name} needs the package pyiqa ({error}): pip install pyiqa") from None
    try:
        metric = pyiqa.create_metric(name, device="cpu")
    except Exception as error:  # whatever goes wrong with its download
        raise InputError(f"pyiqa cannot make {name}: {' '.join(str(error).split())[:300]}") from error

    def measure(restored: np.ndarray, truth: np.ndarray) -> float:
        tensors = [
            torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[np.newaxis] / 255, np.float32))
            for image in (restored, truth)
        ]
        with torch.no_grad():
            return float(metric(tensors[0]) if name == "niqe" else metric(*tensors))

    return measure
