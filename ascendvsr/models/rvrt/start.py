"""A start for RVRT from which minutes of training get somewhere, instead of the paper's random one.

From random kernels the features of a pixel say next to nothing about that pixel: it is mixed with all around it
over and over, from the strided convolutions to the upsampling, and every norm divides it by the contrast around it.
Training first learns to add nothing to the input, and stays there for thousands of steps, which the paper's 600,000
leave behind and a short run does not. Here the last convolution sees the input from the first step on.
"""

import keras
import numpy as np
from keras import ops

from ascendvsr.models.rvrt.inputs import carried_channels, why_no_identity

_SIDES = [(down, right) for down in range(2) for right in range(2)]  # pixels of a square of 2 x 2
_GRAY = 0.5
_CONSTANT = 2.0  # far more than pixels differ from gray

Tap = tuple[int, int, int, int, float]  # row, column, input channel, output channel, value


def start_near_identity(model: keras.Model) -> None:
    """Gives an untrained RVRT a way from each pixel of the input to its last convolution, which begins at 0.

    At half size channel 3 * p + c holds the color c of pixel p of a square; at a quarter, channel 12 * q + k holds
    channel k of square q. The way goes through the extraction and the reconstruction, past the branches; residual
    blocks begin by adding nothing. What the last convolution sees are differences between neighboring pixels.

    Norms take the mean over the channels away and divide by the deviation. So that both stay the same from token to
    token, pixels travel as what they differ from gray by, with signs by turns, and on top of larger constants with
    signs by other turns.

    Raises ValueError as `why_no_identity` tells.
    """
    config = model.get_config()
    problem = why_no_identity(config["upscale"], config["embed_dims"], config["inputconv_groups"])
    if problem:
        raise ValueError(problem)
    channel = np.arange(config["embed_dims"][0])
    sign = np.where(channel // 3 % 2, -1.0, 1.0)
    constant = np.where(channel // 12 % 2, -_CONSTANT, _CONSTANT)
    carried = channel[: carried_channels(model.scale)]

    extraction = model.feat_extract
    if model.scale == 1:
        for conv, channels in ((extraction["1"], 3), (extraction["3"], 12)):
            # With a stride of 2, taps 1 and 2 of three are on the square.
            square = [(p * channels, 1 + y, 1 + x) for p, (y, x) in enumerate(_SIDES)]
            _pass_on(conv, [(y, x, k, first + k, 1.0) for first, y, x in square for k in range(channels)])
        extraction = extraction["6"]
    _pass_on(extraction.main["1"], [(1, 1, k, k, sign[k]) for k in carried])
    extraction.main["1"].bias.assign(constant - _GRAY * sign * (channel < len(carried)))
    for block in _residual_blocks(model):
        _clear(block.linear)
    _pass_on(model.reconstruction.main["1"], [(1, 1, k, k, 1.0) for k in channel])
    before = model.conv_before_upsampler["0"]
    _pass_on(before, [(0, 0, k, k, _CONSTANT * sign[k]) for k in carried])
    bias = ops.convert_to_numpy(before.bias).copy()
    bias[carried] = _GRAY - (constant * sign)[carried]
    before.bias.assign(bias)
    for conv, channels in ((model.upsampler["0"], 12), (model.upsampler["5"], 3)):
        channels, next_square = (channels, channels) if model.scale == 1 else (3, 0)
        # Pixel shuffle takes channel 4 * k + p to channel k of pixel p.
        _pass_on(conv, [(1, 1, p * next_square + k, 4 * k + p, 1.0) for p in range(4) for k in range(channels)])
    _see_differences(model.upsampler["10"])
    _clear(model.conv_last)


def _residual_blocks(model: keras.Model) -> list[keras.layers.Layer]:
    extraction = model.feat_extract if model.scale == 4 else model.feat_extract["6"]
    return [
        block for part in (extraction, *model.backbone.values(), model.reconstruction) for block in part.main["5"]
    ]


def _pass_on(conv: keras.layers.Layer, taps: list[Tap]) -> None:
    """The output channels of `taps` are these alone, without a bias; the others keep their random numbers."""
    kernel, bias = (ops.convert_to_numpy(weight).copy() for weight in (conv.kernel, conv.bias))
    filters = [tap[3] for tap in taps]
    kernel[..., filters] = bias[filters] = 0.0
    for row, column, channel, filter_, value in taps:
        kernel[0, row, column, channel, filter_] = value
    conv.kernel.assign(kernel)
    conv.bias.assign(bias)


def _see_differences(conv: keras.layers.Layer) -> None:
    """Random kernels that add up to 0, above all of the first three channels, which are the pixels."""
    kernel = ops.convert_to_numpy(conv.kernel).copy()
    kernel[..., :3, :] /= np.abs(kernel).max()
    conv.kernel.assign(kernel - kernel.mean(axis=(1, 2), keepdims=True))
    conv.bias.assign(ops.zeros_like(conv.bias))


def _clear(layer: keras.layers.Layer) -> None:
    for weight in layer.weights:
        weight.assign(ops.zeros_like(weight))
