"""Guided deformable attention as a layer."""

from typing import Any

import keras
from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.ops.deform_attn import deform_attn


@serializable("ascendcv")
class DeformableAttention(keras.layers.Layer):
    """Attention of every pixel of a clip to the taps of a window, moved by offsets, in each frame of another clip.

    As `keras.layers.Attention` it has no weights: queries, keys and values are given.

    Args:
        num_heads: heads, which divide the channels.
        deformable_groups: groups with offsets of their own, which divide keys and values side by side.
        kernel_size: side of the window, odd.
        impl: which implementation of the operation (see `ascendcv.ops.registry`).

    `call(query, key, value, offset)`: three [N, T, H, W, C] and [N, T, H, W, T * deformable_groups * kernel_size² *
    2], pairs (dy, dx) in pixels -> [N, T, H, W, C] in the layer's compute dtype: see
    `ascendcv.ops.deform_attn.deform_attn`. Offsets keep their own precision.

    Source: RVRT (Liang et al., NeurIPS 2022).

    >>> import numpy as np
    >>> from ascendcv.layers import DeformableAttention
    >>> clip, offset = np.ones((1, 2, 6, 8, 16), "float32"), np.zeros((1, 2, 6, 8, 2 * 4 * 9 * 2), "float32")
    >>> tuple(DeformableAttention(num_heads=2, deformable_groups=4)(clip, clip, clip, offset).shape)
    (1, 2, 6, 8, 16)
    """

    def __init__(
        self, num_heads: int, deformable_groups: int = 1, kernel_size: int = 3, impl: str = "auto", **kwargs
    ):
        super().__init__(autocast=False, **kwargs)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}; it should be odd")
        self.options: dict[str, Any] = {
            "attention_heads": num_heads,
            "deformable_groups": deformable_groups,
            "kernel_size": kernel_size,
            "impl": impl,
        }

    def build(self, query_shape, key_shape, value_shape, offset_shape):
        """Nothing: there are no weights."""

    def compute_output_shape(self, query_shape, key_shape, value_shape, offset_shape):
        return query_shape

    def call(self, query, key, value, offset):
        query, key, value = (ops.cast(features, self.compute_dtype) for features in (query, key, value))
        return deform_attn(query, ops.concatenate([key, value], axis=-1), offset, **self.options)
