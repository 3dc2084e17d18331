"""The operations that runtimes have ready, and that a network composes: resizing and pixel shuffle, which all of
them have, deformable convolution and sampling on a grid.

TensorFlow has an operation for resizing. For each of the others one placeholder stands in TensorFlow's graph while
a network is traced for such a runtime: a `PyFuncStateless` whose token tells in JSON what is to be computed. The
converter to ONNX and OpenVINO's reader put the standard operation in its place (`onnx_file`, `openvino_file`).
TensorFlow itself cannot run such a graph.

    deform_conv    inputs x, offset, kernel, bias, mask as those of `ascendcv.ops.deform_conv.deform_conv2d`
    ascend         inputs x, kernel, offsets with the mask inside, bias, as `ascendcv.ops.vendor` lays them out: the
                   experimental node that Ascend's compiler takes for a deformable convolution
    grid_sample    inputs x [M, H, W, C] and grid [M, Ho, Wo, 2]: (x, y), where -1 and 1 are the outer edges of the
                   first and the last pixel -> [M, Ho, Wo, C], bilinear, zeros outside
    pixel_shuffle  input x as that of `ascendcv.ops.shuffle.pixel_shuffle`
"""

import json
from collections.abc import Callable

from keras import ops

from ascendcv.ops.deform_conv import both_axes
from ascendcv.ops.resize import by_tensorflow
from ascendcv.ops.vendor import as_ascend_takes

PLACEHOLDER = "PyFuncStateless"


def deform_conv2d(x, offset, kernel, mask, bias, *, stride, padding, dilation, groups, deformable_groups):
    """Stands for the operation of this name in `ascendcv.ops.registry`."""
    mask, bias = _given(offset, kernel, mask, bias)
    facts = {"operation": "deform_conv"} | _numbers(kernel, stride, padding, dilation, groups, deformable_groups)
    return _placeholder(facts, [x, offset, kernel, bias, mask], (*offset.shape[:3], kernel.shape[-1]))


def ascend_deform_conv2d(x, offset, kernel, mask, bias, *, stride, padding, dilation, groups, deformable_groups):
    """Stands for `deform_conv2d` in graphs for Ascend's compiler."""
    mask, bias = _given(offset, kernel, mask, bias)
    facts = {"operation": "ascend"} | _numbers(kernel, stride, padding, dilation, groups, deformable_groups)
    offsets = as_ascend_takes(offset, mask)
    return _placeholder(facts, [x, kernel, offsets, bias], (*offset.shape[:3], kernel.shape[-1]))


def _given(offset, kernel, mask, bias):
    """Mask and bias, where there are none ones and zeros."""
    batch, height, width, channels = ops.shape(offset)
    mask = ops.ones((batch, height, width, channels // 2), offset.dtype) if mask is None else mask
    return mask, ops.zeros((kernel.shape[-1],), offset.dtype) if bias is None else bias


def _numbers(kernel, stride, padding, dilation, groups, deformable_groups) -> dict:
    return {
        "kernel_size": list(kernel.shape[:2]),
        "stride": both_axes(stride),
        "padding": both_axes(padding),
        "dilation": both_axes(dilation),
        "groups": groups,
        "deformable_groups": deformable_groups,
    }


def sample_bilinear(x, positions, factor, *, groups):
    """Stands for the function of this name in `ascendcv.ops.sampling`."""
    batch, height, width, channels = ops.shape(x)
    *_, out_width, doubled = ops.shape(positions)
    samples, each = doubled // 2, channels // groups
    taps = samples // groups
    positions = ops.reshape(positions, (batch, -1, groups, taps, 2))
    if groups > 1:  # of which each becomes a picture of the batch
        x = ops.swapaxes(ops.reshape(x, (batch, height * width, groups, each)), 1, 2)
        x = ops.reshape(x, (batch * groups, height, width, each))
        positions = ops.swapaxes(positions, 1, 2)
    positions = ops.reshape(positions, (batch * groups, -1, out_width * taps, 2))
    grid = ops.stack([_on_edges(positions[..., 1], width), _on_edges(positions[..., 0], height)], axis=-1)
    y = _placeholder({"operation": "grid_sample"}, [x, grid], (*grid.shape[:3], each))
    if groups > 1:
        y = ops.swapaxes(ops.reshape(y, (batch, groups, -1, taps * each)), 1, 2)
    y = ops.reshape(y, (batch, -1, samples, each))
    return y if factor is None else y * ops.reshape(factor, (batch, -1, samples, 1))


def pixel_shuffle(x, scale: int):
    """Stands for the function of this name in `ascendcv.ops.shuffle`."""
    batch, height, width, channels = x.shape
    height, width = (None if length is None else length * scale for length in (height, width))
    return _placeholder(
        {"operation": "pixel_shuffle", "scale": scale}, [x], (batch, height, width, channels // scale**2)
    )


# What takes the place of operations in the graphs of each runtime. Where OpenVINO computes in bfloat16, its default
# on processors that have it, it would resize frames in that, too, with errors of 1/256; what is composed after the
# last convolution stays float32.
OPENVINO: dict[str, Callable] = {
    "pixel_shuffle": pixel_shuffle,
    "deform_conv2d": deform_conv2d,
    "sample_bilinear": sample_bilinear,
}
ONNX_STANDARD = OPENVINO | {"resize_bilinear": by_tensorflow}
ONNX: dict[str, Callable] = {"pixel_shuffle": pixel_shuffle, "resize_bilinear": by_tensorflow}
ASCEND = ONNX | {"deform_conv2d": ascend_deform_conv2d}


def _on_edges(position, size):
    """Pixels -> -1 to 1. What is no number, or infinitely far, is moved to where nothing of the image is read."""
    size = ops.cast(size, position.dtype)
    position = ops.minimum(ops.where(position > -1, position, -2.0), size)
    return (2 * position + 1) / size - 1


def _placeholder(facts: dict, inputs: list, shape):
    import tensorflow as tf

    (y,) = tf.raw_ops.PyFuncStateless(input=inputs, token=json.dumps(facts), Tout=[inputs[0].dtype])
    return tf.ensure_shape(y, shape)  # unlike `set_shape` it is kept in the graph's file
