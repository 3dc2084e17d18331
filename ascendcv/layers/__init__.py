"""Layers with the padding, initialization and statistics of the published networks, and what Keras does not have.

>>> from ascendcv.layers import DeformableConv2D
>>> DeformableConv2D(8, 3, padding="same").kernel_size
(3, 3)

Names are imported when they are first used.
"""

from ascendcv.utils.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "BatchNorm": f"{__name__}.batch_norm",
        "Conv2D": f"{__name__}.conv",
        "Conv2DTranspose": f"{__name__}.conv_transpose",
        "Correlation": f"{__name__}.correlation",
        "DCNv2Pack": f"{__name__}.deform_conv",
        "DeformableAttention": f"{__name__}.deformable_attention",
        "DeformableConv2D": f"{__name__}.deformable_conv2d",
        "FlowWarp": f"{__name__}.flow_warp",
        "FrameConv": f"{__name__}.frame_conv",
        "Linear": f"{__name__}.linear",
        "PixelShuffle": f"{__name__}.pixel_shuffle",
        "computing_in": f"{__name__}.precision",
        "deformable_conv2d_weights": f"{__name__}.deformable_conv2d",
        "serializable": f"{__name__}.saving",
    },
)
