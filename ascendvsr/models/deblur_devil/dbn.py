"""DBN of "Deep Video Deblurring: The Devil is in the Details" (Gast and Roth, ICCV Workshops 2019).

It goes back to DBN of "Deep Video Deblurring for Hand-held Cameras" (Su et al., CVPR 2017).

The frames of a window, stacked as channels, pass an encoder and decoder with skip connections; what comes out is
added to the middle frame. Attributes carry the names of the published weights.
"""

import math

import keras
from keras import ops

from ascendcv.layers.batch_norm import BatchNorm
from ascendcv.layers.conv import Conv2D
from ascendcv.layers.conv_transpose import Conv2DTranspose
from ascendcv.layers.saving import serializable
from ascendcv.ops.color import rgb_to_ycbcr, ycbcr_to_rgb
from ascendcv.utils.errors import InputError
from ascendvsr.layers.padding import to_multiple
from ascendvsr.models.network import Network


@serializable("ascendvsr")
class DBN(Network):
    """Restores the middle frame of a window of blurred frames.

    Args:
        num_frame: frames of a window, odd, from 3 on.
        num_feat: channels at full resolution; 64 in the paper. Deeper levels have 2, 4 and 8 times as many.
        init_type: how kernels begin: 'fan_max' (as released), 'fan_in' or 'fan_out' (see `KernelInitializer`).
        output_layer: 'linear' (the paper's choice), or 'sigmoid' over the sum with the middle frame (Su et al.).
        color_space: 'rgb', or 'ycbcr': the network computes in YCbCr; frames go in and come out as RGB.
        nonblind_denoising: frames have a fourth channel, the standard deviation of their noise / 255, of which the
            network gets the middle frame's. Not in the paper; with 'rgb' only.
        size: what happens to frames whose sides are not multiples of 8: 'pad' or 'crop'.

    `call(clip)`: [N, num_frame, H, W, in_channels], RGB in [0, 1] -> [N, H, W, 3] float32, clipped to [0, 1] except
    with `training=True`. Any H and W from 1.

    Attributes:
        time: 'window': one call restores one frame.
        scale: 1.
        size_multiple: 8.
        in_channels: 3, or 4 with `nonblind_denoising`.

    Raises `InputError` for an even number of frames, and for `nonblind_denoising` in YCbCr.

    Source: visinf/deblur-devil `models.deblurring.dbn.DBN`.

    >>> import numpy as np
    >>> from ascendvsr.models import DBN
    >>> network = DBN(num_feat=8)
    >>> tuple(network(np.zeros((1, 5, 12, 16, 3), "float32")).shape)
    (1, 12, 16, 3)
    """

    size_multiple = 8

    def __init__(
        self,
        num_frame: int = 5,
        num_feat: int = 64,
        init_type: str = "fan_max",
        output_layer: str = "linear",
        color_space: str = "rgb",
        nonblind_denoising: bool = False,
        *,
        size: str = "pad",
        **kwargs,
    ):
        # Frames enter in float32, whatever the layers compute in: the middle one is added to the result.
        super().__init__(autocast=False, **kwargs)
        if nonblind_denoising and color_space != "rgb":
            raise InputError(f"nonblind_denoising is for color_space rgb, not {color_space}")
        self.num_frame = num_frame
        self.center_frame_idx = middle_of(num_frame)
        self.output_layer = output_layer
        self.color_space = color_space
        self.in_channels = 4 if nonblind_denoising else 3
        self.size = size
        self.dbn_net = EncoderDecoder(3 * num_frame + nonblind_denoising, num_feat, init_type)
        self.build((None, num_frame, None, None, self.in_channels))

    def build(self, clip_shape):
        """All weights: the network sees the frames side by side, and the middle one's map of noise."""
        self.dbn_net.build((None, None, None, 3 * self.num_frame + self.in_channels - 3))

    def call(self, clip, training=False):
        _, _, height, width, _ = ops.shape(clip)
        clip = to_multiple(clip, self.size_multiple, self.size)
        frames = [clip[:, t, ..., :3] for t in range(self.num_frame)]
        if self.in_channels == 4:
            frames.append(clip[:, self.center_frame_idx, ..., 3:])
        restored = restore_center(self, self.dbn_net, frames, training)
        return restored[:, :height, :width] if self.size == "pad" else restored


def middle_of(num_frame: int) -> int:
    """The index of the frame that is restored. Raises `InputError` for one frame or an even number of them."""
    if num_frame < 3 or num_frame % 2 == 0:
        raise InputError(f"num_frame is {num_frame}: DBN and FlowDBN restore the middle one of 3, 5, 7, ... frames")
    return num_frame // 2


def restore_center(model, dbn_net, frames: list, training: bool):
    """The restored middle frame [N, H, W, 3].

    Args:
        model: DBN or FlowDBN, for its options.
        dbn_net: its `EncoderDecoder`.
        frames: [N, H, W, 3] each, sides multiples of 8: the window in order, then what else the network gets.
        training: whether values stay unclipped, and batch normalization takes the statistics of the batch.
    """
    if model.color_space == "ycbcr":
        frames = [rgb_to_ycbcr(frame) for frame in frames]
    center = frames[model.center_frame_idx]
    residual = dbn_net(ops.concatenate(frames, axis=-1), training=training)
    restored = center + ops.cast(residual, center.dtype)
    if model.output_layer == "sigmoid":
        restored = ops.sigmoid(restored)
    if model.color_space == "ycbcr":
        restored = ycbcr_to_rgb(restored)
    return restored if training else ops.clip(restored, 0.0, 1.0)


@serializable("ascendvsr")
class EncoderDecoder(keras.Layer):
    """[N, H, W, in_channels] -> the residual [N, H, W, 3]; H and W multiples of 8.

    Every convolution has batch normalization (epsilon 1e-3, momentum 0.1 in PyTorch's sense) and no bias. Three
    strided convolutions lead to an eighth of the size, three transposed ones back; after each of these the features
    of the same size from the way down are added.

    Source: visinf/deblur-devil `DBNImpl`.
    """

    def __init__(self, in_channels: int, num_feat: int, init_type: str, **kwargs):
        super().__init__(**kwargs)
        start = KernelInitializer(init_type)
        n = num_feat

        self.f0 = _conv(n, start, kernel_size=5)

        self.d1 = _conv(n, start, stride=2)
        self.f1 = _conv(2 * n, start)
        self.f2 = _conv(2 * n, start)

        self.d2 = _conv(4 * n, start, stride=2)
        self.f3 = _conv(4 * n, start)
        self.f4 = _conv(4 * n, start)
        self.f5 = _conv(4 * n, start)

        self.d3 = _conv(8 * n, start, stride=2)
        self.f6 = _conv(8 * n, start)
        self.f7 = _conv(8 * n, start)
        self.f8 = _conv(8 * n, start)

        self.u1 = _deconv(4 * n, start)
        self.f9 = _conv(4 * n, start)
        self.f10 = _conv(4 * n, start)
        self.f11 = _conv(4 * n, start)

        self.u2 = _deconv(2 * n, start)
        self.f12 = _conv(2 * n, start)
        self.f13 = _conv(n, start)

        self.u3 = _deconv(n, start)
        self.f14 = _conv(in_channels, start)
        self.f15 = _conv(3, start)

    def build(self, x_shape):
        *place, channels = x_shape
        for name in _LAYERS:
            for layer in getattr(self, name):
                layer.build((*place, channels))
                channels = getattr(layer, "filters", channels)

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], 3)

    def call(self, x, training=False):
        def normalized(layers: list, x):
            convolution, norm = layers
            return norm(convolution(x), training=training)

        def through(x, *blocks: list):
            for layers in blocks:
                x = ops.relu(normalized(layers, x))
            return x

        full = through(x, self.f0)
        half = through(full, self.d1, self.f1, self.f2)
        quarter = through(half, self.d2, self.f3, self.f4, self.f5)
        eighth = through(quarter, self.d3, self.f6, self.f7, self.f8)

        quarter = ops.relu(quarter + normalized(self.u1, eighth))
        quarter = through(quarter, self.f9, self.f10, self.f11)
        half = ops.relu(half + normalized(self.u2, quarter))
        half = through(half, self.f12, self.f13)
        full = ops.relu(full + normalized(self.u3, half))
        return normalized(self.f15, through(full, self.f14))


@keras.saving.register_keras_serializable("ascendvsr")
class KernelInitializer(keras.initializers.Initializer):
    """Normal numbers around 0 of a standard deviation that the shape of the kernel gives (`deviation`).

    Args:
        init_type: 'fan_in' and 'fan_out' are He's initialization by the inputs and outputs of a kernel. 'fan_max',
            as released, multiplies by the area of the kernel where He divides, so that kernels begin about 9 (3x3)
            to 25 (5x5) times as large. Batch normalization takes the factor out of the features; what remains is
            that a step of Adam changes a large kernel by less.

    Source: visinf/deblur-devil `contrib.weight_init`.
    """

    def __init__(self, init_type: str):
        if init_type not in ("fan_max", "fan_in", "fan_out"):
            raise ValueError(f"init_type is {init_type!r}; it should be fan_max, fan_in or fan_out")
        self.init_type = init_type

    def deviation(self, shape: tuple[int, int, int, int]) -> float:
        """Of a kernel [kh, kw, in, out], or [kh, kw, out, in] of a transposed convolution: as PyTorch, 'fan_in'
        takes its third axis in both cases."""
        height, width, third, fourth = shape
        area = height * width
        if self.init_type == "fan_max":
            return math.sqrt(2.0 / max(third, fourth) * area)
        return math.sqrt(2.0 / ((third if self.init_type == "fan_in" else fourth) * area))

    def __call__(self, shape, dtype=None):
        return keras.initializers.RandomNormal(0.0, self.deviation(shape))(shape, dtype)

    def get_config(self):
        return {"init_type": self.init_type}


_LAYERS = (
    *("f0", "d1", "f1", "f2", "d2", "f3", "f4", "f5", "d3", "f6", "f7", "f8"),
    *("u1", "f9", "f10", "f11", "u2", "f12", "f13", "u3", "f14", "f15"),
)


def _conv(filters: int, start: KernelInitializer, kernel_size: int = 3, stride: int = 1) -> list[keras.Layer]:
    convolution = Conv2D(filters, kernel_size, stride, use_bias=False, kernel_initializer=start)
    return [convolution, BatchNorm(epsilon=1e-3)]


def _deconv(filters: int, start: KernelInitializer) -> list[keras.Layer]:
    convolution = Conv2DTranspose(filters, 4, 2, padding=1, use_bias=False, kernel_initializer=start)
    return [convolution, BatchNorm(epsilon=1e-3)]
