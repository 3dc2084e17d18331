"""What the metrics do to a pair of images first."""

import numpy as np

from ascendcv.utils.errors import InputError


def cropped_pair(a: np.ndarray, b: np.ndarray, crop_border: int) -> tuple[np.ndarray, np.ndarray]:
    """Both images [H, W] or [H, W, C] in float64, without `crop_border` pixels on all four sides.

    Raises `InputError` if their shapes differ or nothing is left.
    """
    if a.shape != b.shape:
        raise InputError(f"images to compare should have one shape, not {a.shape} and {b.shape}")
    if min(a.shape[:2]) <= 2 * crop_border:
        raise InputError(f"crop_border {crop_border} leaves nothing of {a.shape[1]}x{a.shape[0]} pixels")
    rows, columns = (slice(crop_border, length - crop_border) for length in a.shape[:2])
    return a[rows, columns].astype(np.float64), b[rows, columns].astype(np.float64)
