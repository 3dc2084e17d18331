"""A start for RVRT from which minutes of training get somewhere, instead of the paper's random one.

With random kernels the features of a fresh RVRT at a pixel say next to nothing about that pixel: it is mixed with
all around it over and over, from the strided convolutions to the upsampling. Training first learns to add nothing
to the input, and stays there for thousands of steps, which the paper's 600,000 leave behind and a short run does
not. Here the kernels pass the pixels on to where they come from, and what a network adds to its input begins at 0.
"""

import keras
import numpy as np

_FAINT = 0.2
_SIDES = [(down, right) for down in range(2) for right in range(2)]  # pixels of a square of 2 x 2


def start_near_identity(model: keras.Model) -> None:
    """Gives an untrained RVRT a way from each pixel of the input to its last convolution, which begins at 0.

    At half size channel 3 * p + c holds the colour c of pixel p of a square; at a quarter, channel 12 * q + k holds
    channel k of square q. The way goes through the extraction and the reconstruction, past the branches. Without
    upscaling that needs 48 channels.

    Raises ValueError for an RVRT with fewer, or with groups on the way.
    """
    dims, groups = model.config["embed_dims"], model.config["inputconv_groups"]
    carried = 3 if model.scale == 4 else 48
    if min(dims) < carried or groups[0] != 1 or groups[5] != 1:
        raise ValueError(
            f"a start near the identity needs {carried} channels and no groups: embed_dims={dims}, "
            f"inputconv_groups={groups}"
        )
    extraction = model.feat_extract
    if model.scale == 1:
        for conv, channels in ((extraction["1"], 3), (extraction["3"], 12)):
            # With a stride of 2, taps 1 and 2 of three are on the square.
            _pass_on(
                conv,
                [(1 + y, 1 + x, k, p * channels + k) for p, (y, x) in enumerate(_SIDES) for k in range(channels)],
            )
        extraction = extraction["6"]
    for conv in (extraction.main["1"], model.reconstruction.main["1"], model.conv_before_upsampler["0"]):
        centre = conv.kernel_size // 2
        _pass_on(conv, [(centre, centre, k, k) for k in range(carried)])
    for conv, channels in ((model.upsampler["0"], 12), (model.upsampler["5"], 3)):
        channels, squares = (3, 0) if model.scale == 4 else (channels, channels)
        # Pixel shuffle takes channel 4 * k + p to channel k of pixel p.
        _pass_on(conv, [(1, 1, p * squares + k, 4 * k + p) for p in range(4) for k in range(channels)])
    _pass_on(model.upsampler["10"], [(1, 1, k, k) for k in range(3)])
    for variable in model.conv_last.weights:
        variable.assign(np.zeros(variable.shape))


def _pass_on(conv: keras.layers.Layer, places: list[tuple[int, int, int, int]]) -> None:
    """A kernel's random numbers made faint, and 1 added at each (row, column, input channel, output channel)."""
    kernel = _FAINT * keras.ops.convert_to_numpy(conv.kernel)
    for row, column, channel, filter_ in places:
        kernel[0, row, column, channel, filter_] += 1.0
    conv.kernel.assign(kernel)
