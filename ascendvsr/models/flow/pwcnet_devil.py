"""PWC-Net as FlowDBN prewarps with it: "Deep Video Deblurring: The Devil is in the Details" (Gast and Roth, ICCV
Workshops 2019).

PWC-Net: CNNs for Optical Flow Using Pyramid, Warping, and Cost Volume (Sun et al., CVPR 2018), in a form of its
own: two convolutions a level, cost volumes that are sums, flows interpolated between levels.
`PWCNet` is the other port.
"""

from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.ops.correlation import spatial_correlation
from ascendcv.ops.resize import resize
from ascendvsr.layers.flow_blocks import (
    ESTIMATOR_CHANNELS,
    PYRAMID_CHANNELS,
    VOLUME_CHANNELS,
    ContextNetwork,
    DenseEstimator,
    FeaturePyramid,
    lrelu,
    warp_visible,
)
from ascendvsr.models.network import FlowNetwork

_LEVELS = (6, 5, 4, 3, 2)


def _official_names() -> dict[str, str]:
    names = {}
    for level in range(6):
        for k in range(2):
            own = f"feature_pyramid_extractor.convs.{level}.{k}"
            names[own] = f"pwcnet_impl.{own}.0"
    for level in range(5):
        for conv in ("conv1", "conv2", "conv3", "conv4", "conv5", "conv_last"):
            own = f"flow_estimators.{level}.{conv}"
            names[own] = f"pwcnet_impl.{own}.0"
    for k in range(7):
        names[f"context_network.convs.{k}"] = f"pwcnet_impl.context_network.convs.{k}.0"
    for own in ("feature_pyramid_extractor", "flow_estimators", "context_network"):
        names[own] = f"pwcnet_impl.{own}"
    return names


@serializable("ascendvsr")
class PWCNetDevil(FlowNetwork):
    """Optical flow between two frames.

    Args:
        div_flow: the network's unit is a pixel of the full size divided by this. Prewarping uses 0.05. The released
            training left it at 1.0 while its loss used 0.05: such weights are right in the network's first
            output, yet warp by flows that are 20 times too short.
        impl: implementation of the cost volumes (see `ascendcv.ops.registry`).

    `call((reference, supporting))`: frames [N, H, W, 3] RGB in [0, 1] -> flow [N, H, W, 2] in pixels, channel 0 to
    the right, so that `warp(supporting, flow)` looks like `reference`. Any H and W from 1.

    Where a frame takes part in several flows, its features can be computed once: `flow_between(features(a),
    features(b), size)` is `call((a, b))`. Pyramids are lists of tensors whose first axis is the batch, and can be
    put together from those of single frames.

    8,639,230 parameters, initialized as released. Source: deblur-devil `models.flow.pwcnet.PWCNet`.

    >>> import numpy as np
    >>> from ascendvsr.models import PWCNetDevil
    >>> reference, supporting = np.zeros((2, 1, 12, 16, 3), "float32")
    >>> tuple(PWCNetDevil()((reference, supporting)).shape)
    (1, 12, 16, 2)
    """

    official_names = _official_names()

    def __init__(self, div_flow: float = 0.05, impl: str = "auto", **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.div_flow = div_flow
        self.impl = impl
        self.feature_pyramid_extractor = FeaturePyramid(convs_per_level=2, start="he")
        self.flow_estimators = [DenseEstimator("he") for _ in _LEVELS]
        self.context_network = ContextNetwork("he")

        self.build([(None, None, None, 3)] * 2)

    def build(self, frames_shape):
        """All weights, in the order of `call`."""
        place = (None, None, None)
        self.feature_pyramid_extractor.build((*place, 3))
        known = VOLUME_CHANNELS
        for level, estimator in zip(_LEVELS, self.flow_estimators, strict=True):
            if level < max(_LEVELS):
                known = VOLUME_CHANNELS + PYRAMID_CHANNELS[level - 1] + 2
            estimator.build((*place, known))
        self.context_network.build((*place, known + sum(ESTIMATOR_CHANNELS) + 2))

    def call(self, frames):
        _, height, width, _ = ops.shape(frames[0])
        return self._full_size(self.levels(frames)[-1], (height, width))

    def features(self, frames) -> list:
        """The pyramid of frames [N, H, W, 3]: levels 6 to 2, [N, ceil(H / 2^l), ceil(W / 2^l), channels]."""
        return self.feature_pyramid_extractor(frames)[:0:-1]

    def flow_between(self, reference: list, supporting: list, size: tuple):
        """Flow [N, H, W, 2] between frames of `size` (H, W), from what `features` gave for them."""
        return self._full_size(self._levels(reference, supporting, size)[-1], size)

    def levels(self, frames) -> list:
        """The flows of levels 6 to 2 (a 64th to a quarter of the size), in full-size pixels times `div_flow`."""
        reference, supporting = frames
        batch, height, width, _ = ops.shape(reference)
        pyramid = self.features(ops.concatenate([reference, supporting], axis=0))
        halves = [level[:batch] for level in pyramid], [level[batch:] for level in pyramid]
        return self._levels(*halves, (height, width))

    def _levels(self, reference: list, supporting: list, size: tuple) -> list:
        flows: list = []
        for estimator, first, second in zip(self.flow_estimators, reference, supporting, strict=True):
            if not flows:
                features, flow = estimator(self._volume(first, second))
            else:
                flow = resize(flows[-1], ops.shape(first)[1:3])
                warped = warp_visible(second, flow * self._pixels_per_unit(flow, size), 0.9999)
                known = [self._volume(first, warped), first, ops.cast(flow, first.dtype)]
                features, flow = estimator(ops.concatenate(known, axis=-1))
            flows.append(flow)
        known = ops.concatenate([features, ops.cast(flows[-1], features.dtype)], axis=-1)
        flows[-1] = flows[-1] + self.context_network(known)
        return flows

    def _volume(self, first, second):
        return lrelu(spatial_correlation(first, second, impl=self.impl))

    def _pixels_per_unit(self, flow, size: tuple):
        """What turns flow of a level into its pixels, for x and y; `size` is that of the frames."""
        _, height, width, _ = ops.shape(flow)
        shrink = [
            ops.cast(level, flow.dtype) / ops.cast(full, flow.dtype)
            for level, full in ((width, size[1]), (height, size[0]))
        ]
        return ops.stack(shrink) / self.div_flow

    def _full_size(self, flow, size: tuple):
        return resize(flow, size, align_corners=True) / self.div_flow
