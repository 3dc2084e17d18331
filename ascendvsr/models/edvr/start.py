"""A start for EDVR from which a short training gets somewhere sooner than from the published random one.

From PyTorch's random kernels each convolution gives features of a third of the variance that it is given, and each
deformable one, whose mask begins at 1/2, of a twelfth: after twenty of them next to nothing of the input is left,
and training spends its first hundreds of steps on bringing it back.
"""

import math

import keras
import numpy as np

from ascendvsr.weights.names import named_variables

_LEAK = 0.1  # slope of the activations for negative features
_MASK = 0.5  # of a fresh deformable convolution
_AS_THEY_ARE = ("conv_offset", "feature_extraction", "reconstruction", "predeblur", "temporal_attn", "spatial_attn")


def start_evenly(model: keras.Model, seed: int) -> None:
    """Gives an untrained EDVR kernels by He's rule, through which features keep their variance, and biases of 0.

    The last convolution begins at 0, so that the network begins as bilinear upsampling. Residual blocks, which
    begin near the identity, the attention and what offsets come from stay as they are.
    """
    generator = np.random.default_rng(seed)
    for entry in named_variables(model):
        shape = tuple(entry.variable.shape)
        if any(part in entry.name for part in _AS_THEY_ARE):
            continue
        if len(shape) != 4 or entry.name.startswith("conv_last"):
            entry.variable.assign(np.zeros(shape))
            continue
        deviation = math.sqrt(2 / (1 + _LEAK**2) / math.prod(shape[:3]))
        if "dcn" in entry.name:
            deviation /= _MASK
        entry.variable.assign(generator.normal(0, deviation, shape))
