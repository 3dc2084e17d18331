"""Deformable convolution, plain and modulated, with the arguments of `keras.layers.Conv2D`."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.ops.conv2d import conv2d
from ascendcv.ops.deform_conv import deform_conv2d
from ascendcv.ops.sampling import at_least_float32

Pair = tuple[int, int]


@serializable("ascendcv")
class DeformableConv2D(keras.layers.Layer):
    """2-D convolution whose kernel reads the image not on a grid but at positions that offsets move.

    The offsets come from the layer's own convolution of its input, which starts at 0, or are given to `call`.

    Args:
        filters: output channels.
        kernel_size, strides, dilation_rate: one number, or (rows, columns).
        padding: 'valid', 'same' as Keras pads, or how many zeros on both sides: one number, or (rows, columns).
        groups: as in `keras.layers.Conv2D`.
        deformable_groups: groups of input channels with offsets of their own.
        modulated: whether each sample is multiplied by a mask too (version 2), the sigmoid of what the layer's own
            convolution gives, so that a fresh layer has half the result of a plain convolution. Else (version 1) a
            fresh layer is a plain convolution.
        activation: of the result; a name, a function or None.
        use_bias: whether the convolution has a bias. That of the offsets always has.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint,
            bias_constraint: as in `keras.layers.Conv2D`.
        offset_initializer, offset_regularizer: of the kernel that gives offsets and mask.
        impl: which implementation of the operation (see `ascendcv.ops.registry`).

    `call(x, offset=None, mask=None)`, or `call([x, offset, mask])`:
        x: [N, H, W, C].
        offset: [N, Ho, Wo, deformable_groups * taps * 2]: for each group and tap (row-major) the pair (dy, dx) in
            pixels.
        mask: [N, Ho, Wo, deformable_groups * taps], what the samples are multiplied by; None with given offsets:
            nothing.

    Returns [N, Ho, Wo, filters] in the layer's compute dtype. Offsets and mask are computed in float32 at least.
    What lies outside the image counts as 0.

    Weights: `kernel` [kh, kw, C / groups, filters], `bias` [filters]; and unless the layer is built with offsets
    that are given, `offset_kernel` [kh, kw, C, deformable_groups * taps * (3 if modulated else 2)] and
    `offset_bias`. `deformable_conv2d_weights` has those of PyTorch's layers.

    Source: Dai et al., "Deformable Convolutional Networks" (ICCV 2017); Zhu et al., "Deformable ConvNets v2" (CVPR
    2019).

    >>> import numpy as np
    >>> from ascendcv.layers import DeformableConv2D
    >>> layer = DeformableConv2D(filters=4, kernel_size=3, padding="same", deformable_groups=2)
    >>> tuple(layer(np.ones((1, 16, 20, 8), "float32")).shape)
    (1, 16, 20, 4)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = 1,
        padding: str | int | Pair = "valid",
        dilation_rate: int | Pair = 1,
        groups: int = 1,
        deformable_groups: int = 1,
        modulated: bool = True,
        activation=None,
        use_bias: bool = True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        offset_initializer="zeros",
        offset_regularizer=None,
        impl: str = "auto",
        **kwargs,
    ):
        # Offsets that are given stay in float32, whatever the layer computes in.
        super().__init__(autocast=False, **kwargs)
        self.filters = filters
        self.kernel_size = _pair("kernel_size", kernel_size, 1)
        self.strides = _pair("strides", strides, 1)
        self.dilation_rate = _pair("dilation_rate", dilation_rate, 1)
        self.padding: Any = padding if padding in ("valid", "same") else _pair("padding", padding, 0)
        if filters < 1 or groups < 1 or filters % groups:
            raise ValueError(f"filters is {filters}; it should be a multiple of groups, {groups}")
        if deformable_groups < 1:
            raise ValueError(f"deformable_groups is {deformable_groups}; it should be at least 1")
        self.groups = groups
        self.deformable_groups = deformable_groups
        self.modulated = modulated
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.offset_initializer = keras.initializers.get(offset_initializer)
        self.offset_regularizer = keras.regularizers.get(offset_regularizer)
        self.impl = impl
        self.offset_channels = 2 * deformable_groups * self.kernel_size[0] * self.kernel_size[1]

    def build(self, x_shape, offset_shape=None, mask_shape=None):
        if isinstance(x_shape[0], Sequence):
            x_shape, offset_shape = x_shape[0], x_shape[1] if len(x_shape) > 1 else None
        channels = x_shape[-1]
        if channels % self.groups or channels % self.deformable_groups:
            raise ValueError(
                f"x has {channels} channels, which should be a multiple of groups, {self.groups}, and of "
                f"deformable_groups, {self.deformable_groups}"
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, channels // self.groups, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            autocast=False,
        )
        self.bias = self.offset_kernel = self.offset_bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                autocast=False,
            )
        if offset_shape is None:
            outputs = self.offset_channels * 3 // 2 if self.modulated else self.offset_channels
            self.offset_kernel = self.add_weight(
                name="offset_kernel",
                shape=(*self.kernel_size, channels, outputs),
                initializer=self.offset_initializer,
                regularizer=self.offset_regularizer,
                autocast=False,
            )
            self.offset_bias = self.add_weight(
                name="offset_bias", shape=(outputs,), initializer="zeros", autocast=False
            )

    def compute_output_shape(self, x_shape, offset_shape=None, mask_shape=None):
        if isinstance(x_shape[0], Sequence):
            x_shape = x_shape[0]
        batch, *lengths, _ = x_shape
        sides = [length and self._output_length(length, axis) for axis, length in enumerate(lengths)]
        return (batch, *sides, self.filters)

    def call(self, x, offset=None, mask=None):
        if isinstance(x, Sequence):
            x, offset, mask, *_ = (*x, None, None)
        if offset is None and self.offset_kernel is None:
            raise ValueError(f"{self.name} was built without a convolution for offsets: give it offsets")
        if mask is not None and (offset is None or not self.modulated):
            raise ValueError(f"{self.name} takes a mask only with offsets that are given, and if it is modulated")
        x = ops.cast(x, self.compute_dtype)
        x, padding = self._padded(x)
        if offset is None:
            offset, mask = self._own_offsets(x, padding)
        y = deform_conv2d(
            x,
            at_least_float32(offset),
            ops.cast(self.kernel, self.compute_dtype),
            mask,
            ops.cast(self.bias, self.compute_dtype) if self.use_bias else None,
            stride=_number(self.strides),
            padding=_number(padding),
            dilation=_number(self.dilation_rate),
            groups=self.groups,
            deformable_groups=self.deformable_groups,
            impl=self.impl,
        )
        return y if self.activation is keras.activations.linear else self.activation(y)

    def _own_offsets(self, x, padding: Pair):
        x = at_least_float32(x)
        kernel, bias = (ops.cast(weight, x.dtype) for weight in (self.offset_kernel, self.offset_bias))
        size, half = self.kernel_size, self.kernel_size[0] // 2
        if size in ((3, 3), (5, 5)) and padding == (half, half) and self.strides == self.dilation_rate == (1, 1):
            moved = conv2d(x, kernel, bias)
        else:
            if any(padding):
                x = ops.pad(x, ((0, 0), *((zeros, zeros) for zeros in padding), (0, 0)))
            moved = ops.conv(x, kernel, self.strides, "valid", "channels_last", self.dilation_rate) + bias
        if not self.modulated:
            return moved, None
        offset, mask = ops.split(moved, [self.offset_channels], axis=-1)
        return offset, ops.sigmoid(mask)

    def _reach(self, axis: int) -> int:
        """From the first to the last tap."""
        return self.dilation_rate[axis] * (self.kernel_size[axis] - 1)

    def _output_length(self, length: int, axis: int) -> int:
        if self.padding == "same":
            return -(-length // self.strides[axis])
        zeros = 0 if self.padding == "valid" else 2 * self.padding[axis]
        return (length + zeros - self._reach(axis) - 1) // self.strides[axis] + 1

    def _padded(self, x) -> tuple:
        """The image, and how many zeros the operation is to put on both sides of it.

        Where 'same' needs more on one side, they are there already: zeros in the image are as good as its outside.
        """
        if self.padding == "valid":
            return x, (0, 0)
        if self.padding != "same":
            return x, self.padding
        reach = self._reach(0), self._reach(1)
        if self.strides == (1, 1):
            after = [length % 2 for length in reach]
            if any(after):
                x = ops.pad(x, ((0, 0), (0, after[0]), (0, after[1]), (0, 0)))
            return x, (reach[0] // 2, reach[1] // 2)
        zeros = []
        for axis, length in enumerate(ops.shape(x)[1:3]):
            total = (self._output_length(length, axis) - 1) * self.strides[axis] + reach[axis] + 1 - length
            total = max(total, 0) if isinstance(length, int) else ops.maximum(total, 0)
            zeros.append((total // 2, total - total // 2))
        return ops.pad(x, ((0, 0), *zeros, (0, 0))), (0, 0)


def deformable_conv2d_weights(state_dict: Mapping[str, object], prefix: str = "") -> list[np.ndarray]:
    """The weights of a PyTorch layer, as `DeformableConv2D.set_weights` takes them.

    Args:
        state_dict: name -> array or tensor. Known are torchvision's `DeformConv2d`; mmcv's `DeformConv2d`,
            `ModulatedDeformConv2d` and their packs; BasicSR's `ModulatedDeformConvPack` and `DCNv2Pack`.
        prefix: what the names of the layer begin with, such as 'backbone.conv2.'.

    Returns kernel, bias if there is one, and of layers with a convolution for offsets (`conv_offset` or
    `conv_offset_mask`) its kernel and bias. Offsets and masks need no change of order. Raises `ValueError` for
    names of another layer.

    >>> import numpy as np
    >>> weights = {"weight": np.zeros((4, 8, 3, 3)), "conv_offset.weight": np.zeros((27, 8, 3, 3)),
    ...            "conv_offset.bias": np.zeros(27)}
    >>> kernel, offset_kernel, offset_bias = deformable_conv2d_weights(weights)
    >>> kernel.shape, offset_kernel.shape
    ((3, 3, 8, 4), (3, 3, 8, 27))
    """
    found = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
    offset = next((name for name in ("conv_offset", "conv_offset_mask") if f"{name}.weight" in found), None)
    names = ["weight", "bias"] + ([f"{offset}.weight", f"{offset}.bias"] if offset else [])
    missing = [name for name in names if name not in found and name != "bias"]
    if missing or set(found) - set(names):
        raise ValueError(
            f"a deformable convolution has the weights {', '.join(names)}, and there are "
            f"{', '.join(map(repr, found)) or 'none'} behind the prefix {prefix!r}"
        )
    arrays = [np.asarray(found[name], np.float32) for name in names if name in found]
    return [array.transpose(2, 3, 1, 0) if array.ndim == 4 else array for array in arrays]


def _pair(name: str, value: Any, least: int) -> Pair:
    pair: tuple = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(number, int) and number >= least for number in pair):
        raise ValueError(f"{name} is {value!r}; it should be one or two whole numbers from {least} on")
    return pair


def _number(pair: Pair) -> int | Pair:
    return pair[0] if pair[0] == pair[1] else pair
