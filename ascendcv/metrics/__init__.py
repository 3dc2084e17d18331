"""PSNR and SSIM as the papers of the field compute them.

Functions measure images of NumPy, in float64; `PSNR` and `SSIM` are metrics for `compile` of a Keras model.

>>> import numpy as np
>>> from ascendcv.metrics import psnr
>>> psnr(np.zeros((4, 4, 3)), np.full((4, 4, 3), 25.5))
20.0

Names are imported when they are first used. Where a function is named as its file, `ascendcv.metrics.NAME` is the
function.
"""

from ascendcv.utils.lazy import lazy_names

_MODULES = {
    "keras_metrics": ("PSNR", "SSIM"),
    "koehler": ("aligned_pair", "psnr_searched"),
    "ms_ssim": ("ms_ssim",),
    "psnr": ("psnr",),
    "ssim": ("ssim",),
    "ssim_matlab": ("ssim_matlab",),
    "ssim_uniform": ("ssim_uniform",),
}

__getattr__, __all__ = lazy_names(
    __name__, {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}
)
