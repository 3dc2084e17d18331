"""Calls the compiled kernels: the functions behind 'fused', and their gradients.

Each function takes what the composed one of the same operation takes. Half and bfloat16 are converted on the way in and
out; positions are float32 always.
"""

from types import ModuleType

import tensorflow as tf
from keras import ops

_library: ModuleType | None = None


def use(library: ModuleType) -> None:
    """Takes the loaded library's operations."""
    global _library
    _library = library


def cuda() -> bool:
    """Whether the library holds kernels for GPUs."""
    return False


def deform_conv2d(x, offset, kernel, mask, bias, *, stride, padding, dilation, groups, deformable_groups):
    """As `ascendcv.ops.deform_conv.composed`."""
    y = _library.ascendcv_deform_conv2d(
        x=_float32(x),
        offset=_float32(offset),
        mask=tf.zeros([0]) if mask is None else _float32(mask),
        kernel=_float32(kernel),
        bias=tf.zeros([kernel.shape[-1]]) if bias is None else _float32(bias),
        strides=[stride, stride],
        padding=[padding, padding],
        dilations=[dilation, dilation],
        groups=groups,
        deformable_groups=deformable_groups,
        masked=mask is not None,
    )
    return ops.cast(y, x.dtype)


@tf.RegisterGradient("Ascendcv>DeformConv2D")
def _deform_conv2d_gradient(op, grad_y):
    attributes = ("strides", "padding", "dilations", "groups", "deformable_groups", "masked")
    return _library.ascendcv_deform_conv2d_grad(
        *op.inputs, grad_y, **{name: op.get_attr(name) for name in attributes}
    )


def correlation(first, second, *, patch_size, dilation, scale):
    """As `ascendcv.ops.correlation.composed`."""
    volume = _library.ascendcv_correlation(
        first=_float32(first), second=_float32(second), patch=patch_size, dilation=dilation, scale=scale
    )
    return ops.cast(volume, first.dtype)


@tf.RegisterGradient("Ascendcv>Correlation")
def _correlation_gradient(op, grad_volume):
    attributes = {name: op.get_attr(name) for name in ("patch", "dilation", "scale")}
    return _library.ascendcv_correlation_grad(*op.inputs, grad_volume, **attributes)


def _float32(tensor):
    return ops.cast(tensor, "float32")
