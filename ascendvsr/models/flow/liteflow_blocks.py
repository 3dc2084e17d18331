"""The parts of LiteFlowNet: features, and for each level matching, sub-pixel refinement and regularisation.

LiteFlowNet: A Lightweight Convolutional Neural Network for Optical Flow Estimation (Hui et al., CVPR 2018), as in
the PyTorch port that BIMNet of PVDNet is. Level l has 1 / 2^(l-1) of the size; flows inside the network are a
20th of pixels of full size. Attributes carry the names of the published weights.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.conv_transpose import Conv2DTranspose
from ascendcv.layers.saving import serializable
from ascendcv.ops.correlation import correlation
from ascendcv.ops.warp import warp
from ascendvsr.layers.flow_blocks import head_dtype

FLOW_SCALE = 20.0  # pixels of full size in the network's unit of flow
_SEARCH = 3  # how far matching looks, in (strided) pixels to each side
_CHANNELS = {2: 32, 3: 64, 4: 96, 5: 128, 6: 192}  # of a level's features
_HEAD_SIZES = {2: 7, 3: 5, 4: 5, 5: 3, 6: 3}  # kernel of a level's last convolution, and side of its neighborhood
_VOLUME_CHANNELS = (2 * _SEARCH + 1) ** 2


def _conv(channels: int, filters: int, kernel_size=3, stride: int = 1, **kwargs) -> Conv2D:
    """A convolution from `channels` to `filters`, built: building by calls would trace the network repeatedly."""
    layer = Conv2D(
        filters,
        kernel_size,
        stride,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    )
    layer.build((None, None, None, channels))
    return layer


def _upsampling(channels: int, **kwargs) -> Conv2DTranspose:
    """Twice the size, every channel by itself."""
    layer = Conv2DTranspose(
        channels, 4, 2, 1, groups=channels, use_bias=False, kernel_initializer="glorot_uniform", **kwargs
    )
    layer.build((None, None, None, channels))
    return layer


def _convs(channels: int, *layers: tuple) -> list[keras.Layer]:
    """Convolutions of these arguments (filters, kernel size, stride), each with its activation."""
    sequence = []
    for filters, *arguments in layers:
        sequence += [_conv(channels, filters, *arguments), keras.layers.LeakyReLU(0.1)]
        channels = filters
    return sequence


def _through(sequence: list, x):
    for layer in sequence:
        x = layer(x)
    return x


def _matched_features(level: int) -> list[keras.Layer]:
    """What level 2, whose features are few, puts before matching and refinement."""
    return _convs(_CHANNELS[level], (64, 1)) if level == 2 else []


def _flow_head(channels: int, level: int, dtype: str) -> list[keras.Layer]:
    """From `channels` to a correction of the flow."""
    return [*_convs(channels, (128,), (64,), (32,)), _conv(32, 2, _HEAD_SIZES[level], dtype=dtype)]


def _to_pixels(flow, level: int):
    """The network's flow in pixels of a level."""
    return flow * (FLOW_SCALE / 2 ** (level - 1))


@serializable("ascendvsr")
class Features(keras.Layer):
    """[N, H, W, 3] -> the features of levels 2 to 6, [N, H / 2, W / 2, 32] to [N, H / 32, W / 32, 192]."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.moduleOne = _convs(3, (32, 7))
        self.moduleTwo = _convs(32, (32, 3, 2), (32,), (32,))
        self.moduleThr = _convs(32, (64, 3, 2), (64,))
        self.moduleFou = _convs(64, (96, 3, 2), (96,))
        self.moduleFiv = _convs(96, (128, 3, 2))
        self.moduleSix = _convs(128, (192, 3, 2))

    def build(self, frames_shape):
        """Nothing: all layers are built."""

    def compute_output_shape(self, frames_shape):
        shape, levels = frames_shape, []
        for channels in _CHANNELS.values():
            batch, height, width, _ = shape
            shape = (batch, height and -(-height // 2), width and -(-width // 2), channels)
            levels.append(shape)
        return levels

    def call(self, frames):
        x = _through(self.moduleOne, frames)
        levels = []
        for sequence in (self.moduleTwo, self.moduleThr, self.moduleFou, self.moduleFiv, self.moduleSix):
            x = _through(sequence, x)
            levels.append(x)
        return levels


@serializable("ascendvsr")
class Matching(keras.Layer):
    """Descriptor matching: a first flow from a cost volume (M in section 3.2 of the paper).

    `call(first, second, flow)`: features [N, h, w, C] and the flow of the coarser level, [N, h / 2, w / 2, 2]
    or None; gives [N, h, w, 2]. At levels 2 and 3 the volume is taken at every other pixel and upsampled.
    """

    def __init__(self, level: int, impl: str = "auto", **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.level = level
        self.impl = impl
        self.moduleFeat = _matched_features(level)
        if level < 6:
            self.moduleUpflow = _upsampling(2, dtype=head_dtype(self))
        self.stride = 2 if level < 4 else 1
        if self.stride == 2:
            self.moduleUpcorr = _upsampling(_VOLUME_CHANNELS)
        self.moduleMain = _flow_head(_VOLUME_CHANNELS, level, head_dtype(self))

    def build(self, first_shape, second_shape, flow_shape=None):
        """Nothing: all layers are built."""

    def compute_output_shape(self, first_shape, second_shape, flow_shape=None):
        return (*first_shape[:-1], 2)

    def compute_output_spec(self, first, second, flow=None):
        return keras.KerasTensor(self.compute_output_shape(first.shape, second.shape), head_dtype(self))

    def call(self, first, second, flow=None):
        first, second = _through(self.moduleFeat, first), _through(self.moduleFeat, second)
        if flow is not None:
            flow = self.moduleUpflow(flow)
            second = warp(second, _to_pixels(flow, self.level))
        volume = correlation(first, second, max_displacement=_SEARCH, stride=self.stride, impl=self.impl)
        volume = ops.leaky_relu(volume, 0.1)
        if self.stride == 2:
            volume = self.moduleUpcorr(volume)
        residual = _through(self.moduleMain, volume)
        return residual if flow is None else flow + residual


@serializable("ascendvsr")
class Subpixel(keras.Layer):
    """Sub-pixel refinement of a flow (S in section 3.2 of the paper): features and [N, h, w, 2] -> [N, h, w, 2]."""

    def __init__(self, level: int, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.level = level
        self.moduleFeat = _matched_features(level)
        self.moduleMain = _flow_head(2 * max(_CHANNELS[level], 64) + 2, level, head_dtype(self))

    def build(self, first_shape, second_shape, flow_shape):
        """Nothing: all layers are built."""

    def compute_output_shape(self, first_shape, second_shape, flow_shape):
        return flow_shape

    def compute_output_spec(self, first, second, flow):
        return keras.KerasTensor(flow.shape, head_dtype(self))

    def call(self, first, second, flow):
        first, second = _through(self.moduleFeat, first), _through(self.moduleFeat, second)
        second = warp(second, _to_pixels(flow, self.level))
        return flow + _through(self.moduleMain, ops.concatenate([first, second, flow], axis=-1))


@serializable("ascendvsr")
class Regularization(keras.Layer):
    """Feature-driven local convolution: every vector becomes a weighted mean of its neighbors (section 3.3).

    `call(first, second, features, flow)`: images [N, h, w, 3] in [0, 1], features of the first one, and
    [N, h, w, 2]; gives [N, h, w, 2].
    """

    def __init__(self, level: int, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.level = level
        self.side = side = _HEAD_SIZES[level]
        self.moduleFeat = _convs(_CHANNELS[level], (128, 1)) if level < 5 else []
        self.moduleMain = _convs(max(_CHANNELS[level], 128) + 3, (128,), (128,), (64,), (64,), (32,), (32,))
        heads: dict[str, Any] = {"dtype": head_dtype(self)}
        if level >= 5:
            self.moduleDist = [_conv(32, side**2, side, **heads)]
        else:
            self.moduleDist = [_conv(32, side**2, (side, 1), **heads), _conv(side**2, side**2, (1, side), **heads)]
        self.moduleScaleX = _conv(side**2, 1, 1, **heads)
        self.moduleScaleY = _conv(side**2, 1, 1, **heads)

    def build(self, first_shape, second_shape, features_shape, flow_shape):
        """Nothing: all layers are built."""

    def compute_output_shape(self, first_shape, second_shape, features_shape, flow_shape):
        return flow_shape

    def compute_output_spec(self, first, second, features, flow):
        return keras.KerasTensor(flow.shape, head_dtype(self))

    def call(self, first, second, features, flow):
        error = ops.square(first - warp(second, _to_pixels(flow, self.level)))
        # The derivative of the root at 0 would be infinite; the published network does not train through it.
        error = ops.sqrt(ops.stop_gradient(ops.sum(error, axis=-1, keepdims=True)))
        x = ops.concatenate([error, without_mean(flow), _through(self.moduleFeat, features)], axis=-1)
        weights, total = neighbor_weights(_through(self.moduleDist, _through(self.moduleMain, x)))
        smoothed = [
            scale(weights * neighbors(flow[..., axis : axis + 1], self.side)) / total
            for axis, scale in enumerate((self.moduleScaleX, self.moduleScaleY))
        ]
        return ops.concatenate(smoothed, axis=-1)


def without_mean(flow):
    """[N, H, W, 2] minus its mean over H and W."""
    return flow - ops.mean(flow, axis=(1, 2), keepdims=True)


def neighbor_weights(distance):
    """[N, H, W, K] -> exp(-distance²), the largest at each pixel made 1, and their sum [N, H, W, 1]."""
    weights = -ops.square(distance)
    weights = ops.exp(weights - ops.max(weights, axis=-1, keepdims=True))
    return weights, ops.sum(weights, axis=-1, keepdims=True)


def neighbors(x, side: int):
    """[N, H, W, 1] -> [N, H, W, side²]: the square around each pixel, row by row; outside is 0."""
    # As a convolution, whose gradient is one too.
    kernel = np.eye(side**2).reshape(side, side, 1, side**2)
    return ops.conv(x, ops.cast(kernel, x.dtype), 1, "same", "channels_last")
