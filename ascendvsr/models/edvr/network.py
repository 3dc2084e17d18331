"""EDVR: Video Restoration with Enhanced Deformable Convolutional Networks (Wang et al., CVPR Workshops 2019).

A window of frames becomes its middle frame, restored: features of every frame (after a small deblurring network, by
choice), alignment to the middle frame by a pyramid of deformable convolutions (PCD), fusion by temporal and spatial
attention (TSA), reconstruction and upsampling. Attributes carry the names of the published weights.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.deform_conv import DCNv2Pack
from ascendcv.layers.saving import serializable
from ascendcv.ops.pool import avg_pool2d, max_pool2d
from ascendcv.ops.resize import resize
from ascendcv.ops.shuffle import pixel_shuffle
from ascendcv.ops.tracing import traced_once
from ascendvsr.layers.padding import to_multiple
from ascendvsr.layers.residual import ResidualBlockNoBN
from ascendvsr.layers.streams import restore_by_frame
from ascendvsr.models.network import Network

SLOPE = 0.1  # of the leaky ReLU below 0


@serializable("ascendvsr")
class EDVR(Network):
    """Restores the middle frame of a window: x4 super-resolution, or deblurring at the input's size.

    Args:
        num_in_ch, num_out_ch: channels of input and output frames.
        num_feat: channels of features: 64 (M) or 128 (L).
        num_hr_feat: channels of the features at four times the size, before the last convolution; 64 in the paper.
        num_frame: frames of a window.
        deformable_groups: groups of channels with offsets of their own.
        num_extract_block, num_reconstruct_block: residual blocks before the alignment and after the fusion.
        center_frame_idx: which frame of the window is restored; None: the middle one.
        hr_in: input frames have the size of the output (features are computed at a quarter of it).
        with_predeblur: whether a small deblurring network comes first.
        with_tsa: temporal and spatial attention; else one 1x1 convolution fuses the frames.
        impl: implementation of the deformable convolutions (see `ascendcv.ops.registry`).
        size: what happens to frames whose sides are not multiples of `size_multiple`: 'pad' or 'crop'.

    `call(clip)`: [N, num_frame, H, W, num_in_ch] RGB in [0, 1] -> [N, H * scale, W * scale, num_out_ch], float32,
    not clipped. Any H and W from 1.

    Attributes:
        time: 'window': one call restores one frame.
        scale: 4, or 1 with `hr_in`.
        in_channels: num_in_ch.
        size_multiple: 4, or 16 with `hr_in`.

    Source: BasicSR `EDVR`.

    >>> import numpy as np
    >>> from ascendvsr.models import EDVR
    >>> network = EDVR(num_feat=16, deformable_groups=4)
    >>> tuple(network(np.zeros((1, 5, 12, 16, 3), "float32")).shape)
    (1, 48, 64, 3)
    """

    time = "window"

    def __init__(
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        num_feat: int = 64,
        num_frame: int = 5,
        deformable_groups: int = 8,
        num_extract_block: int = 5,
        num_reconstruct_block: int = 10,
        center_frame_idx: int | None = None,
        hr_in: bool = False,
        with_predeblur: bool = False,
        with_tsa: bool = True,
        *,
        num_hr_feat: int = 64,
        impl: str = "auto",
        size: str = "pad",
        **kwargs,
    ):
        if num_feat % deformable_groups:
            raise ValueError(f"num_feat={num_feat} should be a multiple of deformable_groups={deformable_groups}")
        # Frames enter in float32, whatever the layers compute in: the skip connection adds them to the result.
        super().__init__(autocast=False, **kwargs)
        self.num_frame = num_frame
        self.center_frame_idx = num_frame // 2 if center_frame_idx is None else center_frame_idx
        self.hr_in = hr_in
        self.with_predeblur = with_predeblur
        self.with_tsa = with_tsa
        self.size = size
        self.scale = 1 if hr_in else 4
        self.in_channels = num_in_ch
        self.out_channels = num_out_ch
        self.size_multiple = 16 if hr_in else 4

        if with_predeblur:
            self.predeblur = PredeblurModule(num_feat, hr_in)
            self.conv_1x1 = Conv2D(num_feat, 1)
        else:
            self.conv_first = Conv2D(num_feat, activation=SLOPE)
        self.feature_extraction = [ResidualBlockNoBN(num_feat) for _ in range(num_extract_block)]
        self.conv_l2_1 = Conv2D(num_feat, stride=2, activation=SLOPE)
        self.conv_l2_2 = Conv2D(num_feat, activation=SLOPE)
        self.conv_l3_1 = Conv2D(num_feat, stride=2, activation=SLOPE)
        self.conv_l3_2 = Conv2D(num_feat, activation=SLOPE)

        self.pcd_align = PCDAlignment(num_feat, deformable_groups, impl)
        self.fusion: keras.Layer
        if with_tsa:
            self.fusion = TSAFusion(num_feat, self.center_frame_idx)
        else:
            self.fusion = Conv2D(num_feat, 1)

        self.reconstruction = [ResidualBlockNoBN(num_feat) for _ in range(num_reconstruct_block)]
        self.upconv1 = Conv2D(num_feat * 4, activation=SLOPE)
        self.upconv2 = Conv2D(num_hr_feat * 4, activation=SLOPE)
        self.conv_hr = Conv2D(num_hr_feat, activation=SLOPE)
        self.conv_last = Conv2D(num_out_ch)

        self.build((None, num_frame, None, None, num_in_ch))

    def build(self, clip_shape):
        """All weights, in the order of `call`."""
        frames, features = (None, None, None, self.in_channels), (None, None, None, self.conv_l2_1.filters)
        if self.with_predeblur:
            self.predeblur.build(frames)
            self.conv_1x1.build(features)
        else:
            self.conv_first.build(frames)
        layer: keras.Layer
        strided = (self.conv_l2_1, self.conv_l2_2, self.conv_l3_1, self.conv_l3_2)
        for layer in (*self.feature_extraction, *strided):
            layer.build(features)
        self.pcd_align.build([features] * 3, [features] * 3)
        *place, channels = features
        if self.with_tsa:
            self.fusion.build((None, self.num_frame, None, None, channels))
        else:
            self.fusion.build((*place, self.num_frame * channels))
        for layer in (*self.reconstruction, self.upconv1, self.upconv2):
            layer.build(features if layer is not self.upconv2 else (*place, self.upconv1.filters // 4))
        for layer in (self.conv_hr, self.conv_last):
            layer.build((*place, self.conv_hr.filters))

    def call(self, clip):
        batch, _, height, width, channels = ops.shape(clip)
        # All frames at once; then one by one, because the samples of a deformable convolution are nine times as
        # large as its input.
        features = self.features(ops.reshape(clip, (batch * self.num_frame, height, width, channels)))
        by_frame = [ops.reshape(tensor, (batch, self.num_frame, *ops.shape(tensor)[1:])) for tensor in features]
        by_frame = [ops.unstack(tensor, self.num_frame, axis=1) for tensor in by_frame]
        restored = self.restore(list(zip(*by_frame, strict=True)))
        return restored[:, : height * self.scale, : width * self.scale] if self.size == "pad" else restored

    def features(self, frames) -> list:
        """What windows with a frame need of it: [N, H, W, C] -> the sized frame and three levels of features."""
        frames = to_multiple(frames[:, None], self.size_multiple, self.size)[:, 0]
        if self.with_predeblur:
            feat_l1 = self.conv_1x1(self.predeblur(frames))
        else:
            feat_l1 = self.conv_first(frames)
        for block in self.feature_extraction:
            feat_l1 = block(feat_l1)
        feat_l2 = self.conv_l2_2(self.conv_l2_1(feat_l1))
        feat_l3 = self.conv_l3_2(self.conv_l3_1(feat_l2))
        return [frames, feat_l1, feat_l2, feat_l3]

    def restore(self, features: Sequence[Sequence]):
        """The restored frame [N, scale * H, scale * W, C], of frames sized, from what `features` gave for each."""
        center, *reference = features[self.center_frame_idx]
        align = traced_once(self.pcd_align)
        aligned = [align(levels, reference) for _, *levels in features]
        if self.with_tsa:
            feat = self.fusion(ops.stack(aligned, axis=1))
        else:
            feat = self.fusion(ops.concatenate(aligned, axis=-1))
        for block in self.reconstruction:
            feat = block(feat)
        feat = pixel_shuffle(self.upconv1(feat), 2)
        feat = pixel_shuffle(self.upconv2(feat), 2)
        residual = self.conv_last(self.conv_hr(feat))
        if not self.hr_in:
            center = resize(center, _times(center, 4))
        return center + ops.cast(residual, center.dtype)

    def stream(self, compiled: Callable) -> Callable:
        """Restores the windows of a video, the features of each frame computed once, to the same bits.

        Args:
            compiled: wraps the functions of tensors that do the work, such as `tf.function`.

        Returns what `ascendvsr.layers.streams.restore_by_frame` does.
        """
        return restore_by_frame(self.features, self.restore, compiled, self.scale)


@serializable("ascendvsr")
class PredeblurModule(keras.Layer):
    """Deblurring at three scales before the feature extraction: [N, H, W, C] -> [N, h, w, num_feat].

    With `hr_in` two strided convolutions come first, and h and w are quarters of H and W.
    """

    def __init__(self, num_feat: int, hr_in: bool, **kwargs):
        super().__init__(**kwargs)
        self.hr_in = hr_in
        self.conv_first = Conv2D(num_feat, activation=SLOPE)
        if hr_in:
            self.stride_conv_hr1 = Conv2D(num_feat, stride=2, activation=SLOPE)
            self.stride_conv_hr2 = Conv2D(num_feat, stride=2, activation=SLOPE)
        self.stride_conv_l2 = Conv2D(num_feat, stride=2, activation=SLOPE)
        self.stride_conv_l3 = Conv2D(num_feat, stride=2, activation=SLOPE)
        self.resblock_l3 = ResidualBlockNoBN(num_feat)
        self.resblock_l2_1 = ResidualBlockNoBN(num_feat)
        self.resblock_l2_2 = ResidualBlockNoBN(num_feat)
        self.resblock_l1 = [ResidualBlockNoBN(num_feat) for _ in range(5)]

    def build(self, frames_shape):
        features = (*frames_shape[:-1], self.conv_first.filters)
        self.conv_first.build(frames_shape)
        strided = [self.stride_conv_hr1, self.stride_conv_hr2] if self.hr_in else []
        blocks = (self.resblock_l2_1, self.resblock_l3, self.resblock_l2_2, *self.resblock_l1)
        layer: keras.Layer
        for layer in (*strided, self.stride_conv_l2, self.stride_conv_l3, *blocks):
            layer.build(features)

    def compute_output_shape(self, frames_shape):
        batch, height, width, _ = frames_shape
        if self.hr_in:
            height, width = (side and -(-side // 4) for side in (height, width))
        return batch, height, width, self.conv_first.filters

    def call(self, frames):
        feat_l1 = self.conv_first(frames)
        if self.hr_in:
            feat_l1 = self.stride_conv_hr1(feat_l1)
            feat_l1 = self.stride_conv_hr2(feat_l1)
        feat_l2 = self.stride_conv_l2(feat_l1)
        feat_l3 = self.stride_conv_l3(feat_l2)

        feat_l2 = self.resblock_l2_1(feat_l2) + _upsample(self.resblock_l3(feat_l3))
        feat_l2 = _upsample(self.resblock_l2_2(feat_l2))
        for block in self.resblock_l1[:2]:
            feat_l1 = block(feat_l1)
        feat_l1 = feat_l1 + feat_l2
        for block in self.resblock_l1[2:]:
            feat_l1 = block(feat_l1)
        return feat_l1


@serializable("ascendvsr")
class PCDAlignment(keras.Layer):
    """Pyramid, cascading and deformable alignment (section 3.2 of the paper).

    `call(neighbor, reference)`: features of a frame and of the center frame at three levels, the finest first,
    [N, h, w, C], [N, h/2, w/2, C] and [N, h/4, w/4, C]; gives the frame's features aligned, [N, h, w, C].
    """

    def __init__(self, num_feat: int, deformable_groups: int, impl: str, **kwargs):
        super().__init__(**kwargs)
        levels = ("l3", "l2", "l1")
        pack: dict[str, Any] = {"deformable_groups": deformable_groups, "impl": impl}
        self.offset_conv1 = {level: Conv2D(num_feat, activation=SLOPE) for level in levels}
        self.offset_conv2 = {level: Conv2D(num_feat, activation=SLOPE) for level in levels}
        self.offset_conv3 = {level: Conv2D(num_feat, activation=SLOPE) for level in levels[1:]}
        self.dcn_pack = {level: DCNv2Pack(num_feat, **pack) for level in levels}
        self.feat_conv = {"l2": Conv2D(num_feat, activation=SLOPE), "l1": Conv2D(num_feat)}
        self.cas_offset_conv1 = Conv2D(num_feat, activation=SLOPE)
        self.cas_offset_conv2 = Conv2D(num_feat, activation=SLOPE)
        self.cas_dcnpack = DCNv2Pack(num_feat, **pack)

    def build(self, neighbor_shape, reference_shape):
        *place, channels = neighbor_shape[0]
        features, twice = (*place, self.cas_offset_conv1.filters), (*place, 2 * self.cas_offset_conv1.filters)
        for level in self.dcn_pack:
            self.offset_conv1[level].build((*place, 2 * channels))
            if level == "l3":
                self.offset_conv2[level].build(features)
            else:
                self.offset_conv2[level].build(twice)
                self.offset_conv3[level].build(features)
            self.dcn_pack[level].build(neighbor_shape[0], features)
            if level != "l3":
                self.feat_conv[level].build(twice)
        self.cas_offset_conv1.build((*place, features[-1] + channels))
        self.cas_offset_conv2.build(features)
        self.cas_dcnpack.build(features, features)

    def compute_output_shape(self, neighbor_shape, reference_shape):
        return (*neighbor_shape[0][:-1], self.cas_dcnpack.filters)

    def call(self, neighbor, reference):
        offset, feat = self._align_level("l3", neighbor[2], reference[2])
        feat = _lrelu(feat)
        for level, index in (("l2", 1), ("l1", 0)):
            # Twice the size, so twice the motion in pixels.
            upsampled_offset, upsampled_feat = _upsample(offset) * 2, _upsample(feat)
            offset, feat = self._align_level(level, neighbor[index], reference[index], upsampled_offset)
            feat = self.feat_conv[level](ops.concatenate([feat, upsampled_feat], axis=-1))
        offset = ops.concatenate([feat, reference[0]], axis=-1)
        offset = self.cas_offset_conv2(self.cas_offset_conv1(offset))
        return _lrelu(self.cas_dcnpack(feat, offset))

    def _align_level(self, level: str, neighbor, reference, upsampled_offset=None):
        """The features that give the offsets, and the neighbor's features moved by them."""
        offset = self.offset_conv1[level](ops.concatenate([neighbor, reference], axis=-1))
        if upsampled_offset is None:
            offset = self.offset_conv2[level](offset)
        else:
            offset = self.offset_conv2[level](ops.concatenate([offset, upsampled_offset], axis=-1))
            offset = self.offset_conv3[level](offset)
        return offset, self.dcn_pack[level](neighbor, offset)


@serializable("ascendvsr")
class TSAFusion(keras.Layer):
    """Temporal and spatial attention (section 3.3 of the paper): [N, T, h, w, C] -> [N, h, w, C].

    Each frame is weighted by its similarity to the center frame at every pixel; a small pyramid then modulates the
    fused features.
    """

    def __init__(self, num_feat: int, center_frame_idx: int, **kwargs):
        super().__init__(**kwargs)
        self.center_frame_idx = center_frame_idx
        self.temporal_attn1 = Conv2D(num_feat)
        self.temporal_attn2 = Conv2D(num_feat)
        self.feat_fusion = Conv2D(num_feat, 1, activation=SLOPE)
        self.spatial_attn1 = Conv2D(num_feat, 1, activation=SLOPE)
        self.spatial_attn2 = Conv2D(num_feat, 1, activation=SLOPE)
        self.spatial_attn3 = Conv2D(num_feat, activation=SLOPE)
        self.spatial_attn4 = Conv2D(num_feat, 1, activation=SLOPE)
        self.spatial_attn5 = Conv2D(num_feat)
        self.spatial_attn_l1 = Conv2D(num_feat, 1, activation=SLOPE)
        self.spatial_attn_l2 = Conv2D(num_feat, activation=SLOPE)
        self.spatial_attn_l3 = Conv2D(num_feat, activation=SLOPE)
        self.spatial_attn_add1 = Conv2D(num_feat, 1, activation=SLOPE)
        self.spatial_attn_add2 = Conv2D(num_feat, 1)

    def build(self, aligned_shape):
        batch, frames, height, width, channels = aligned_shape
        place, features = (batch, height, width), (batch, height, width, self.feat_fusion.filters)
        self.temporal_attn1.build((*place, channels))
        self.temporal_attn2.build((*place, channels))
        self.feat_fusion.build((*place, frames * channels))
        self.spatial_attn1.build((*place, frames * channels))
        pooled = (*place, 2 * features[-1])
        self.spatial_attn2.build(pooled)
        self.spatial_attn_l1.build(features)
        self.spatial_attn_l2.build(pooled)
        for layer in (self.spatial_attn_l3, self.spatial_attn3, self.spatial_attn4, self.spatial_attn5):
            layer.build(features)
        self.spatial_attn_add1.build(features)
        self.spatial_attn_add2.build(features)

    def compute_output_shape(self, aligned_shape):
        batch, _, height, width, _ = aligned_shape
        return batch, height, width, self.feat_fusion.filters

    def call(self, aligned):
        frames = ops.unstack(aligned, axis=1)
        reference = self.temporal_attn1(frames[self.center_frame_idx])

        def attended(frame):
            similarity = ops.sum(self.temporal_attn2(frame) * reference, axis=-1, keepdims=True)
            return frame * ops.sigmoid(similarity)

        aligned = ops.concatenate([attended(frame) for frame in frames], axis=-1)
        feat = self.feat_fusion(aligned)

        attn = self.spatial_attn1(aligned)
        attn = self.spatial_attn2(_pools(attn))
        level = self.spatial_attn_l1(attn)
        level = self.spatial_attn_l2(_pools(level))
        level = self.spatial_attn_l3(level)
        attn = self.spatial_attn3(attn) + _upsample(level)
        attn = _upsample(self.spatial_attn4(attn))
        attn = self.spatial_attn5(attn)
        attn_add = self.spatial_attn_add2(self.spatial_attn_add1(attn))
        # A fresh network has attn near 0, so that the factor starts near 1.
        return feat * ops.sigmoid(attn) * 2 + attn_add


def _lrelu(x):
    return ops.leaky_relu(x, SLOPE)


def _times(x, factor: int) -> tuple:
    _, height, width, _ = ops.shape(x)
    return height * factor, width * factor


def _upsample(x):
    return resize(x, _times(x, 2))


def _pools(x):
    return ops.concatenate([max_pool2d(x), avg_pool2d(x)], axis=-1)
