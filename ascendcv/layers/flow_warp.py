"""Warping by optical flow as a layer."""

from typing import Any

import keras
from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.ops.warp import warp


@serializable("ascendcv")
class FlowWarp(keras.layers.Layer):
    """Backward warping: pixel p of the result is the image at p + flow[p].

    Args:
        interpolation: 'bilinear' or 'nearest'.
        padding: 'zeros' outside of the image, or 'border': its nearest pixel.
        align_corners: False: positions as PyTorch's `grid_sample` takes them in code that was written for True.

    `call(x, flow)`, or `call([x, flow])`: [N, H, W, C] and [N, Ho, Wo, 2] in pixels, channel 0 to the right and
    channel 1 down -> [N, Ho, Wo, C] in the layer's compute dtype: see `ascendcv.ops.warp.warp`. The flow keeps its
    own precision.

    >>> import numpy as np
    >>> from ascendcv.layers import FlowWarp
    >>> x = np.arange(4, dtype="float32").reshape(1, 1, 4, 1)
    >>> right = np.stack([np.ones((1, 1, 4)), np.zeros((1, 1, 4))], axis=-1).astype("float32")
    >>> np.ravel(FlowWarp(padding="border")(x, right)).tolist()
    [1.0, 2.0, 3.0, 3.0]
    """

    def __init__(
        self, interpolation: str = "bilinear", padding: str = "zeros", align_corners: bool = True, **kwargs
    ):
        # bfloat16 cannot tell a motion of 257 pixels from one of 256.
        super().__init__(autocast=False, **kwargs)
        for name, value, known in (
            ("interpolation", interpolation, ("bilinear", "nearest")),
            ("padding", padding, ("zeros", "border")),
        ):
            if value not in known:
                raise ValueError(f"{name} is {value!r}; it should be one of: {', '.join(known)}")
        self.options: dict[str, Any] = {
            "interpolation": interpolation,
            "padding": padding,
            "align_corners": align_corners,
        }

    def build(self, x_shape, flow_shape=None):
        """Nothing: there are no weights."""

    def compute_output_shape(self, x_shape, flow_shape=None):
        if flow_shape is None:
            x_shape, flow_shape = x_shape
        return (*flow_shape[:-1], x_shape[-1])

    def call(self, x, flow=None):
        if flow is None:
            x, flow = x
        return warp(ops.cast(x, self.compute_dtype), flow, **self.options)
