"""BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond (Chan et al., CVPR 2021).

Features pass through the whole clip twice, from the last frame to the first and from the first to the last. At each
frame a branch takes what it made of the frame before (in its direction), moved by optical flow to where this frame
has it, together with the frame itself, and refines both by residual blocks. The features of both branches are fused
and upsampled, and the enlarged frame is added. Attributes carry the names of the published weights.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.saving import serializable
from ascendcv.ops.resize import resize
from ascendcv.ops.shuffle import pixel_shuffle
from ascendcv.ops.warp import warp
from ascendvsr.layers.padding import to_multiple
from ascendvsr.layers.residual import ResidualBlockNoBN
from ascendvsr.layers.turns import in_turn
from ascendvsr.models.flow.spynet import SpyNet
from ascendvsr.models.network import Network

SCALE = 4
SMALLEST_SIDE = 33  # of a frame between which the original's SpyNet can estimate motion


@serializable("ascendvsr")
class BasicVSR(Network):
    """Restores all frames of a clip, four times as large.

    Args:
        num_feat: channels of the features.
        num_block: residual blocks of each branch.

    `call(clip)`: [N, T, H, W, 3] RGB in [0, 1] -> [N, T, 4H, 4W, 3], float32, not clipped. Any T, H and W from 1:
    sides below 33 pixels, which the original refuses, are padded, and the result is cropped.

    Attributes:
        time: 'clip': one call restores all frames.
        scale: 4.
        in_channels: 3.

    6,291,311 parameters as published, SpyNet's 1,440,300 included. Source: BasicSR `BasicVSR`.

    >>> import numpy as np
    >>> from ascendvsr.models import BasicVSR
    >>> network = BasicVSR(num_feat=16, num_block=2)
    >>> tuple(network(np.zeros((1, 3, 12, 16, 3), "float32")).shape)
    (1, 3, 48, 64, 3)
    """

    time = "clip"
    scale = SCALE

    def __init__(self, num_feat: int = 64, num_block: int = 30, **kwargs):
        # Frames and flows stay in float32, whatever the layers compute in.
        super().__init__(autocast=False, **kwargs)
        self.num_feat = num_feat
        self.spynet = SpyNet()
        self.backward_trunk = ConvResidualBlocks(num_feat, num_block)
        self.forward_trunk = ConvResidualBlocks(num_feat, num_block)
        self.fusion = Conv2D(num_feat, 1, activation=0.1)
        self.upconv1 = Conv2D(num_feat * 4, activation=0.1)
        self.upconv2 = Conv2D(64 * 4, activation=0.1)
        self.conv_hr = Conv2D(64, activation=0.1)
        self.conv_last = Conv2D(3)
        self.build((None, None, None, None, self.in_channels))

    def build(self, clip_shape):
        """All weights, layer by layer: symbolic calls would pass through both branches."""
        place = (None, None, None)
        for trunk in (self.backward_trunk, self.forward_trunk):
            trunk.build((*place, 3 + self.num_feat))
        self.fusion.build((*place, 2 * self.num_feat))
        for conv in (self.upconv1, self.upconv2):
            conv.build((*place, self.num_feat))
        for conv in (self.conv_hr, self.conv_last):
            conv.build((*place, 64))

    def call(self, clip):
        return self.in_steps(lambda function: function)(clip)

    def in_steps(self, compiled: Callable[[Callable], Callable]) -> Callable:
        """`call` as a function that does its work in steps, each wrapped by `compiled`.

        With tf.function as `compiled` the graph has one copy of each branch, however many frames a clip has.
        """
        # Of functions inside of others, too, the graph has one copy.
        flow = compiled(self.spynet)
        trunks = {"backward": compiled(self.backward_trunk), "forward": compiled(self.forward_trunk)}
        begin = {branch: compiled(self._beginning(trunk)) for branch, trunk in trunks.items()}
        go_on = {branch: compiled(self._step(trunk, flow)) for branch, trunk in trunks.items()}
        reconstruct = compiled(self._reconstruct)

        def propagated(branch: str, frames: list) -> list:
            features = [begin[branch](frames[0])]
            for index in range(1, len(frames)):
                frame, before = in_turn(frames[index], features), in_turn(frames[index - 1], features)
                features.append(go_on[branch](frame, before, features[-1]))
            return features

        def restore(clip):
            _, count, height, width, _ = ops.shape(clip)
            clip = to_multiple(clip, 1, at_least=SMALLEST_SIDE)
            frames = [clip[:, index] for index in range(count)]
            backward = propagated("backward", frames[::-1])[::-1]
            forward = propagated("forward", frames)
            restored: list = []
            for index, frame in enumerate(frames):
                restored.append(reconstruct(in_turn(frame, restored), backward[index], forward[index]))
            return ops.stack(restored, axis=1)[:, :, : height * SCALE, : width * SCALE]

        return restore

    def _beginning(self, trunk: Callable) -> Callable:
        def begin(frame):
            """The first frame [N, H, W, 3] -> its features [N, H, W, num_feat]; those before it are 0."""
            nothing = ops.repeat(ops.zeros_like(frame[..., :1]), self.num_feat, axis=-1)
            return trunk(ops.concatenate([frame, nothing], axis=-1))

        return begin

    def _step(self, trunk: Callable, flow: Callable) -> Callable:
        def go_on(frame, before, propagated):
            """A frame, the one before it in the branch's direction and that one's features -> its features."""
            moved = warp(propagated, flow((frame, before)))
            return trunk(ops.concatenate([ops.cast(frame, moved.dtype), moved], axis=-1))

        return go_on

    def _reconstruct(self, frame, backward, forward):
        """A frame and its features of both branches -> the frame, restored."""
        x = self.fusion(ops.concatenate([backward, forward], axis=-1))
        x = pixel_shuffle(self.upconv1(x), 2)
        x = pixel_shuffle(self.upconv2(x), 2)
        residual = self.conv_last(self.conv_hr(x))
        _, height, width, _ = ops.shape(frame)
        return resize(frame, (height * SCALE, width * SCALE)) + ops.cast(residual, frame.dtype)


@serializable("ascendvsr")
class ConvResidualBlocks(keras.Layer):
    """A convolution and residual blocks: [N, H, W, C] -> [N, H, W, num_feat].

    Source: BasicSR `ConvResidualBlocks`.
    """

    def __init__(self, num_feat: int, num_block: int, **kwargs):
        super().__init__(**kwargs)
        self.main: dict[str, Any] = {
            "0": Conv2D(num_feat, activation=0.1),
            "2": [ResidualBlockNoBN(num_feat) for _ in range(num_block)],
        }

    def build(self, x_shape):
        self.main["0"].build(x_shape)
        for block in self.main["2"]:
            block.build((*x_shape[:-1], self.main["0"].filters))

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], self.main["0"].filters)

    def call(self, x):
        x = self.main["0"](x)
        for block in self.main["2"]:
            x = block(x)
        return x
