"""How far a network's deformable convolutions reach, measured from outside: training itself pays nothing for it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from ascendcv.layers.deform_conv import DCNv2Pack
from ascendvsr.weights.names import named_layers


def offset_magnitudes(model: keras.Model, clip) -> dict[str, float]:
    """Official name of each deformable convolution -> mean |offset| in pixels, over all its calls on `clip`."""
    found: dict[str, list] = {}
    with contextlib.ExitStack() as stack:
        for name, layer in named_layers(model):
            if isinstance(layer, DCNv2Pack):
                found[name] = stack.enter_context(_recorded_offsets(layer))
        if found:
            model(clip, training=False)
    return {name: float(ops.mean(ops.stack(means))) for name, means in found.items()}


@contextlib.contextmanager
def _recorded_offsets(layer: DCNv2Pack) -> Iterator[list]:
    """Inside the block, each call of `layer` adds its mean |offset| to the list."""
    means: list = []
    convolution: Any = layer.conv_offset
    compute = convolution.call

    def call(feat):
        offsets_and_mask = compute(feat)
        means.append(ops.mean(ops.abs(offsets_and_mask[..., : layer.offset_channels])))
        return offsets_and_mask

    convolution.call = call
    try:
        yield means
    finally:
        del convolution.call
