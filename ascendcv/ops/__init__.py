"""Operations on tensors: pure functions, one file each, for every Keras backend.

>>> import numpy as np
>>> from ascendcv.ops import resize
>>> tuple(resize(np.ones((1, 4, 6, 3), "float32"), (8, 12)).shape)
(1, 8, 12, 3)

Names are imported when they are first used. Where a function is named as its file, `ascendcv.ops.NAME` is the
function.
"""

from ascendcv.utils.lazy import lazy_names

_MODULES = {
    "adaptive_pool": ("adaptive_avg_pool2d",),
    "color": ("gray", "rgb_to_ycbcr", "ycbcr_to_rgb"),
    "conv2d": ("conv2d",),
    "correlation": ("correlation", "spatial_correlation"),
    "deform_attn": ("deform_attn",),
    "deform_conv": ("deform_conv2d",),
    "feed_forward": ("feed_forward",),
    "pixel_volume": ("pixel_volume",),
    "pool": ("avg_pool2d", "max_pool2d"),
    "registry": ("available", "explain", "implementation"),
    "resize": ("resize", "resize_flow", "resize_matlab"),
    "sharpness_prior": ("sharpness_prior",),
    "shuffle": ("pixel_shuffle", "pixel_unshuffle"),
    "sobel": ("sobel",),
    "warp": ("warp",),
    "window_attention": ("window_attention",),
}

__getattr__, __all__ = lazy_names(
    __name__, {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}
)
