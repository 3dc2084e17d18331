"""LiteFlowNet (Hui et al., CVPR 2018), which PVDNet trains to see through blur and calls BIMNet.

Coarse to fine over a pyramid of features: at each level the flow is matched by a cost volume, refined below one
pixel, and regularised. Attributes carry the names of the published weights.
"""

from typing import Any

from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.ops.pool import avg_pool2d
from ascendcv.ops.resize import resize
from ascendvsr.layers.padding import to_multiple
from ascendvsr.models.flow.liteflow_blocks import FLOW_SCALE, Features, Matching, Regularization, Subpixel
from ascendvsr.models.network import FlowNetwork

LEVELS = (2, 3, 4, 5, 6)
SIZE_MULTIPLE = 32
MIN_SIZE = 64  # with less, the coarsest level has no two pixels to warp between


@serializable("ascendvsr")
class LiteFlowNet(FlowNetwork):
    """Optical flow between two frames.

    `call((reference, supporting))`: two [N, H, W, 3], RGB in [0, 1] -> [N, H, W, 2] in pixels, such that
    `warp(supporting, flow)` looks like `reference`. Any H and W from 1: the last row and column are repeated until
    the sides are multiples of 32 and at least 64.

    Where frames are used more than once, `features` of each are computed once and `flow_between` compares them.

    Args:
        impl: implementation of the cost volumes (see `ascendcv.ops.registry`).

    Source: codeslake/PVDNet `liteFlowNet.Network`; 5,381,969 parameters.

    >>> import numpy as np
    >>> from ascendvsr.models import LiteFlowNet
    >>> reference, supporting = np.zeros((2, 1, 12, 16, 3), "float32")
    >>> tuple(LiteFlowNet()((reference, supporting)).shape)
    (1, 12, 16, 2)
    """

    def __init__(self, *, impl: str = "auto", **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.impl = impl
        self.moduleFeatures = Features()
        self.moduleMatching = [Matching(level, impl) for level in LEVELS]
        self.moduleSubpixel = [Subpixel(level) for level in LEVELS]
        self.moduleRegularization = [Regularization(level) for level in LEVELS]
        self.build([(None, None, None, 3)] * 2)

    def build(self, frames_shape):
        """Nothing: all layers are built."""

    def call(self, frames):
        reference, supporting = frames
        batch, height, width, _ = ops.shape(reference)
        both = ops.concatenate([reference, supporting])
        both = to_multiple(both[:, None], SIZE_MULTIPLE, at_least=MIN_SIZE)[:, 0]
        pyramid = self.features(both)
        first, second = (
            [(image[part], features[part]) for image, features in pyramid]
            for part in (slice(batch), slice(batch, None))
        )
        return self.flow_between(first, second, (height, width))

    def features(self, frames) -> list[tuple]:
        """(image, features) of a frame at levels 2 to 6, the finest (half the size) first.

        `frames` is [N, H, W, 3] in [0, 1], H and W multiples of 32 from 64.
        """
        pyramid = []
        for features in self.moduleFeatures(frames):
            frames = avg_pool2d(frames, 2, 2, 0)  # what bilinear resizing to half the size is
            pyramid.append((frames, features))
        return pyramid

    def flow_between(self, reference, supporting, size):
        """The flow [N, height, width, 2] of `size` = (height, width) from the top left, in pixels.

        `reference` and `supporting` are what `features` gave, `size` at most that of its frames.
        """
        flow: Any = None
        for index in reversed(range(len(LEVELS))):
            (first, first_features), (second, second_features) = reference[index], supporting[index]
            flow = self.moduleMatching[index](first_features, second_features, flow)
            flow = self.moduleSubpixel[index](first_features, second_features, flow)
            flow = self.moduleRegularization[index](first, second, first_features, flow)
        # On the grid of half the size, but in pixels of full size.
        _, height, width, _ = ops.shape(flow)
        return resize(flow * FLOW_SCALE, (2 * height, 2 * width))[:, : size[0], : size[1]]


BIMNet = LiteFlowNet
