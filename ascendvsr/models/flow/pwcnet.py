"""PWC-Net as CDVD-TSP uses it: the network of the published file `network-default.pytorch`.

PWC-Net: CNNs for Optical Flow Using Pyramid, Warping, and Cost Volume (Sun et al., CVPR 2018), in the form of the
CuPy port. `PWCNetDevil` is another port with other weights; the two share `ascendvsr.layers.flow_blocks`.
"""

from typing import Any

import keras
from keras import ops

from ascendcv.layers.conv_transpose import Conv2DTranspose
from ascendcv.layers.saving import serializable
from ascendcv.ops.correlation import correlation
from ascendcv.ops.resize import next_multiple, resize
from ascendvsr.layers.flow_blocks import (
    PYRAMID_CHANNELS,
    VOLUME_CHANNELS,
    ContextNetwork,
    DenseEstimator,
    FeaturePyramid,
    head_dtype,
    lrelu,
    warp_visible,
)
from ascendvsr.models.network import FlowNetwork

# The network's flow is in twentieths of the full size's pixels. At a level, where pixels are 2^level as large, the
# numbers that warping needs are 20 / 2^level times it.
_UNIT = 20.0
_LEVELS = (6, 5, 4, 3, 2)

# What the published weights call level or convolution 1, 2, ...
_NUMBERS = {1: "One", 2: "Two", 3: "Thr", 4: "Fou", 5: "Fiv", 6: "Six"}


def _official_names() -> dict[str, str]:
    names = {}
    for level in range(6):
        for k in range(3):
            names[f"extractor.convs.{level}.{k}"] = f"moduleExtractor.module{_NUMBERS[level + 1]}.{2 * k}"
    for level in _LEVELS:
        decoder, official = f"decoders.{level}", f"module{_NUMBERS[level]}"
        for k, conv in enumerate(("conv1", "conv2", "conv3", "conv4", "conv5", "conv_last"), start=1):
            names[f"{decoder}.estimator.{conv}"] = f"{official}.module{_NUMBERS[k]}.0"
        names[f"{decoder}.upflow"] = f"{official}.moduleUpflow"
        names[f"{decoder}.upfeat"] = f"{official}.moduleUpfeat"
        names[decoder] = official
    for k in range(7):
        names[f"refiner.convs.{k}"] = f"moduleRefiner.moduleMain.{2 * k}"
    return names | {"extractor": "moduleExtractor", "refiner": "moduleRefiner"}


@serializable("ascendvsr")
class PWCNet(FlowNetwork):
    """Optical flow between two frames.

    Args:
        impl: implementation of the cost volumes (see `ascendcv.ops.registry`).

    `call((reference, supporting))`: frames [N, H, W, 3] RGB in [0, 1] -> flow [N, H, W, 2] in pixels, channel 0 to
    the right, so that `warp(supporting, flow)` looks like `reference`. Any H and W from 1: frames are resized to
    the next multiples of 64, and the flow back.

    Where a frame takes part in several flows, its features can be computed once: `flow_between(features(a),
    features(b), size)` is `call((a, b))`. Pyramids are lists of tensors whose first axis is the batch, and can be
    put together from those of single frames.

    9,374,274 parameters. Source: CDVD-TSP `Flow_PWC`.

    >>> import numpy as np
    >>> from ascendvsr.models import PWCNet
    >>> reference, supporting = np.zeros((2, 1, 12, 16, 3), "float32")
    >>> tuple(PWCNet()((reference, supporting)).shape)
    (1, 12, 16, 2)
    """

    official_names = _official_names()

    def __init__(self, impl: str = "auto", **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.impl = impl
        self.extractor = FeaturePyramid(convs_per_level=3)
        self.decoders = {str(level): Decoder(level, impl) for level in _LEVELS}
        self.refiner = ContextNetwork()

        self.build([(None, None, None, 3)] * 2)

    def build(self, frames_shape):
        """All weights, in the order of `call`."""
        place = (None, None, None)
        self.extractor.build((*place, 3))
        previous = None
        for level in _LEVELS:
            decoder, features = self.decoders[str(level)], (*place, PYRAMID_CHANNELS[level - 1])
            decoder.build(features, features, previous)
            known, flow = decoder.compute_output_shape(features, features, previous)
            previous = flow, known
        self.refiner.build(known)

    def call(self, frames):
        _, height, width, _ = ops.shape(frames[0])
        return self._full_size(self.levels(frames)[-1], (height, width))

    def features(self, frames) -> list:
        """The pyramid of frames [N, H, W, 3]: levels 6 to 2, [N, H64 / 2^level, W64 / 2^level, channels]."""
        _, height, width, _ = ops.shape(frames)
        frames = resize(frames, (next_multiple(height, 64), next_multiple(width, 64)))
        return self.extractor(frames)[:0:-1]

    def flow_between(self, reference: list, supporting: list, size: tuple):
        """Flow [N, H, W, 2] between frames of `size` (H, W), from what `features` gave for them."""
        return self._full_size(self._levels(reference, supporting)[-1], size)

    def levels(self, frames) -> list:
        """The flows of levels 6 to 2 (a 64th to a quarter of the size), in twentieths of the full size's pixels."""
        reference, supporting = frames
        pyramid = self.features(ops.concatenate([reference, supporting], axis=0))
        batch = ops.shape(reference)[0]
        return self._levels([level[:batch] for level in pyramid], [level[batch:] for level in pyramid])

    def _levels(self, reference: list, supporting: list) -> list:
        flows: list = []
        features: Any = None
        for level, first, second in zip(_LEVELS, reference, supporting, strict=True):
            previous = None if features is None else (flows[-1], features)
            features, flow = self.decoders[str(level)](first, second, previous)
            flows.append(flow)
        flows[-1] = flows[-1] + self.refiner(features)
        return flows

    def _full_size(self, flow, size: tuple):
        """Flow of level 2 of the resized frames -> pixels of frames of `size`."""
        height, width = size
        _, quarter_height, quarter_width, _ = ops.shape(flow)
        shrink = [
            ops.cast(new, flow.dtype) / ops.cast(4 * old, flow.dtype)
            for new, old in ((width, quarter_width), (height, quarter_height))
        ]
        return resize(flow, size) * (_UNIT * ops.stack(shrink))


@serializable("ascendvsr")
class Decoder(keras.Layer):
    """One level of the pyramid: cost volume with the features warped by the coarser flow, then the estimator.

    `call(first, second, previous)`: features of both frames [N, h, w, C], and the coarser level's (flow, features)
    or None; gives (features, flow) of this level.
    """

    def __init__(self, level: int, impl: str, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.pixels_per_unit = _UNIT / 2**level
        self.impl = impl
        if level < max(_LEVELS):
            self.upflow = Conv2DTranspose(2, 4, stride=2, padding=1, dtype=head_dtype(self))
            self.upfeat = Conv2DTranspose(2, 4, stride=2, padding=1)
        self.estimator = DenseEstimator()

    def build(self, first_shape, second_shape, previous_shape=None):
        if previous_shape is not None:
            flow, features = previous_shape
            self.upflow.build(flow)
            self.upfeat.build(features)
        self.estimator.build(self._known(first_shape, previous_shape))

    def compute_output_shape(self, first_shape, second_shape, previous_shape=None):
        return self.estimator.compute_output_shape(self._known(first_shape, previous_shape))

    def compute_output_spec(self, first, second, previous=None):
        known = self._known(first.shape, previous)
        return self.estimator.compute_output_spec(keras.KerasTensor(known, self.compute_dtype))

    def _known(self, first_shape, previous) -> tuple:
        """The shape of what the estimator sees: the volume; and features, flow and upsampled features."""
        *place, channels = first_shape
        return (*place, VOLUME_CHANNELS + (0 if previous is None else channels + 4))

    def call(self, first, second, previous=None):
        if previous is None:
            return self.estimator(self._volume(first, second))
        flow, features = self.upflow(previous[0]), self.upfeat(previous[1])
        # Features that come from outside the frame, even by a thousandth, are not compared at all.
        volume = self._volume(first, warp_visible(second, flow * self.pixels_per_unit, 0.999))
        known = [volume, first, ops.cast(flow, first.dtype), features]
        return self.estimator(ops.concatenate(known, axis=-1))

    def _volume(self, first, second):
        return lrelu(correlation(first, second, impl=self.impl))
