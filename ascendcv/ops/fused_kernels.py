"""Calls the compiled kernels: the functions behind 'fused', and their gradients.

Resizing is TensorFlow's own operation, which has its gradient.

Each function takes what the composed one of the same operation takes. Half and bfloat16 are converted on the way
in and out; positions are float32 always.
"""

import functools
from types import ModuleType
from typing import Any

import tensorflow as tf
from keras import ops

from ascendcv.ops import registry
from ascendcv.ops.conv2d import FEW_OUTPUTS
from ascendcv.ops.deform_conv import both_axes
from ascendcv.ops.feed_forward import composed as composed_feed_forward
from ascendcv.ops.layer_norm import layer_norm
from ascendcv.ops.linear import linear
from ascendcv.ops.resize import by_tensorflow as resize_bilinear  # noqa: F401 - `load` takes it by this name

_library: Any = None  # the loaded library: a module whose functions TensorFlow makes


def use(library: ModuleType) -> None:
    """Takes the loaded library's operations."""
    global _library
    _library = library


def conv2d(x, kernel, bias, *, activation, residual, residual_place, large_tiles: bool = False):
    """As `ascendcv.ops.conv2d.composed`.

    `large_tiles`: whether 5 x 5 taps come in larger tiles, faster and with five times the rounding error.
    """
    y = _library.ascendcv_conv2d(
        x=_float32(x),
        kernel=_float32(kernel),
        bias=tf.zeros([kernel.shape[-1]]) if bias is None else _float32(bias),
        residual=tf.zeros([0]) if residual is None else _float32(residual),
        slope={None: 1.0, "relu": 0.0}.get(activation, activation),
        residual_place="none" if residual is None else residual_place,
        large_tiles=large_tiles,
    )
    return ops.cast(y, x.dtype)


conv2d_by_large_tiles = functools.partial(conv2d, large_tiles=True)


@tf.RegisterGradient("Ascendcv>Conv2D")
def _conv2d_gradient(op, grad_y):
    (x, kernel, bias, _), y = op.inputs, op.outputs[0]
    slope, place = op.get_attr("slope"), op.get_attr("residual_place").decode()
    grad_residual = None if place == "none" else grad_y
    few = kernel.shape[-1] <= FEW_OUTPUTS
    if slope != 1:
        if place == "after":  # the result does not tell where the activation's slope applies
            y = _library.ascendcv_conv2d(
                x,
                kernel,
                bias,
                tf.zeros([0]),
                slope=slope,
                residual_place="none",
                large_tiles=op.get_attr("large_tiles"),
            )
        if place == "before" or few:
            grad_y, slope = tf.raw_ops.LeakyReluGrad(gradients=grad_y, features=y, alpha=slope), 1.0
            grad_residual = grad_y if place == "before" else grad_residual
    if few:  # vectors of outputs would be nearly empty
        options = {"out_backprop": grad_y, "strides": [1] * 4, "padding": "SAME"}
        grad_x = tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(x), filter=kernel, **options)
        grad_kernel = tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=tf.shape(kernel), **options)
        return grad_x, grad_kernel, tf.reduce_sum(grad_y, [0, 1, 2]), grad_residual
    y = grad_y if slope == 1 else y
    grad_x = _library.ascendcv_conv2d_input_grad(kernel, y, grad_y, slope=slope)
    grad_kernel, grad_bias = _library.ascendcv_conv2d_kernel_grad(x, y, grad_y, slope=slope, taps=kernel.shape[0])
    return grad_x, grad_kernel, grad_bias, grad_residual


def deform_conv2d(x, offset, kernel, mask, bias, *, stride, padding, dilation, groups, deformable_groups):
    """As `ascendcv.ops.deform_conv.composed`."""
    y = _library.ascendcv_deform_conv2d(
        x=_float32(x),
        offset=_float32(offset),
        mask=tf.zeros([0]) if mask is None else _float32(mask),
        kernel=_float32(kernel),
        bias=tf.zeros([kernel.shape[-1]]) if bias is None else _float32(bias),
        strides=list(both_axes(stride)),
        padding=list(both_axes(padding)),
        dilations=list(both_axes(dilation)),
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


def window_attention(x, norm, qkv, table, projection, *, window, heads, shifted, scale, epsilon):
    """As `ascendcv.ops.window_attention.composed`."""
    (qkv_kernel, qkv_bias), channels = qkv, x.shape[-1]
    y = _library.ascendcv_window_attention(
        x=_float32(x),
        gamma=_float32(norm[0]),
        beta=_float32(norm[1]),
        qkv_kernel=_float32(qkv_kernel),
        qkv_bias=tf.zeros([3 * channels]) if qkv_bias is None else _float32(qkv_bias),
        table=_float32(table),
        projection_kernel=_float32(projection[0]),
        projection_bias=_float32(projection[1]),
        window=list(window),
        shifted=shifted,
        heads=heads,
        scale=scale,
        epsilon=epsilon,
    )
    return ops.cast(y, x.dtype)


@tf.RegisterGradient("Ascendcv>WindowAttention")
def _window_attention_gradient(op, grad_y):
    """The kernel's for the attention, between those of the norm and of the two products."""
    x, gamma, beta, qkv_kernel, qkv_bias, table, projection_kernel, _ = op.inputs
    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        normed = layer_norm(x, gamma, beta, op.get_attr("epsilon"))
    options = {name: op.get_attr(name) for name in ("window", "shifted", "heads", "scale")}
    attended, grad_qkv, grad_beside, grad_table = _library.ascendcv_window_attention_grad(
        qkv=linear(normed, qkv_kernel, qkv_bias),
        beside=qkv_bias,
        table=table,
        grad_y=linear(grad_y, tf.transpose(projection_kernel)),
        **options,
    )
    grads_of_norm = tape.gradient(normed, [x, gamma, beta], linear(grad_qkv, tf.transpose(qkv_kernel)))
    rows, grad_rows = _rows(grad_qkv), _rows(grad_y)
    return (
        grad_y + grads_of_norm[0],
        *grads_of_norm[1:],
        tf.matmul(_rows(normed), rows, transpose_a=True),
        tf.reduce_sum(rows, 0) + grad_beside,
        grad_table,
        tf.matmul(_rows(attended), grad_rows, transpose_a=True),
        tf.reduce_sum(grad_rows, 0),
    )


def _rows(x):
    """[..., C] -> [rows, C]."""
    return tf.reshape(x, [-1, x.shape[-1]])


def feed_forward(x, first, second, norm, *, epsilon):
    """As `ascendcv.ops.feed_forward.composed`."""
    gamma, beta = (tf.zeros([0]), tf.zeros([0])) if norm is None else norm
    weights = [_float32(weight) for weight in (gamma, beta, *first, *second)]
    return ops.cast(_library.ascendcv_feed_forward(_float32(x), *weights, epsilon=epsilon), x.dtype)


@tf.RegisterGradient("Ascendcv>FeedForward")
def _feed_forward_gradient(op, grad_y):
    """The composed operation's, which computes the hidden channels once more instead of keeping them."""
    inputs = list(op.inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        x, gamma, beta, *weights = inputs
        norm = None if gamma.shape == [0] else (gamma, beta)
        y = composed_feed_forward(x, weights[:2], weights[2:], norm, epsilon=op.get_attr("epsilon"))
    return tape.gradient(y, inputs, grad_y, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def check() -> list[str]:
    """Runs each kernel on small random cases beside the composed operation; a line for each operation.

    Raises `ArithmeticError` where they differ.
    """
    generator = tf.random.Generator.from_seed(0)

    def random(*shape):
        return generator.normal(shape)

    def convolution(channels, taps, outputs):
        image = random(1, 9, 17, outputs)
        options = {"activation": 0.1, "residual": image, "residual_place": "before"}
        return [random(1, 9, 17, channels), random(taps, taps, channels, outputs) / taps, random(outputs)], options

    features, norm = random(1, 2, 7, 9, 8), (random(8), random(8))
    grid = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "deformable_groups": 2}
    cases = [
        ("conv2d", *convolution(16, 3, 24)),
        ("conv2d", *convolution(16, 5, 24)),
        ("conv2d", *convolution(16, 3, 3)),
        (
            "deform_conv2d",
            [random(1, 9, 17, 8), 2 * random(1, 9, 17, 36), random(3, 3, 8, 4), random(1, 9, 17, 18), random(4)],
            grid,
        ),
        (
            "deform_attn",
            [random(1, 2, 5, 6, 8), random(1, 2, 5, 6, 16), 2 * random(1, 2, 5, 6, 72)],
            {"attention_heads": 2, "deformable_groups": 2, "kernel_size": 3},
        ),
        (
            "window_attention",
            [features, norm, (random(8, 24), random(24)), random(75, 2), (random(8, 8), random(8))],
            {"window": (2, 3, 3), "heads": 2, "shifted": True, "scale": 0.5, "epsilon": 1e-5},
        ),
        (
            "feed_forward",
            [features, (random(8, 16), random(16)), (random(16, 8) / 4, random(8)), norm],
            {"epsilon": 1e-5},
        ),
        ("resize_bilinear", [random(1, 9, 17, 8), (18, 12)], {"align_corners": False}),
        ("correlation", [random(1, 9, 17, 8)] * 2, {"patch_size": (9, 9), "dilation": (1, 1), "scale": 0.125}),
    ]
    differences: dict[str, float] = {}
    for operation, arguments, options in cases:
        fused = globals()[operation](*arguments, **options)
        composed = registry.resolve(operation, "tf")(*arguments, **options)
        difference = float(tf.reduce_max(tf.abs(fused - composed)))
        if not difference < 1e-4:
            raise ArithmeticError(f"{operation}: the kernel differs from the composed operation by {difference}")
        differences[operation] = max(difference, differences.get(operation, 0.0))
    return [f"{name}: agrees with the composed operation to {worst:.1e}" for name, worst in differences.items()]


def _float32(tensor):
    return ops.cast(tensor, "float32")
