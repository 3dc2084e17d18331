"""RVRT: Recurrent Video Restoration Transformer with Guided Deformable Attention (Liang et al., NeurIPS 2022).

A video is cut into clips of two frames. Four branches pass over the clips one after the other, backward and forward
by turns. At each clip a branch takes what it has made of the clip before (in its direction), aligned by guided
deformable attention, together with the features that the branches before it made of this clip, and refines them by
attention in shifted windows. The features of all branches are fused and upsampled, and the input is added.
Attributes carry the names of the published weights.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from ascendcv.layers.frame_conv import FrameConv
from ascendcv.layers.saving import serializable
from ascendcv.ops.resize import resize
from ascendvsr.layers.flow_blocks import head_dtype
from ascendvsr.layers.padding import to_multiple
from ascendvsr.layers.turns import in_turn
from ascendvsr.models.flow.spynet import SpyNet
from ascendvsr.models.network import Network
from ascendvsr.models.rvrt.clips import (
    CLIP,
    clips_of,
    enlarged,
    reversed_clips,
    shuffle,
    two_clip_flows,
    warp_clip,
)
from ascendvsr.models.rvrt.guided_attention import GuidedDeformAttn
from ascendvsr.models.rvrt.window_attention import RSTBWithInputConv

SLOPE = 0.1  # of the leaky ReLU below 0
BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")


@serializable("ascendvsr")
class RVRT(Network):
    """Restores all frames of a clip: x4 super-resolution, or deblurring and denoising at the input's size.

    Args:
        upscale: 4, or 1.
        clip_size: frames that are processed together: 2, which the guided attention is made for.
        img_size: nominal size of training crops, which nothing depends on.
        window_size: (frames, rows, columns) of the attention's windows; the first is 1 or `clip_size`.
        num_blocks, depths, embed_dims, num_heads: of the feature extraction, the four branches and the
            reconstruction: residual Swin Transformer blocks, layers of each, channels, heads.
        mlp_ratio, qkv_bias, qk_scale: see `ascendvsr.models.rvrt.window_attention`.
        inputconv_groups: groups of the first convolution of the extraction, the branches and the reconstruction.
        max_residue_magnitude, deformable_groups, attention_heads, attention_window: see
            `ascendvsr.models.rvrt.guided_attention`.
        nonblind_denoising: frames have a fourth channel, the deviation of their noise / 255.
        use_checkpoint_attn, use_checkpoint_ffn: the branches compute their attention or feed-forward parts once
            more in the backward pass, which saves memory in training;
        no_checkpoint_attn_blocks, no_checkpoint_ffn_blocks: except these of the branches 0 to 3.
        impl: implementation of the deformable attention (see `ascendcv.ops.registry`).
        size: what happens to frames whose sides are not multiples of `size_multiple`: 'pad' or 'crop'.

    `call(clip)`: [N, T, H, W, in_channels] RGB in [0, 1] -> [N, T, H * upscale, W * upscale, 3], float32, not
    clipped. Any H and W from 1. T from 1: an odd number of frames is made even by one more like the last, as the
    original's test program does.

    Attributes:
        time: 'clip': one call restores all frames.
        scale: `upscale`.
        size_multiple: 1, or 4 without upscaling.
        in_channels: 3, or 4 with `nonblind_denoising`.

    Source: RVRT `RVRT`. Mirrored clips get no special treatment: computing their flows in both directions gives the
    same result.

    >>> import numpy as np
    >>> from ascendvsr.models import RVRT
    >>> network = RVRT(embed_dims=(24, 24, 24), num_heads=(2, 2, 2))
    >>> tuple(network(np.zeros((1, 2, 8, 8, 3), "float32")).shape)
    (1, 2, 32, 32, 3)
    """

    time = "clip"

    def __init__(
        self,
        upscale: int = 4,
        clip_size: int = CLIP,
        img_size: tuple[int, ...] = (2, 64, 64),
        window_size: tuple[int, ...] = (2, 8, 8),
        num_blocks: tuple[int, ...] = (1, 2, 1),
        depths: tuple[int, ...] = (2, 2, 2),
        embed_dims: tuple[int, ...] = (144, 144, 144),
        num_heads: tuple[int, ...] = (6, 6, 6),
        mlp_ratio: float = 2.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        inputconv_groups: tuple[int, ...] = (1, 1, 1, 1, 1, 1),
        max_residue_magnitude: float = 10,
        deformable_groups: int = 12,
        attention_heads: int = 12,
        attention_window: tuple[int, ...] = (3, 3),
        nonblind_denoising: bool = False,
        use_checkpoint_attn: bool = False,
        use_checkpoint_ffn: bool = False,
        no_checkpoint_attn_blocks: tuple[int, ...] = (),
        no_checkpoint_ffn_blocks: tuple[int, ...] = (),
        *,
        impl: str = "auto",
        size: str = "pad",
        **kwargs,
    ):
        if upscale not in (1, 4):
            raise ValueError(f"upscale={upscale} should be 4 or 1")
        if clip_size != CLIP or window_size[0] not in (1, CLIP):
            raise ValueError(
                f"clip_size={clip_size} should be {CLIP} and the windows of window_size={window_size} 1 or {CLIP} "
                "frames long"
            )
        if embed_dims[0] != embed_dims[1]:
            raise ValueError(f"the first two of embed_dims={embed_dims} should be equal: branches take both")
        # Frames and flows stay in float32, whatever the layers compute in.
        super().__init__(autocast=False, **kwargs)
        self.embed_dims = tuple(embed_dims)
        self.scale = upscale
        self.size = size
        self.size_multiple = 4 if upscale == 1 else 1
        self.in_channels = 4 if nonblind_denoising else 3
        clips, rows, columns = window_size
        self.frame_window = (1, rows, columns)
        self.clip_window = (clips, rows, columns)

        def blocks(stage: int, groups: int, **options) -> RSTBWithInputConv:
            """Stage 0 is the extraction, 1 the branches, 2 the reconstruction."""
            return RSTBWithInputConv(
                embed_dims[stage],
                groups=groups,
                num_blocks=num_blocks[stage],
                depth=depths[stage],
                num_heads=num_heads[stage],
                window=self.clip_window if stage == 1 else self.frame_window,
                mlp_ratio=mlp_ratio,
                qkv_bias=qkv_bias,
                qk_scale=qk_scale,
                **options,
            )

        self.spynet = SpyNet()
        extraction = blocks(0, inputconv_groups[0])
        self.feat_extract: Any  # the stage, or with downsampling a dictionary that it is in
        if upscale == 4:
            self.feat_extract = extraction
        else:
            down = [FrameConv(embed_dims[0], stride=2, activation=SLOPE) for _ in range(2)]
            self.feat_extract = {"1": down[0], "3": down[1], "6": extraction}
        self.backbone = {
            branch: blocks(
                1,
                inputconv_groups[1 + index],
                use_checkpoint_attn=use_checkpoint_attn and index not in no_checkpoint_attn_blocks,
                use_checkpoint_ffn=use_checkpoint_ffn and index not in no_checkpoint_ffn_blocks,
            )
            for index, branch in enumerate(BRANCHES)
        }
        attention_rows, attention_columns = attention_window
        self.deform_align = {
            branch: GuidedDeformAttn(
                embed_dims[1],
                (attention_rows, attention_columns),
                attention_heads,
                deformable_groups,
                max_residue_magnitude,
                impl,
            )
            for branch in BRANCHES
        }
        self.reconstruction = blocks(2, inputconv_groups[5])
        self.conv_before_upsampler = {"0": FrameConv(64, 1, activation=SLOPE)}
        twice = {name: FrameConv(256, activation=SLOPE) for name in ("0", "5")}
        self.upsampler = {**twice, "10": FrameConv(64)}
        self.conv_last = FrameConv(3, dtype=head_dtype(self))

        self.build((None, None, None, None, self.in_channels))

    def build(self, clip_shape):
        """All weights, layer by layer: a symbolic call, which passes over four branches, takes twenty seconds."""
        extracted, branch, reconstructed = self.embed_dims
        place = (None, None, None, None)
        channels = self.in_channels
        if self.scale == 1:
            for conv in (self.feat_extract["1"], self.feat_extract["3"]):
                conv.build((*place, channels))
                channels = extracted
        (self.feat_extract if self.scale == 4 else self.feat_extract["6"]).build((*place, channels))
        for index, name in enumerate(BRANCHES):
            self.deform_align[name].build((*place, branch))
            self.backbone[name].build((*place, (2 + index) * branch))
        self.reconstruction.build((*place, 5 * branch))
        self.conv_before_upsampler["0"].build((*place, reconstructed))
        for conv in (*self.upsampler.values(), self.conv_last):
            conv.build((*place, 64))

    def call(self, clip):
        return self.in_steps(lambda function: function)(clip)

    def in_steps(self, compiled: Callable[[Callable], Callable]) -> Callable:
        """`call` as a function that does its work in steps, each wrapped by `compiled`.

        A graph of the whole `call` has a copy of every layer for every clip, and building it takes minutes for
        dozens of frames. With tf.function as `compiled` there are a few small graphs, however long the video is.
        """
        flow, shallow, reconstruct = (
            compiled(function) for function in (self.compute_flow, self._shallow, self._reconstruct)
        )
        backbone = {branch: compiled(self.backbone[branch]) for branch in BRANCHES}
        begin = {branch: compiled(functools.partial(self._begin, backbone[branch])) for branch in BRANCHES}
        go_on = {branch: compiled(functools.partial(self._go_on, branch, backbone[branch])) for branch in BRANCHES}

        def restore(clip):
            _, count, height, width, _ = ops.shape(clip)
            if count % CLIP:
                clip = ops.concatenate([clip, clip[:, -1:]], axis=1)
            clip = to_multiple(clip, self.size_multiple, self.size)
            rgb = clip[..., :3]
            small = self.at_feature_size(rgb)
            flows = flow(small)

            features: dict[str, list] = {"shallow": []}
            for frames in clips_of(clip):
                features["shallow"].append(shallow(in_turn(frames, features["shallow"])))
            guides: dict = {}
            for branch in BRANCHES:
                steps = (begin[branch], go_on[branch])
                features[branch] = self._propagate(branch, steps, features, flows, guides)
            clips: list = []
            for index, frames in enumerate(clips_of(rgb)):
                of_clip = [branch[index] for branch in features.values()]
                clips.append(reconstruct(of_clip, in_turn(frames, clips)))
            restored = ops.concatenate(clips, axis=1)[:, :count]
            return restored[:, :, : height * self.scale, : width * self.scale] if self.size == "pad" else restored

        return restore

    def at_feature_size(self, rgb):
        """[N, T, H, W, 3] -> [N, T, h, w, 3], the frames that the flow is computed of, at the features' size."""
        if self.scale == 4:
            return rgb
        batch, count, height, width, channels = ops.shape(rgb)
        frames = ops.reshape(rgb, (batch * count, height, width, channels))
        small = resize(frames, (height // 4, width // 4), method="bicubic")
        return ops.reshape(small, (batch, count, height // 4, width // 4, channels))

    def compute_flow(self, frames) -> dict[str, list]:
        """[N, T, h, w, 3] -> for 'forward' and 'backward' T - 1 flows [N, h, w, 2], in the order of propagation.

        Flow j of a direction leads from its frame j + 1 to the one that it has passed before, its frame j.
        """
        batch, count, height, width, _ = ops.shape(frames)
        first, second = frames[:, :-1], frames[:, 1:]
        pairs = [ops.concatenate(pair, axis=1) for pair in ((second, first), (first, second))]
        pairs = [ops.reshape(pair, (-1, height, width, 3)) for pair in pairs]
        flow = ops.reshape(self.spynet(tuple(pairs)), (batch, 2 * (count - 1), height, width, 2))
        flow = ops.unstack(flow, 2 * (count - 1), axis=1)
        return {"forward": flow[: count - 1], "backward": flow[: count - 2 : -1]}

    def _shallow(self, clip):
        """[N, T, H, W, in_channels] -> features [N, T, h, w, C] of each frame alone."""
        if self.scale == 4:
            return self.feat_extract(clip)
        x = self.feat_extract["3"](self.feat_extract["1"](clip))
        return self.feat_extract["6"](x)

    def _propagate(self, branch: str, steps, features: dict[str, list], flows: dict[str, list], guides) -> list:
        """What a branch makes of the clips, in order of time.

        Args:
            steps: `_begin` and `_go_on` of the branch.
            features: of the branches before it, by name, clip by clip in order of time.
            flows: of `compute_flow`.
            guides: the flows that led from a clip to the one before, as the attention updated them. The first
                branch of a direction puts them there, clip by clip, the second takes them.
        """
        begin, go_on = steps
        direction, turn = branch.split("_")
        backward = direction == "backward"
        given = [reversed_clips(clips) if backward else clips for clips in features.values()]
        clips = list(zip(*given, strict=True))  # for each clip its features of all branches so far

        result = [begin(clips[0])]
        for index in range(1, len(clips)):
            if turn == "1":
                guide = flows[direction][2 * index - 2 : 2 * index + 1]
            else:
                guide = guides[direction][index - 1]
            propagated, guide = go_on(clips[index], clips[index - 1][-1], result[-1], guide)
            if turn == "1":
                guides.setdefault(direction, []).append(guide)
            result.append(propagated)
        return reversed_clips(result) if backward else result

    def _begin(self, backbone: Callable, clip: Sequence):
        """What a branch makes of its first clip, whose features of the branches so far are given."""
        return backbone(ops.concatenate([*clip, ops.zeros_like(clip[-1])], axis=-1))

    def _go_on(self, branch: str, backbone: Callable, clip: Sequence, before, propagated, guide: Sequence):
        """What a branch makes of another clip, and the updated flows.

        Args:
            backbone: of the branch, which is compiled once for all clips.
            clip: its features of the branches so far.
            before: the features of the clip before it, of the last of these branches.
            propagated: what this branch made of the clip before.
            guide: flows to the clip before. For the first branch of a direction the three between the four frames,
                for the second those that the first updated.
        """
        flows = two_clip_flows(*guide) if branch.endswith("_1") else guide
        warped = [warp_clip(propagated, flows[0]), warp_clip(ops.flip(propagated, 1), flows[1])]
        aligned, flows = self.deform_align[branch](clip[-1], before, propagated, warped, flows)
        return aligned + backbone(ops.concatenate([*clip, aligned], axis=-1)), flows

    def _reconstruct(self, features: list, rgb):
        """The features of all branches and the frames of a clip -> its restored frames."""
        x = self.reconstruction(ops.concatenate(features, axis=-1))
        x = self.conv_before_upsampler["0"](x)
        x = shuffle(self.upsampler["0"](x))
        x = shuffle(self.upsampler["5"](x))
        x = self.conv_last(self.upsampler["10"](x))
        return x + (enlarged(rgb, self.scale) if self.scale > 1 else rgb)
