"""Guided deformable attention of RVRT (Liang et al., NeurIPS 2022): aligns a clip to the one before it."""

import keras
from keras import ops

from ascendcv.layers.frame_conv import FrameConv
from ascendcv.layers.linear import Linear
from ascendcv.layers.saving import serializable
from ascendcv.ops.deform_attn import deform_attn
from ascendvsr.layers.flow_blocks import head_dtype
from ascendvsr.models.rvrt.window_attention import Mlp


@serializable("ascendvsr")
class GuidedDeformAttn(keras.Layer):
    """Deformable attention between two clips of two frames, whose offsets are optical flow and a learnt residue.

    Args:
        dim: channels.
        attention_window: (rows, columns) of the window around each pixel; square and odd.
        attention_heads, deformable_groups: see `ascendcv.ops.deform_attn`.
        max_residue_magnitude: the largest residue, in pixels.
        impl: implementation of the attention (see `ascendcv.ops.registry`).

    `call(q, k, v, warped, flows)`:
        q: [N, 2, H, W, dim] features of this clip, of the branch before.
        k: the same of the clip before this one.
        v: [N, 2, H, W, dim] propagated features of the clip before.
        warped: two tensors like `v`: its frame t (first) and its other frame (second), warped to frame t.
        flows: two tensors [N, 2, H, W, 2] in pixels, which `warped` were warped by.

    Returns the aligned features [N, 2, H, W, dim] and the updated flows, a list like `flows`: the mean of all
    offsets. The flows and offsets are float32.

    Source: RVRT `GuidedDeformAttnPack`.
    """

    def __init__(
        self,
        dim: int,
        attention_window: tuple[int, int] = (3, 3),
        attention_heads: int = 12,
        deformable_groups: int = 12,
        max_residue_magnitude: float = 10.0,
        impl: str = "auto",
        **kwargs,
    ):
        if attention_window[0] != attention_window[1] or attention_window[0] % 2 == 0:
            raise ValueError(f"attention_window={attention_window} should be square and odd")
        super().__init__(autocast=False, **kwargs)
        self.kernel_size = attention_window[0]
        self.attention_heads = attention_heads
        self.deformable_groups = deformable_groups
        self.max_residue_magnitude = max_residue_magnitude
        self.impl = impl

        self.conv_offset = {str(2 * k): FrameConv(64, 3 if k else 1, activation=0.1) for k in range(5)}
        self.offset_channels = 2 * deformable_groups * self.kernel_size**2 * 2  # slots, groups, taps, (dy, dx)
        # At first the offsets are the flow alone.
        self.conv_offset["10"] = FrameConv(
            self.offset_channels,
            1,
            kernel_initializer="zeros",
            bias_initializer="zeros",
            dtype=head_dtype(self),
        )
        # Twice the channels in the attention "slightly improve the performance", the authors found.
        self.proj_q = {"1": Linear(2 * dim)}
        self.proj_k = {"1": Linear(2 * dim)}
        self.proj_v = {"1": Linear(2 * dim)}
        self.proj = {"1": Linear(dim)}
        self.mlp = {"1": Mlp(dim, 2 * dim)}

    def build(self, q_shape):
        *place, channels = q_shape
        guides = 2 * (channels + 2)  # warped features and flows
        for index, conv in enumerate(self.conv_offset.values()):
            conv.build((*place, 64 if index else channels + guides))
        for layer in (self.proj_q["1"], self.proj_k["1"], self.proj_v["1"], self.mlp["1"]):
            layer.build(q_shape)
        self.proj["1"].build((*place, self.proj_v["1"].units))

    def compute_output_shape(self, q_shape, k_shape, v_shape, warped_shape, flows_shape):
        return q_shape, list(flows_shape)

    def compute_output_spec(self, q, k, v, warped, flows):
        return (
            keras.KerasTensor(q.shape, self.compute_dtype),
            [keras.KerasTensor(flow.shape, head_dtype(self)) for flow in flows],
        )

    def call(self, q, k, v, warped, flows):
        offset = self._offset(q, warped, flows)
        aligned = deform_attn(
            self.proj_q["1"](q),
            ops.concatenate([self.proj_k["1"](k), self.proj_v["1"](v)], axis=-1),
            offset,
            attention_heads=self.attention_heads,
            deformable_groups=self.deformable_groups,
            kernel_size=self.kernel_size,
            impl=self.impl,
        )
        aligned = self.mlp["1"](self.proj["1"](aligned))
        return aligned, [_mean_flow(slot) for slot in ops.split(offset, 2, axis=-1)]

    def _offset(self, q, warped, flows):
        """[N, 2, H, W, slots * positions * 2]: pairs (dy, dx); slot 0 is the same frame of the clip before.

        No tensor has more than five dimensions: runtimes of exported graphs refuse more.
        """
        x = ops.concatenate([ops.cast(part, self.compute_dtype) for part in (q, *warped, *flows)], axis=-1)
        for conv in self.conv_offset.values():
            x = conv(x)
        residue = self.max_residue_magnitude * ops.tanh(x)
        positions = self.offset_channels // 4
        return residue + ops.concatenate(
            [ops.tile(_swapped(flow), (1, 1, 1, 1, positions)) for flow in flows], axis=-1
        )


def _swapped(pairs):
    """(x, y) -> (y, x), and back."""
    return ops.concatenate([pairs[..., 1:], pairs[..., :1]], axis=-1)


def _mean_flow(offset):
    """The flow [N, 2, H, W, 2] that the offsets [N, 2, H, W, positions * 2] of a slot are about."""
    batch, frames, height, width, channels = ops.shape(offset)
    pairs = ops.reshape(offset, (batch * frames, height, width, channels // 2, 2))
    return ops.reshape(_swapped(ops.mean(pairs, axis=-2)), (batch, frames, height, width, 2))
