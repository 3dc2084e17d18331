"""What the two PWC-Nets share: feature pyramid, masked warping, dense flow estimator, context network.

PWC-Net: CNNs for Optical Flow Using Pyramid, Warping, and Cost Volume (Sun et al., CVPR 2018). Published weights
of its ports have names of their own for the same layers: each network's `official_names` translates.
"""

import keras
from keras import ops

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.saving import serializable
from ascendcv.ops.sampling import at_least_float32
from ascendcv.ops.warp import warp

PYRAMID_CHANNELS = (16, 32, 64, 96, 128, 196)  # of levels 1 (half the size) to 6 (a 64th)
VOLUME_CHANNELS = 81  # a displacement of up to 4 pixels: 9 x 9
ESTIMATOR_CHANNELS = (128, 128, 96, 64, 32)
CONTEXT_LAYERS = ((128, 1), (128, 2), (128, 4), (96, 8), (64, 16), (32, 1))  # channels, dilation


SLOPE = 0.1  # of the networks' leaky ReLU below 0


def lrelu(x):
    """The networks' activation."""
    return ops.leaky_relu(x, SLOPE)


def visible(flow, threshold: float):
    """[N, H, W, 2] -> boolean [N, H, W, 1]: where warping by `flow` reads from within the image.

    The four pixels that a bilinear sample is made of count by their weights; those that lie in the image should
    have more than `threshold` of it. This is the usual test on a warped image of ones, without warping one.
    """
    _, height, width, _ = ops.shape(flow)
    flow = at_least_float32(flow)
    rows = ops.cast(ops.arange(height, dtype="int32"), flow.dtype)[:, None] + flow[..., 1]
    columns = ops.cast(ops.arange(width, dtype="int32"), flow.dtype) + flow[..., 0]
    return (_share_inside(rows, height) * _share_inside(columns, width) > threshold)[..., None]


def _share_inside(positions, size):
    """How much of a linear sample between pixels comes from pixels 0 to size - 1. An axis of one has all of it."""
    size = ops.cast(size, positions.dtype)
    positions = ops.where(size > 1, positions, 0.0)
    before, after = positions + 1, size - positions
    # Not by `minimum`, which makes float64 float32 on PyTorch.
    return ops.clip(ops.where(before < after, before, after), 0.0, 1.0)


def warp_visible(x, flow, threshold: float):
    """`warp(x, flow)` with zeros where less than `threshold` of a sample lies in the image: [N, H, W, C]."""
    return ops.where(visible(flow, threshold), warp(x, flow), ops.cast(0, x.dtype))


def head_dtype(layer: keras.Layer) -> str:
    """What layers that give a flow compute in: float32 at least."""
    return "float64" if layer.compute_dtype == "float64" else "float32"


def initialization(start: str) -> dict:
    """Arguments of `Conv2D` and `Conv2DTranspose`: 'pytorch' for their own, or 'he': `he_initialization`."""
    return {"pytorch": dict, "he": he_initialization}[start]()


def he_initialization() -> dict:
    """Initializers for `Conv2D` and `Conv2DTranspose`: He's normal distribution by fan_in, biases 0.

    The slope of the activation is left out, as "The Devil is in the Details" was released. Of a transposed
    convolution fan_in is what PyTorch takes for it: output channels times the kernel's area.
    """
    normal = keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")
    return {"kernel_initializer": normal, "bias_initializer": "zeros"}


@serializable("ascendvsr")
class FeaturePyramid(keras.Layer):
    """Features at six levels, each half the size of the one before: [N, H, W, 3] -> list, the finest first.

    Args:
        convs_per_level: 3x3 convolutions of a level, the first of them with stride 2.
        start: how kernels begin, see `initialization`.
    """

    def __init__(self, convs_per_level: int, start: str = "pytorch", **kwargs):
        super().__init__(**kwargs)
        self.convs = [
            [
                Conv2D(channels, stride=2 if k == 0 else 1, activation=SLOPE, **initialization(start))
                for k in range(convs_per_level)
            ]
            for channels in PYRAMID_CHANNELS
        ]

    def build(self, frames_shape):
        shape = frames_shape
        for conv in (conv for convs in self.convs for conv in convs):
            conv.build(shape)
            shape = (*shape[:-1], conv.filters)

    def compute_output_shape(self, frames_shape):
        shape, levels = frames_shape, []
        for convs in self.convs:
            for conv in convs:
                shape = conv.compute_output_shape(shape)
            levels.append(shape)
        return levels

    def call(self, frames):
        x, levels = frames, []
        for convs in self.convs:
            for conv in convs:
                x = conv(x)
            levels.append(x)
        return levels


@serializable("ascendvsr")
class DenseEstimator(keras.Layer):
    """Flow of one level from everything that is known there, by densely connected convolutions.

    `call(x)`: [N, h, w, C] -> ([N, h, w, C + 448], [N, h, w, 2]): all features, the newest first, and the flow in
    the units of the network, computed in float32 at least. `start` as in `FeaturePyramid`.
    """

    def __init__(self, start: str = "pytorch", **kwargs):
        super().__init__(**kwargs)
        self.conv1, self.conv2, self.conv3, self.conv4, self.conv5 = (
            Conv2D(channels, activation=SLOPE, **initialization(start)) for channels in ESTIMATOR_CHANNELS
        )
        self.conv_last = Conv2D(2, **initialization(start), dtype=head_dtype(self))

    def build(self, x_shape):
        *place, channels = x_shape
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5, self.conv_last):
            conv.build((*place, channels))
            channels += conv.filters

    def compute_output_shape(self, x_shape):
        *place, channels = x_shape
        return (*place, channels + sum(ESTIMATOR_CHANNELS)), (*place, 2)

    def compute_output_spec(self, x):
        features, flow = self.compute_output_shape(x.shape)
        return keras.KerasTensor(features, self.compute_dtype), keras.KerasTensor(flow, head_dtype(self))

    def call(self, x):
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            x = ops.concatenate([conv(x), x], axis=-1)
        return x, self.conv_last(x)


@serializable("ascendvsr")
class ContextNetwork(keras.Layer):
    """What refines the finest flow, by dilated convolutions: [N, h, w, C] -> [N, h, w, 2], to be added to it.

    `start` as in `FeaturePyramid`.
    """

    def __init__(self, start: str = "pytorch", **kwargs):
        super().__init__(**kwargs)
        self.convs = [
            Conv2D(channels, dilation=dilation, activation=SLOPE, **initialization(start))
            for channels, dilation in CONTEXT_LAYERS
        ]
        self.convs.append(Conv2D(2, **initialization(start), dtype=head_dtype(self)))

    def build(self, x_shape):
        for conv in self.convs:
            conv.build(x_shape)
            x_shape = (*x_shape[:-1], conv.filters)

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], 2)

    def compute_output_spec(self, x):
        return keras.KerasTensor(self.compute_output_shape(x.shape), head_dtype(self))

    def call(self, x):
        for conv in self.convs:
            x = conv(x)
        return x
