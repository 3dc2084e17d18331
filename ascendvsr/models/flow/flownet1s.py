"""FlowNetS: an encoder and a decoder that see both frames as one image of six channels.

FlowNet: Learning Optical Flow with Convolutional Networks (Dosovitskiy et al., ICCV 2015), in the form that "Deep
Video Deblurring: The Devil is in the Details" (Gast and Roth, ICCV Workshops 2019) prewarps with.
"""

from typing import Any

from keras import ops

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.conv_transpose import Conv2DTranspose
from ascendcv.layers.saving import serializable
from ascendcv.ops.adaptive_pool import adaptive_avg_pool2d
from ascendcv.ops.resize import resize
from ascendvsr.layers.flow_blocks import SLOPE, he_initialization, head_dtype, lrelu
from ascendvsr.models.network import FlowNetwork

# name, channels, kernel, stride. Levels 1 to 6 are a half to a 64th of the size.
_ENCODER = (
    ("conv1", 64, 7, 2),
    ("conv2", 128, 5, 2),
    ("conv3", 256, 5, 2),
    ("conv3_1", 256, 3, 1),
    ("conv4", 512, 3, 2),
    ("conv4_1", 512, 3, 1),
    ("conv5", 512, 3, 2),
    ("conv5_1", 512, 3, 1),
    ("conv6", 1024, 3, 2),
    ("conv6_1", 1024, 3, 1),
)
_SKIPS = {5: "conv5_1", 4: "conv4_1", 3: "conv3_1", 2: "conv2"}  # level -> what of the encoder joins there
_DECONV_CHANNELS = {5: 512, 4: 256, 3: 128, 2: 64}


def _official_names() -> dict[str, str]:
    names = {}
    for name, *_ in _ENCODER:
        names[f"encoder.{name}"] = f"flownets.{name}.0"
    for level in _SKIPS:
        names[f"deconv.{level}"] = f"flownets.deconv{level}.0"
        names[f"upsample_flow.{level}"] = f"flownets.upsample_flow{level + 1}_to_{level}"
    for level in (6, *_SKIPS):
        names[f"predict_flow.{level}"] = f"flownets.predict_flow{level}"
    return names


@serializable("ascendvsr")
class FlowNet1S(FlowNetwork):
    """Optical flow between two frames.

    Args:
        div_flow: the network's unit is a pixel of the full size divided by this; prewarping uses 0.05.

    `call((reference, supporting))`: frames [N, H, W, 3] RGB in [0, 1] -> flow [N, H, W, 2] in pixels, channel 0 to
    the right, so that `warp(supporting, flow)` looks like `reference`. Any H and W from 1.

    38,675,546 parameters, initialized as released. Source: deblur-devil `models.flow.flownet1s.FlowNet1S`.

    >>> import numpy as np
    >>> from ascendvsr.models import FlowNet1S
    >>> reference, supporting = np.zeros((2, 1, 12, 16, 3), "float32")
    >>> tuple(FlowNet1S()((reference, supporting)).shape)
    (1, 12, 16, 2)
    """

    official_names = _official_names()

    def __init__(self, div_flow: float = 0.05, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.div_flow = div_flow
        head: dict[str, Any] = {"dtype": head_dtype(self)}
        self.encoder = {
            name: Conv2D(channels, kernel, stride, activation=SLOPE, **he_initialization())
            for name, channels, kernel, stride in _ENCODER
        }
        self.predict_flow = {str(level): Conv2D(2, **he_initialization(), **head) for level in (6, *_SKIPS)}
        self.deconv = {str(level): _doubling(channels) for level, channels in _DECONV_CHANNELS.items()}
        self.upsample_flow = {str(level): _doubling(2, **head) for level in _SKIPS}

        self.build([(None, None, None, 3)] * 2)

    def build(self, frames_shape):
        """All weights, in the order of `call`."""
        *place, channels = (None, None, None, 6)
        for conv in self.encoder.values():
            conv.build((*place, channels))
            channels = conv.filters
        self.predict_flow["6"].build((*place, channels))
        for level, name in _SKIPS.items():
            deconv, upsample = self.deconv[str(level)], self.upsample_flow[str(level)]
            deconv.build((*place, channels))
            upsample.build((*place, 2))
            channels = self.encoder[name].filters + deconv.filters + 2
            self.predict_flow[str(level)].build((*place, channels))

    def call(self, frames):
        flow = self.levels(frames)[-1]
        _, height, width, _ = ops.shape(frames[0])
        return resize(flow, (height, width), align_corners=True) / self.div_flow

    def levels(self, frames) -> list:
        """The flows of levels 6 to 2 (a 64th to a quarter of the size), in full-size pixels times `div_flow`."""
        x, encoded = ops.concatenate(frames, axis=-1), {}
        for name, conv in self.encoder.items():
            x = encoded[name] = conv(x)
        flows = [self.predict_flow["6"](x)]
        for level, name in _SKIPS.items():
            skip = encoded[name]
            parts = [lrelu(self.deconv[str(level)](x)), self.upsample_flow[str(level)](flows[-1])]
            # Twice a half that was rounded up is a row or column too many.
            size = ops.shape(skip)[1:3]
            parts = [ops.cast(adaptive_avg_pool2d(part, size), skip.dtype) for part in parts]
            x = ops.concatenate([skip, *parts], axis=-1)
            flows.append(self.predict_flow[str(level)](x))
        return flows


def _doubling(channels: int, **kwargs) -> Conv2DTranspose:
    return Conv2DTranspose(channels, 4, stride=2, padding=1, use_bias=False, **he_initialization(), **kwargs)
