"""Residual Swin Transformer blocks for video: self-attention in shifted windows (Video Swin, SwinIR, VRT, RVRT)."""

import keras
import numpy as np
from keras import ops

from ascendcv.layers.frame_conv import FrameConv
from ascendcv.layers.linear import Linear
from ascendcv.layers.saving import serializable
from ascendcv.ops.feed_forward import feed_forward
from ascendcv.ops.window_attention import window_attention
from ascendcv.ops.windows import relative_position_index

Window = tuple[int, int, int]
EPSILON = 1e-5  # of layer normalizations


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

    `call(x)`: [B, D, H, W, C] -> [B, D, H, W, dim]; D should be a multiple of the window's frames, H
    and W are free.

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

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], self.main["1"].filters)

    def call(self, x):
        x = self.main["3"](self.main["1"](x))
        for block in self.main["5"]:
            x = block(x)
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

    def compute_output_shape(self, x_shape):
        return x_shape

    def call(self, x):
        return x + self.linear(self.residual_group(x))


@serializable("ascendvsr")
class STG(keras.Layer):
    """Group of Swin Transformer layers: windows are shifted in the second, fourth, ... one."""

    def __init__(self, dim: int, depth: int, swin: dict, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [STL(dim, shifted=index % 2 == 1, **swin) for index in range(depth)]

    def build(self, x_shape):
        for block in self.blocks:
            block.build(x_shape)

    def compute_output_shape(self, x_shape):
        return x_shape

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return x


@serializable("ascendvsr")
class STL(keras.Layer):
    """Swin Transformer layer: attention inside windows, then feed-forward, each after a norm, each residual."""

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
        self.norm1 = layer_norm()
        self.attn = WindowAttention(dim, num_heads, window, shifted, qkv_bias, qk_scale)
        self.norm2 = layer_norm()
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.use_checkpoint_attn = use_checkpoint_attn
        self.use_checkpoint_ffn = use_checkpoint_ffn

    def build(self, x_shape):
        for layer in (self.norm1, self.attn, self.norm2, self.mlp):
            layer.build(x_shape)

    def compute_output_shape(self, x_shape):
        return x_shape

    def call(self, x):
        attend = keras.remat(self._attend) if self.use_checkpoint_attn else self._attend
        feed_forward = keras.remat(self._feed_forward) if self.use_checkpoint_ffn else self._feed_forward
        return feed_forward(attend(x))

    def _attend(self, x):
        return self.attn(x, *_gamma_and_beta(self.norm1))

    def _feed_forward(self, x):
        return self.mlp(x, *_gamma_and_beta(self.norm2))


@serializable("ascendvsr")
class WindowAttention(keras.Layer):
    """Normalized features attend to each other inside windows, with a learned bias for each difference of places.

    Args:
        dim: channels.
        num_heads: that they are divided among.
        window: (frames, rows, columns).
        shifted: whether windows are shifted by half of their rows and columns. Never in time: a clip is one window
            long, or the window one frame.
        qkv_bias: whether queries, keys and values have a bias.
        qk_scale: what scores are multiplied by; None: 1 / sqrt(channels of a head).

    `call(x, gamma, beta)`: x + attention(layer norm of x by gamma and beta); [B, D, H, W, C].
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window: Window,
        shifted: bool,
        qkv_bias: bool,
        qk_scale: float | None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if dim % num_heads:
            raise ValueError(f"{dim} channels cannot be divided among {num_heads} heads")
        self.num_heads = num_heads
        self.scale = qk_scale or (dim // num_heads) ** -0.5
        self.window = window
        self.shifted = shifted
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

    def compute_output_shape(self, x_shape):
        return x_shape

    def call(self, x, gamma, beta):
        dtype = self.compute_dtype
        return window_attention(
            x,
            (gamma, beta),
            self.qkv_self.weights_for(dtype),
            ops.cast(self.relative_position_bias_table, dtype),
            self.proj.weights_for(dtype),
            window=self.window,
            heads=self.num_heads,
            shifted=self.shifted,
            scale=self.scale,
            epsilon=EPSILON,
        )


@serializable("ascendvsr")
class Mlp(keras.Layer):
    """x + fc2(GELU(fc1(x))), with the exact GELU; [..., C].

    `call(x, gamma, beta)` takes fc1 of the layer norm of x by gamma and beta.
    """

    def __init__(self, dim: int, hidden: int, **kwargs):
        super().__init__(**kwargs)
        self.fc1 = Linear(hidden)
        self.fc2 = Linear(dim)

    def build(self, x_shape):
        self.fc1.build(x_shape)
        self.fc2.build((*x_shape[:-1], self.fc1.units))

    def compute_output_shape(self, x_shape):
        return x_shape

    def call(self, x, gamma=None, beta=None):
        dtype = self.compute_dtype
        return feed_forward(
            x,
            self.fc1.weights_for(dtype),
            self.fc2.weights_for(dtype),
            None if gamma is None else (gamma, beta),
            epsilon=EPSILON,
        )


def layer_norm() -> keras.Layer:
    """torch.nn.LayerNorm, whose epsilon is not Keras's."""
    return keras.layers.LayerNormalization(epsilon=EPSILON)


def _gamma_and_beta(norm: keras.Layer):
    return ops.convert_to_tensor(norm.gamma), ops.convert_to_tensor(norm.beta)
