"""Peak signal-to-noise ratio."""

import math

import numpy as np

from ascendcv.metrics.images import cropped_pair


def psnr(
    a: np.ndarray, b: np.ndarray, *, crop_border: int = 0, peak: float = 255.0, mse_offset: float = 0.0
) -> float:
    """10 log10(peak^2 / mse) in dB, with one mean squared error over all pixels and channels, in float64.

    Args:
        a, b: images [H, W] or [H, W, C] of any dtype, in 0..peak. For the papers' Y numbers, of `luma`.
        crop_border: pixels left out on all four sides.
        peak: the largest possible value.
        mse_offset: added to the mean squared error. BasicSR's PyTorch variant (calculate_psnr_pt, used while
            training) is peak=1, mse_offset=1e-8 on images in 0..1.
    Returns:
        The ratio; inf for identical images.
    Raises:
        InputError: shapes differ, or nothing is left after cropping.

    Source: BasicSR `metrics/psnr_ssim.py`.

    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    >>> psnr(image, image)
    inf
    """
    a, b = cropped_pair(a, b, crop_border)
    mse = float(np.mean((a - b) ** 2)) + mse_offset
    return math.inf if mse == 0 else 10 * math.log10(peak**2 / mse)
