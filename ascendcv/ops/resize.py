"""Resizing with the arithmetic of PyTorch's `interpolate` and of MATLAB's `imresize`."""

import functools
import math
from typing import Any

import numpy as np
from keras import ops

from ascendcv.ops import registry


def resize(x, size, *, method: str = "bilinear", align_corners: bool = False):
    """[N, H, W, C] -> [N, size[0], size[1], C], in the dtype of `x`, without antialiasing.

    Args:
        size: (height, width), whole numbers or scalar tensors.
        method: 'bilinear', or 'bicubic' (Keys's kernel with a = -0.75).
        align_corners: whether the centers of the corner pixels stay where they are (else their outer edges do).

    Source: PyTorch `torch.nn.functional.interpolate`.

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(resize(x, (12, 20)).shape)
    (1, 12, 20, 4)
    """
    if method not in _TAPS:
        raise ValueError(f"method is {method!r}; it should be 'bilinear' or 'bicubic'")
    if method == "bicubic":
        return _by_axes(x, size, method, align_corners)
    dtype = ops.dtype(x)
    worthwhile = dtype == "float32" and not registry.only_shapes()
    function = registry.resolve("resize_bilinear", "auto", dtype, worthwhile)
    return function(x, size, align_corners=align_corners)


def composed(x, size, *, align_corners: bool):
    """A bilinear `resize` as two sums of two lines each."""
    return _by_axes(x, size, "bilinear", align_corners)


def by_tensorflow(x, size, *, align_corners: bool):
    """A bilinear `resize` by TensorFlow's operation, whose arithmetic is the same: 5 to 8 times as fast there."""
    import tensorflow as tf

    resized = tf.raw_ops.ResizeBilinear(
        images=x, size=tf.stack(size), align_corners=align_corners, half_pixel_centers=not align_corners
    )
    return ops.cast(resized, x.dtype)


def resize_flow(flow, size):
    """[N, H, W, 2] -> [N, size[0], size[1], 2]: bilinear, and the vectors grow as the image does.

    >>> import numpy as np
    >>> flow = np.ones((1, 6, 8, 2), "float32")
    >>> np.asarray(resize_flow(flow, (12, 8)))[0, 0, 0].tolist()
    [1.0, 2.0]
    """
    _, height, width, _ = ops.shape(flow)
    growth = [
        ops.cast(new, flow.dtype) / ops.cast(old, flow.dtype) for new, old in ((size[1], width), (size[0], height))
    ]
    return resize(flow * ops.stack(growth), size)


def resize_matlab(x, scale: float):
    """[N, H, W, C] -> [N, ceil(H * scale), ceil(W * scale), C]: MATLAB's `imresize`, bicubic (a = -0.5).

    Antialiased when it shrinks: the kernel is stretched by 1 / scale. Borders are mirrored, the edge pixel
    included; height first. The published low-resolution sets were made by it.

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(resize_matlab(x, 0.5).shape)
    (1, 3, 4, 4)
    """
    for axis in (1, 2):
        x = _resize_axis_matlab(x, axis, scale)
    return x


def next_multiple(size, multiple: int):
    """The smallest multiple of `multiple` from `size` on, a whole number or a scalar tensor.

    Nothing negative is divided: exported graphs round such quotients towards 0.
    """
    return (size + multiple - 1) // multiple * multiple


def _by_axes(x, size, method: str, align_corners: bool):
    for axis in (1, 2):
        x = _resize_axis(x, axis, size[axis - 1], method, align_corners)
    return x


def _resize_axis(x, axis: int, size, method: str, align_corners: bool):
    old = ops.shape(x)[axis]
    dtype = "float64" if ops.dtype(x) == "float64" else "float32"
    if isinstance(old, int) and isinstance(size, int):
        if old == size:
            return x
        taps = _known_taps(old, size, method, align_corners, dtype)
    else:
        taps = _taps(ops, old, size, method, align_corners, dtype)
    resized = 0
    for index, weight in taps:
        resized = resized + _weighted_take(x, index, weight, axis)
    return resized


@functools.lru_cache(256)
def _known_taps(old: int, size: int, method: str, align_corners: bool, dtype: str) -> list[tuple]:
    """The taps as arrays: a graph gets two constants where computing them takes forty operations."""
    return _taps(_NumPy, old, size, method, align_corners, dtype)


def _taps(ops: Any, old, size, method: str, align_corners: bool, dtype: str) -> list[tuple]:
    """For each tap of the kernel which of `old` lines each of `size` lines takes, [size], and times what.

    `ops` are Keras's, or NumPy's by the same names, which give the same bits.
    """
    last = ops.cast(old - 1, dtype)
    position = ops.cast(ops.arange(size, dtype="int32"), dtype)
    if align_corners:
        position = position * (last / ops.maximum(ops.cast(size - 1, dtype), 1.0))
    else:
        position = (position + 0.5) * (ops.cast(old, dtype) / ops.cast(size, dtype)) - 0.5
        if method == "bilinear":
            position = ops.relu(position)  # not `maximum`, which makes float64 float32 on PyTorch
    first = ops.floor(position)
    return [
        (ops.cast(ops.clip(first + tap, 0.0, last), "int32"), weight)
        for tap, weight in _TAPS[method](position - first)
    ]


class _NumPy:
    """What `_taps` computes with, of arrays."""

    arange, maximum, floor, clip = np.arange, np.maximum, np.floor, np.clip
    cast = staticmethod(lambda x, dtype: np.asarray(x, dtype)[()])
    relu = staticmethod(lambda x: np.maximum(x, 0))


def _bilinear_taps(t):
    return (0, 1 - t), (1, t)


def _bicubic_taps(t, a: float = -0.75):
    def near(d):  # |d| <= 1
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d):  # 1 < |d| < 2
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return (-1, far(t + 1)), (0, near(t)), (1, near(1 - t)), (2, far(2 - t))


_TAPS = {"bilinear": _bilinear_taps, "bicubic": _bicubic_taps}


def _resize_axis_matlab(x, axis: int, scale: float, a: float = -0.5):
    old = ops.shape(x)[axis]
    size = math.ceil(old * scale) if isinstance(old, int) else ops.cast(ops.ceil(old * scale), "int32")
    shrink = min(scale, 1.0)
    width = 4 / shrink
    # MATLAB counts pixels from 1.
    position = (ops.cast(ops.arange(size, dtype="int32"), "float32") + 1) / scale + 0.5 * (1 - 1 / scale)
    first = ops.floor(position - width / 2)
    taps = range(math.ceil(width) + 2)

    def kernel(distance):
        d = ops.abs(distance)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return ops.where(d <= 1, near, ops.where(d <= 2, far, 0.0))

    weights = [kernel((position - first - tap) * shrink) for tap in taps]
    total = sum(weights)
    resized = 0
    for tap, weight in zip(taps, weights, strict=True):
        mirrored = ops.mod(ops.cast(first, "int32") + tap - 1, 2 * old)
        index = ops.where(mirrored < old, mirrored, 2 * old - 1 - mirrored)
        resized = resized + _weighted_take(x, index, weight / total, axis)
    return resized


def _weighted_take(x, index, weight, axis: int):
    """The lines `index` of `x` along `axis`, each times its weight."""
    weight = weight[:, None, None] if axis == 1 else weight[:, None]
    return ops.take(x, index, axis=axis) * ops.cast(weight, x.dtype)
