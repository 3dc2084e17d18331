"""CDVD-TSP: Cascaded Deep Video Deblurring Using Temporal Sharpness Prior (Pan, Bai, Tang, CVPR 2020).

A stage restores a frame from itself, its two neighbors warped to it by optical flow, and a map of where the three
agree. The cascade applies the same stage again and again: to all triples of neighbors in the window, then to what
came out of them, until one frame is left. Attributes carry the names of the published weights.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.conv_transpose import Conv2DTranspose
from ascendcv.layers.saving import serializable
from ascendcv.ops.sharpness_prior import sharpness_prior
from ascendcv.ops.warp import warp
from ascendvsr.layers.flow_blocks import visible
from ascendvsr.layers.padding import to_multiple
from ascendvsr.models.flow.pwcnet import PWCNet
from ascendvsr.models.network import Network

_CHANNELS = 3  # of frames: the flow network and the cascade take nothing else
_KERNEL = 5


class Frames(NamedTuple):
    """Frames [N, H, W, 3], and what the flow network sees in them: its pyramid, tensors whose first axis is N."""

    pixels: Any
    features: list

    def part(self, begin, end) -> "Frames":
        """The frames begin, ..., end - 1."""
        return Frames(self.pixels[begin:end], [level[begin:end] for level in self.features])


@serializable("ascendvsr")
class CDVDTSP(Network):
    """Deblurs the middle frame of a window.

    Args:
        in_channels, out_channels: channels of frames; 3.
        n_sequence: frames of a window, 3, 5 or 7: one, two or three stages.
        n_resblock: residual blocks at each place of the reconstruction network.
        n_feat: its channels at full size.
        is_mask_filter: whether the sharpness prior compares means over 5x5 pixels.
        impl: implementation of the flow network's cost volumes (see `ascendcv.ops.registry`).
        size: what happens to frames whose sides are not multiples of 4: 'pad', or 'crop' as in the original.

    `call(clip)`: [N, n_sequence, H, W, 3] RGB in [0, 1] -> [N, H, W, 3], float32, not clipped. Any H and W from 1.
    `stages(clip)` gives what the loss looks at. `stream` restores a video with two reconstructions a frame, where a
    window of five needs four.

    16,187,045 parameters, whatever `n_sequence`. Source: CDVD-TSP `CDVD_TSP`, and its fork by Etienne66 for 3 and 7
    frames.

    >>> import numpy as np
    >>> from ascendvsr.models import CDVDTSP
    >>> network = CDVDTSP(n_sequence=3, n_feat=8)
    >>> tuple(network(np.zeros((1, 3, 12, 16, 3), "float32")).shape)
    (1, 12, 16, 3)
    """

    size_multiple = 4

    def __init__(
        self,
        in_channels: int = _CHANNELS,
        n_sequence: int = 5,
        out_channels: int = _CHANNELS,
        n_resblock: int = 3,
        n_feat: int = 32,
        is_mask_filter: bool = True,
        *,
        impl: str = "auto",
        size: str = "pad",
        **kwargs,
    ):
        if n_sequence not in (3, 5, 7):
            raise ValueError(f"n_sequence should be 3, 5 or 7, not {n_sequence}")
        if (in_channels, out_channels) != (_CHANNELS, _CHANNELS):
            raise ValueError(f"frames have {_CHANNELS} channels, not {in_channels} and {out_channels}")
        # Flow, and frames that are handed on from stage to stage, stay in float32 whatever the layers compute in.
        super().__init__(autocast=False, **kwargs)
        self.num_frame = n_sequence
        self.center_frame_idx = n_sequence // 2
        self.is_mask_filter = is_mask_filter
        self.size = size
        # The original's module around PWC-Net adds a step to the names of its weights.
        self.official_names = {"flow_net": "flow_net.moduleNetwork"}
        self.flow_net = PWCNet(impl=impl)
        self.recons_net = ReconstructionNetwork(out_channels, n_resblock, n_feat)
        self.build((None, n_sequence, None, None, in_channels))

    def build(self, clip_shape):
        """What the flow network has not built itself; its input is three frames and the prior."""
        self.recons_net.build((None, None, None, 3 * _CHANNELS + 1))

    def call(self, clip):
        return self.stages(clip)[-1][0]

    def stages(self, clip) -> list[list]:
        """What each stage restores of [N, n_sequence, H, W, 3]: of five frames [[r1, r2, r3], [out]].

        All are [N, H, W, 3]. A stage's frames are those of the stage before but for the first and the last. With
        `size` 'crop' H and W are the multiples of 4 below.
        """
        batch, _, height, width, _ = ops.shape(clip)
        # Time comes first, so that triples are slices: all of a stage is computed at once.
        frames = list(ops.unstack(to_multiple(clip, self.size_multiple, self.size), self.num_frame, axis=1))
        restored = []
        while len(frames) > 1:
            seen, count = self._seen(ops.concatenate(frames, axis=0)), len(frames) - 2
            triples = [seen.part(first * batch, (first + count) * batch) for first in range(3)]
            frames = ops.split(self._restored(*triples), count, axis=0)
            restored.append([frame[:, :height, :width] for frame in frames])
        return restored

    def stream(self, compiled: Callable[[Callable], Callable]) -> Callable:
        """Restores a video window by window, computing once what consecutive windows share.

        Args:
            compiled: wraps a function of tensors, for example in `tf.function`.

        Returns `restore_next(numbers, window, kept)`, which gives what `call(window)` does, for a window [1,
        n_sequence, H, W, 3] whose frames have these numbers in the video. A number that comes again, in the same
        window at an end of the video or in the next one, is the same frame. `kept` is empty for the first window of
        a video and holds what is known from window to window.
        """
        see = compiled(lambda frame: self._seen(to_multiple(frame[:, None], self.size_multiple, self.size)[:, 0]))
        restore = compiled(self._restored)

        def restore_next(numbers: Sequence[int], window, kept: dict[tuple[int, ...], Frames]):
            # What stage s makes of the frame at position p follows from the frames p - s, ..., p + s.
            keys = [
                [tuple(numbers[begin : begin + length]) for begin in range(len(numbers) - length + 1)]
                for length in range(1, len(numbers), 2)
            ]
            for key in kept.keys() - {key for stage in keys for key in stage}:
                del kept[key]
            for position, key in enumerate(keys[0]):
                if key not in kept:
                    kept[key] = see(window[:, position])
            for stage in keys[1:]:
                for key in stage:
                    if key not in kept:
                        kept[key] = see(restore(*_triple(kept, key)))
            restored = restore(*_triple(kept, tuple(numbers)))
            _, _, height, width, _ = window.shape
            return restored[:, :height, :width]

        return restore_next

    def _seen(self, frames) -> Frames:
        return Frames(frames, self.flow_net.features(frames))

    def _restored(self, previous: Frames, middle: Frames, following: Frames):
        """One stage: the middle frames, restored."""
        batch, height, width, _ = ops.shape(middle.pixels)
        neighbors = [
            ops.concatenate(pair, axis=0) for pair in zip(previous.features, following.features, strict=True)
        ]
        flow = self.flow_net.flow_between(
            [ops.concatenate([level, level], axis=0) for level in middle.features], neighbors, (height, width)
        )
        pixels = ops.concatenate([previous.pixels, following.pixels], axis=0)
        warped, inside = warped_inside(pixels, flow)
        before, after = warped[:batch], warped[batch:]
        known = inside[:batch] * inside[batch:]
        prior = sharpness_prior(before, middle.pixels, after, known, filtered=self.is_mask_filter)
        restored = self.recons_net(ops.concatenate([before, middle.pixels, after, prior], axis=-1))
        return ops.cast(restored, middle.pixels.dtype)


@serializable("ascendvsr")
class ReconstructionNetwork(keras.Layer):
    """An encoder and decoder with sums across: [N, H, W, 10] -> [N, H, W, out_channels]; H, W multiples of 4.

    Its input: the warped previous frame, the middle one, the warped next one, and the sharpness prior. Nothing is
    added to its output, so that it restores the frame and not a residual.

    Source: CDVD-TSP `RECONS_VIDEO`.
    """

    def __init__(self, out_channels: int, n_resblock: int, n_feat: int, **kwargs):
        super().__init__(**kwargs)

        def blocks(filters: int) -> list:
            return [ResBlock(filters) for _ in range(n_resblock)]

        self.inBlock = [Conv2D(n_feat, _KERNEL, activation="relu"), *blocks(n_feat)]
        self.encoder_first = [Conv2D(2 * n_feat, _KERNEL, stride=2, activation="relu"), *blocks(2 * n_feat)]
        self.encoder_second = [Conv2D(4 * n_feat, _KERNEL, stride=2, activation="relu"), *blocks(4 * n_feat)]
        self.decoder_second = [*blocks(4 * n_feat), _upsampling(2 * n_feat)]
        self.decoder_first = [*blocks(2 * n_feat), _upsampling(n_feat)]
        self.outBlock = [*blocks(n_feat), Conv2D(out_channels, _KERNEL)]
        # There a convolution and its activation are one step.
        steps = ["inBlock.0", "encoder_first.0", "encoder_second.0"]
        steps += [f"decoder_second.{n_resblock}", f"decoder_first.{n_resblock}"]
        self.official_names = {step: f"{step}.0" for step in steps}

    def build(self, x_shape):
        *place, channels = x_shape
        encoder = (*self.inBlock, *self.encoder_first, *self.encoder_second)
        for layer in (*encoder, *self.decoder_second, *self.decoder_first, *self.outBlock):
            layer.build((*place, channels))
            channels = layer.filters

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], self.outBlock[-1].filters)

    def call(self, x):
        full = _encoded(self.inBlock, x)
        half = _encoded(self.encoder_first, full)
        quarter = _encoded(self.encoder_second, half)
        half = half + _decoded(self.decoder_second, quarter)
        full = full + _decoded(self.decoder_first, half)
        *blocks, last = self.outBlock
        for block in blocks:
            full = block(full)
        return last(full)


@serializable("ascendvsr")
class ResBlock(keras.Layer):
    """x + conv2(relu(conv1(x))) with 5x5 convolutions. Source: CDVD-TSP `ResBlock`."""

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.conv1 = Conv2D(filters, _KERNEL, activation="relu")
        self.conv2 = Conv2D(filters, _KERNEL)

    def build(self, input_shape):
        self.conv1.build(input_shape)
        self.conv2.build(input_shape)

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, x):
        return self.conv2(self.conv1(x), residual=x)


def warped_inside(frames, flow):
    """Frames [N, H, W, C] warped by flow [N, H, W, 2], black where it leaves them; and [N, H, W, 1], 1 where not.

    No gradient passes through the mask. Source: CDVD-TSP `Flow_PWC.warp`.
    """
    inside = ops.cast(visible(flow, 0.999), frames.dtype)
    return warp(frames, flow, padding="border") * inside, inside


def _triple(known: dict[tuple[int, ...], Frames], key: tuple[int, ...]) -> list[Frames]:
    """What the stage below made of the frames around the middle one."""
    return [known[part] for part in (key[:-2], key[1:-1], key[2:])]


def _upsampling(filters: int) -> Conv2DTranspose:
    return Conv2DTranspose(filters, 3, stride=2, padding=1, output_padding=1)


def _encoded(layers: list, x):
    for layer in layers:
        x = layer(x)
    return x


def _decoded(layers: list, x):
    *blocks, last = layers
    for block in blocks:
        x = block(x)
    return ops.relu(last(x))
