"""Losses between frames; one file a loss, all in `keras.ops`.

They share their arguments:

    pred, target: [N, H, W, C] (any rank from 2 on) in the same range; narrow floats are widened to float32.
    reduction: 'none', or what becomes of the values at the elements: 'mean', 'sum', or 'batchmean', the sum
        over H, W and C, averaged over the batch.
    weight: [N, H, W, C] or [N, H, W, 1], multiplied with the values. 'mean' then divides by the sum of the
        weights, as BasicSR does.

`L1Loss` and the others are the same for `compile` of a Keras model:

>>> from ascendcv.losses import CharbonnierLoss
>>> CharbonnierLoss(eps=1e-9).get_config()["eps"]
1e-09

Names are imported when they are first used. Where a function is named as its file, `ascendcv.losses.NAME` is the
function.
"""

from ascendcv.utils.lazy import lazy_names

_MODULES = {
    "charbonnier": ("charbonnier",),
    "hem": ("hem", "random_pixels"),
    "keras_losses": (
        *("CharbonnierLoss", "EndPointErrorLoss", "HEMLoss", "L1Loss", "L2Loss", "MSSSIMLoss", "MarginalL1Loss"),
    ),
    "l1": ("l1",),
    "l2": ("l2",),
    "marginal_l1": ("marginal_l1",),
    "ms_ssim": ("ms_ssim",),
    "multiscale_epe": ("end_point_error", "multiscale_epe"),
}

__getattr__, __all__ = lazy_names(
    __name__, {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}
)
