"""Residual Swin Transformer blocks for video: self-attention in shifted windows (Video Swin, SwinIR, VRT, RVRT)."""

import keras
import numpy as np
from keras import ops

from ascendcv.layers.frame_conv import FrameConv
from ascendcv.layers.linear import Linear
from ascendcv.layers.saving import serializable
from ascendcv.ops import registry
from ascendcv.ops.windows import (
    cyclic_shift,
    pad_to_windows,
    relative_position_index,
    window_partition,
    window_reverse,
)

Window = tuple[int, int, int]


@serializable("ascendvsr")
class RSTBWithInputConv(keras.Layer):
    """A convolution that brings features to `dim` channels, then residual Swin Transformer blocks.

    Args:
        dim: channels of the result.
        groups: of the convolution.
        num_blocks: blocks (RSTB).
        depth: Swin Transformer layers of a block; every second one shifts its windows.
        num_heads: of the attention.
        window: (frames, rows, columns) of its windows.
        mlp_ratio: hidden channels of the feed-forward parts, in units of `dim`.
        qkv_bias: whether queries, keys and values have a bias.
        qk_scale: what scores are multiplied by; None: 1 / sqrt(channels of a head).
        use_checkpoint_attn, use_checkpoint_ffn: compute the attention or feed-forward parts once more in the
            backward pass instead of keeping what is inside them.

    `call(x, shift_mask)`: [B, D, H, W, C] -> [B, D, H, W, dim]; D should be a multiple of the window's frames, H
    and W are free. `shift_mask` is that of `ascendcv.ops.windows.shifted_window_mask` for H, W and the window.

    Source: RVRT `RSTBWithInputConv`.
    """

    def __init__(
        self,
        dim: int,
        *,
        groups: int,
        num_blocks: int,
        depth: int,
        num_heads: int,
        window: Window,
        mlp_ratio: float = 2.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        use_checkpoint_attn: bool = False,
        use_checkpoint_ffn: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        swin = {
            "num_heads": num_heads,
            "window": window,
            "mlp_ratio": mlp_ratio,
            "qkv_bias": qkv_bias,
            "qk_scale": qk_scale,
            "use_checkpoint_attn": use_checkpoint_attn,
            "use_checkpoint_ffn": use_checkpoint_ffn,
        }
        self.main = {
            "1": FrameConv(dim, groups=groups),
            "3": layer_norm(),
            "5": [RSTB(dim, depth, swin) for _ in range(num_blocks)],
            "7": layer_norm(),
        }

    def build(self, x_shape):
        shape = (*x_shape[:-1], self.main["1"].filters)
        self.main["1"].build(x_shape)
        for layer in (self.main["3"], *self.main["5"], self.main["7"]):
            layer.build(shape)

    def compute_output_shape(self, x_shape, shift_mask_shape):
        return (*x_shape[:-1], self.main["1"].filters)

    def call(self, x, shift_mask):
        x = self.main["3"](self.main["1"](x))
        for block in self.main["5"]:
            x = block(x, shift_mask)
        return self.main["7"](x)


@serializable("ascendvsr")
class RSTB(keras.Layer):
    """Residual Swin Transformer block: x + linear(Swin Transformer layers(x))."""

    def __init__(self, dim: int, depth: int, swin: dict, **kwargs):
        super().__init__(**kwargs)
        self.residual_group = STG(dim, depth, swin)
        self.linear = Linear(dim)

    def build(self, x_shape):
        self.residual_group.build(x_shape)
        self.linear.build(x_shape)

    def compute_output_shape(self, x_shape, shift_mask_shape):
        return x_shape

    def call(self, x, shift_mask):
        return x + self.linear(self.residual_group(x, shift_mask))


@serializable("ascendvsr")
class STG(keras.Layer):
    """Group of Swin Transformer layers: windows are shifted in the second, fourth, ... one."""

    def __init__(self, dim: int, depth: int, swin: dict, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [STL(dim, shifted=index % 2 == 1, **swin) for index in range(depth)]

    def build(self, x_shape):
        for block in self.blocks:
            block.build(x_shape)

    def compute_output_shape(self, x_shape, shift_mask_shape):
        return x_shape

    def call(self, x, shift_mask):
        for block in self.blocks:
            x = block(x, shift_mask)
        return x


@serializable("ascendvsr")
class STL(keras.Layer):
    """Swin Transformer layer: attention inside windows, then a feed-forward part, each after a norm, each residual.

    Features are padded with zeros to whole windows after the norm; the padded tokens take part in the attention.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        window: Window,
        shifted: bool,
        mlp_ratio: float,
        qkv_bias: bool,
        qk_scale: float | None,
        use_checkpoint_attn: bool,
        use_checkpoint_ffn: bool,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.window = window
        # Never in time: a clip is one window long, or the window one frame.
        self.shift = (window[1] // 2, window[2] // 2) if shifted else (0, 0)
        self.norm1 = layer_norm()
        self.attn = WindowAttention(dim, num_heads, window, qkv_bias, qk_scale)
        self.norm2 = layer_norm()
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.use_checkpoint_attn = use_checkpoint_attn
        self.use_checkpoint_ffn = use_checkpoint_ffn

    def build(self, x_shape):
        for layer in (self.norm1, self.attn, self.norm2, self.mlp):
            layer.build(x_shape)

    def compute_output_shape(self, x_shape, shift_mask_shape):
        return x_shape

    def call(self, x, shift_mask):
        attend = keras.remat(self._attend) if self.use_checkpoint_attn else self._attend
        feed_forward = keras.remat(self._feed_forward) if self.use_checkpoint_ffn else self._feed_forward
        x = x + attend(x, shift_mask)
        return x + feed_forward(x)

    def _attend(self, x, shift_mask):
        _, frames, height, width, _ = ops.shape(x)
        down, right = self.shift
        x = pad_to_windows(self.norm1(x), self.window)
        _, _, padded_height, padded_width, _ = ops.shape(x)
        if down:
            x = cyclic_shift(x, -down, -right)
        windows = self.attn(window_partition(x, self.window), shift_mask if down else None)
        x = window_reverse(windows, self.window, frames, padded_height, padded_width)
        if down:
            x = cyclic_shift(x, down, right)
        return x[:, :, :height, :width]

    def _feed_forward(self, x):
        return self.mlp(self.norm2(x))


@serializable("ascendvsr")
class WindowAttention(keras.Layer):
    """Self-attention with several heads inside windows, with a learnt bias for each difference of places.

    `call(x, shift_mask)`: [B * windows, tokens, C] -> the same shape; `shift_mask` [windows, 1, tokens, tokens] is
    added to the scores, or None.
    """

    def __init__(self, dim: int, num_heads: int, window: Window, qkv_bias: bool, qk_scale: float | None, **kwargs):
        super().__init__(**kwargs)
        if dim % num_heads:
            raise ValueError(f"{dim} channels cannot be divided among {num_heads} heads")
        self.num_heads = num_heads
        self.scale = qk_scale or (dim // num_heads) ** -0.5
        self.window = window
        self.qkv_self = Linear(3 * dim, use_bias=qkv_bias)
        self.proj = Linear(dim)

    @property
    def official_constants(self) -> dict[str, np.ndarray]:
        """What published weights hold beside weights: the places of the pairs of tokens in the table of biases."""
        return {"relative_position_index": relative_position_index(self.window)}

    def build(self, x_shape):
        d, h, w = self.window
        self.relative_position_bias_table = self.add_weight(
            name="relative_position_bias_table",
            shape=((2 * d - 1) * (2 * h - 1) * (2 * w - 1), self.num_heads),
            initializer="zeros",
        )
        self.qkv_self.build(x_shape)
        self.proj.build(x_shape)

    def compute_output_shape(self, x_shape, shift_mask_shape=None):
        return x_shape

    def call(self, x, shift_mask=None):
        _, tokens, channels = x.shape
        qkv = ops.reshape(self.qkv_self(x), (-1, tokens, 3, self.num_heads, channels // self.num_heads))
        q, k, v = ops.unstack(
            ops.transpose(qkv, (2, 0, 3, 1, 4)), 3
        )  # [B * windows, heads, tokens, C / heads] each
        scores = ops.matmul(q * self.scale, ops.swapaxes(k, -2, -1)) + self._position_bias(scores_dtype=q.dtype)
        if shift_mask is not None:
            windows = ops.shape(shift_mask)[0]
            scores = ops.reshape(scores, (-1, windows, self.num_heads, tokens, tokens)) + ops.cast(
                shift_mask, q.dtype
            )
            scores = ops.reshape(scores, (-1, self.num_heads, tokens, tokens))
        y = ops.transpose(ops.matmul(ops.softmax(scores), v), (0, 2, 1, 3))
        return self.proj(ops.reshape(y, (-1, tokens, channels)))

    def _position_bias(self, scores_dtype: str):
        """[heads, tokens, tokens]."""
        index = relative_position_index(self.window)
        # Along axis 1, because TensorFlow's gradient of taking rows is sparse.
        bias = ops.take(ops.transpose(self.relative_position_bias_table), index.ravel(), axis=1)
        return ops.cast(ops.reshape(bias, (self.num_heads, *index.shape)), scores_dtype)


@serializable("ascendvsr")
class Mlp(keras.Layer):
    """fc2(GELU(fc1(x))), with the exact GELU."""

    def __init__(self, dim: int, hidden: int, **kwargs):
        super().__init__(**kwargs)
        self.fc1 = Linear(hidden)
        self.fc2 = Linear(dim)

    def build(self, x_shape):
        self.fc1.build(x_shape)
        self.fc2.build((*x_shape[:-1], self.fc1.units))

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], self.fc2.units)

    def call(self, x):
        return self.fc2(_gelu(self.fc1(x)))


def _gelu(x):
    """The exact GELU. (Keras's takes `erfc`, which is several times slower than `erf` on CPUs.)"""
    erf = registry.substitute("erf") or ops.erf
    return x * (0.5 + 0.5 * erf(x * 0.5**0.5))


def layer_norm() -> keras.Layer:
    """torch.nn.LayerNorm, whose epsilon is not Keras's."""
    return keras.layers.LayerNormalization(epsilon=1e-5)
