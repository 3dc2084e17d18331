"""Convolutions of stride 1 with what follows them: bias, activation and residual in one operation.

On processors most of a restoration network's time goes into these. The compiled kernel needs a fourth (3 x 3) or
less (5 x 5) of their multiplications, by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks", CVPR 2016).
"""

from keras import ops

from ascendcv.ops import registry

RESIDUAL_PLACES = ("before", "after")

# Below so many channels in or out TensorFlow's convolution is faster than the kernel, unless the outputs are so few
# that they are computed directly.
FEWEST_CHANNELS = 12
FEW_OUTPUTS = 4

# In images of fewer pixels than this, transforming a kernel with more than so many pairs of an input channel and an
# output takes longer than it saves.
FEWEST_PIXELS = 128
MOST_WEIGHTS = 128 * 128


def conv2d(
    x,
    kernel,
    bias=None,
    *,
    activation: str | float | None = None,
    residual=None,
    residual_place: str = "before",
    impl: str = "auto",
):
    """Convolution of `x`, padded with zeros to its own size.

    `activation(conv(x) + bias + residual)`, or `activation(conv(x) + bias) + residual` where `residual_place` is
    'after'.

    Args:
        x: [N, H, W, C].
        kernel: [3, 3, C, K] or [5, 5, C, K].
        bias: [K] or None.
        activation: None, 'relu', or the slope (0 to 1) of a leaky ReLU below 0.
        residual: [N, H, W, K] or None.
        residual_place: 'before' or 'after' the activation.
        impl: 'auto', 'fast', 'tf', 'fused' or 'npu' (see `ascendcv.ops.registry`). 'auto' takes the kernel for
            float32 where it is faster, and composes while Keras only asks for shapes.

    Returns [N, H, W, K] in the dtype of `x`. Every pixel's rounding error is that of a float32 convolution, times
    about 2 by the kernel (about 5 where 'fast' computes 5 x 5 taps), which also spreads infinities and NaN over the
    tile of a pixel.

    Raises `ValueError` for kernels of other sizes, channels that do not fit and an unknown activation or place.

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(conv2d(x, np.ones((3, 3, 4, 5), "float32"), activation="relu").shape)
    (1, 6, 8, 5)
    """
    if tuple(kernel.shape[:2]) not in ((3, 3), (5, 5)):
        raise ValueError(f"kernel is {tuple(kernel.shape)}; conv2d takes 3 x 3 and 5 x 5")
    if x.shape[-1] != kernel.shape[2]:
        raise ValueError(f"x has {x.shape[-1]} channels and kernel {tuple(kernel.shape)}: that does not fit")
    if residual is not None and residual.shape[-1] != kernel.shape[3]:
        raise ValueError(
            f"residual has {residual.shape[-1]} channels and kernel {tuple(kernel.shape)} gives others"
        )
    check(activation, residual_place)
    dtype = ops.dtype(x)
    function = registry.resolve("conv2d", impl, dtype, worthwhile=_kernel_is_faster(x.shape, kernel.shape, dtype))
    return function(x, kernel, bias, activation=activation, residual=residual, residual_place=residual_place)


def composed(x, kernel, bias, *, activation, residual, residual_place):
    """`conv2d` as the backend's convolution and what follows it."""
    return finish(ops.conv(x, kernel, 1, "same", "channels_last"), bias, activation, residual, residual_place)


def finish(y, bias=None, activation=None, residual=None, residual_place="before"):
    """What follows the convolution whose result is `y`, as for `conv2d`."""
    if bias is not None:
        y = y + bias
    if residual is not None and residual_place == "before":
        y = y + residual
    if activation == "relu":
        y = ops.relu(y)
    elif activation is not None:
        y = ops.leaky_relu(y, activation)
    return y + residual if residual is not None and residual_place == "after" else y


def check(activation: str | float | None, residual_place: str) -> None:
    """Raises `ValueError` for an activation or a place of the residual that `conv2d` does not know."""
    slope = isinstance(activation, int | float) and 0 <= activation <= 1
    if activation not in (None, "relu") and not slope:
        raise ValueError(f"activation is {activation!r}; it should be None, 'relu' or a leaky ReLU's slope, 0 to 1")
    if residual_place not in RESIDUAL_PLACES:
        raise ValueError(f"residual_place is {residual_place!r}; it should be one of: {', '.join(RESIDUAL_PLACES)}")


def kernel_serves(x_shape, kernel_shape, dtype: str) -> bool:
    """Whether `conv2d` calls the compiled kernel for these where its `impl` is 'auto'."""
    return registry.serving("conv2d", dtype, _kernel_is_faster(x_shape, kernel_shape, dtype)) == "fused"


def _kernel_is_faster(x_shape, kernel_shape, dtype: str) -> bool:
    """Whether 'auto' should take the compiled kernel where there is one; unknown sizes count as large ones.

    Not by the number of images: each should get the same bits alone and among others.
    """
    height, width = x_shape[1:3]
    channels, outputs = kernel_shape[2:]
    few_pixels = height is not None and width is not None and height * width < FEWEST_PIXELS
    if few_pixels and channels * outputs > MOST_WEIGHTS:
        return False
    enough = channels >= FEWEST_CHANNELS and (outputs >= FEWEST_CHANNELS or outputs <= FEW_OUTPUTS)
    return dtype == "float32" and enough and not registry.only_shapes()
