"""Calls the compiled kernels: the functions behind 'fused', and their gradients.

Each function takes what the composed one of the same operation takes. Half and bfloat16 are converted on the way
in and out; positions are float32 always.
"""

from types import ModuleType

import tensorflow as tf
from keras import ops

from ascendcv.ops import registry

_library: ModuleType | None = None


def use(library: ModuleType) -> None:
    """Takes the loaded library's operations."""
    global _library
    _library = library


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
        first=_float32(first), second=_float32(second), patch=list(patch_size), dilation=list(dilation), scale=scale
    )
    return ops.cast(volume, first.dtype)


@tf.RegisterGradient("Ascendcv>Correlation")
def _correlation_gradient(op, grad_volume):
    attributes = {name: op.get_attr(name) for name in ("patch", "dilation", "scale")}
    return _library.ascendcv_correlation_grad(*op.inputs, grad_volume, **attributes)


def deform_attn(q, kv, offset, *, attention_heads, deformable_groups, kernel_size):
    """As `ascendcv.ops.deform_attn.composed`."""
    y = _library.ascendcv_deform_attn(
        q=_float32(q),
        kv=_float32(kv),
        offset=_float32(offset),
        kernel_size=kernel_size,
        attention_heads=attention_heads,
        deformable_groups=deformable_groups,
    )
    return ops.cast(y, q.dtype)


@tf.RegisterGradient("Ascendcv>DeformAttn")
def _deform_attn_gradient(op, grad_y):
    attributes = {name: op.get_attr(name) for name in ("kernel_size", "attention_heads", "deformable_groups")}
    return _library.ascendcv_deform_attn_grad(*op.inputs, grad_y, **attributes)


def check() -> list[str]:
    """Runs each kernel on a small random case beside the composed operation; a line for each.

    Raises `ArithmeticError` where they differ.
    """
    generator = tf.random.Generator.from_seed(0)

    def random(*shape):
        return generator.normal(shape)

    options = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "deformable_groups": 2}
    cases = {
        "deform_conv2d": (
            [random(1, 9, 17, 8), 2 * random(1, 9, 17, 36), random(3, 3, 8, 4), random(1, 9, 17, 18), random(4)],
            options,
        ),
        "deform_attn": (
            [random(1, 2, 5, 6, 8), random(1, 2, 5, 6, 16), 2 * random(1, 2, 5, 6, 72)],
            {"attention_heads": 2, "deformable_groups": 2, "kernel_size": 3},
        ),
        "correlation": ([random(1, 9, 17, 8)] * 2, {"patch_size": (9, 9), "dilation": (1, 1), "scale": 0.125}),
    }
    lines = []
    for operation, (arguments, options) in cases.items():
        fused = globals()[operation](*arguments, **options)
        composed = registry.resolve(operation, "tf")(*arguments, **options)
        difference = float(tf.reduce_max(tf.abs(fused - composed)))
        if not difference < 1e-4:
            raise ArithmeticError(f"{operation}: the kernel differs from the composed operation by {difference}")
        lines.append(f"{operation}: agrees with the composed operation to {difference:.1e}")
    return lines


def _float32(tensor):
    return ops.cast(tensor, "float32")
