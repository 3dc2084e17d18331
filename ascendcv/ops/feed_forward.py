"""The feed-forward part of Transformer layers (Vaswani et al., "Attention Is All You Need", 2017), with GELU."""

from keras import ops

from ascendcv.ops import registry
from ascendcv.ops.layer_norm import layer_norm
from ascendcv.ops.linear import linear


def feed_forward(x, first, second, norm=None, *, epsilon: float = 1e-5, impl: str = "auto"):
    """The residual feed-forward part of a Transformer layer: `x + second(GELU(first(norm(x))))`.

    The GELU is the exact one (Hendrycks and Gimpel, 2016), by the error function.

    Args:
        x: [..., C].
        first: kernel [C, K] and bias [K].
        second: kernel [K, C] and bias [C].
        norm: gamma and beta [C] of a layer normalization, or None for none.
        epsilon: of the normalization.
        impl: 'auto', 'tf', 'fused' or 'npu' (see `ascendcv.ops.registry`). 'auto' takes the kernel for float32, and
            composes while Keras only asks for shapes.

    Returns [..., C] in the dtype of `x`. The kernel keeps the K hidden channels of a few tokens only; its gradient
    is the composed operation's, which computes them once more.

    >>> import numpy as np
    >>> x, kernel, bias = (np.ones(shape, "float32") for shape in ((1, 6, 8, 4), (4, 4), 4))
    >>> tuple(feed_forward(x, (kernel, bias), (kernel, bias)).shape)
    (1, 6, 8, 4)
    """
    dtype = ops.dtype(x)
    worthwhile = dtype == "float32" and not registry.only_shapes()
    return registry.resolve("feed_forward", impl, dtype, worthwhile=worthwhile)(
        x, first, second, norm, epsilon=epsilon
    )


def composed(x, first, second, norm, *, epsilon):
    """`feed_forward` by the backend's operations."""
    features = x if norm is None else layer_norm(x, norm[0], norm[1], epsilon)
    return x + linear(_gelu(linear(features, *first)), *second)


def _gelu(x):
    """The exact GELU. (Keras's takes `erfc`, which is several times slower than `erf` on CPUs.)"""
    erf = registry.substitute("erf") or ops.erf
    return x * (0.5 + 0.5 * erf(x * 0.5**0.5))
