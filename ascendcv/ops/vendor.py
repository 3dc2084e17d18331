"""Adapters from this project's conventions to the operations of accelerator vendors."""

import importlib

import numpy as np
from keras import ops

from ascendcv.ops.deform_conv import both_axes, composed

_ASCEND = "npu_bridge.tbe.npu_cube_ops"


def ascend_deform_conv2d(x, offset, kernel, mask, bias, **options):
    """`deform_conv2d` by the Ascend NPU's operation (npu_bridge, as the TensorFlow EDVR release called it).

    That operation takes offsets and mask in one tensor, which is assumed to be [x of all groups | y of all groups |
    mask], each with the taps of a group side by side. The release did so, and so do the kernels that the vendor
    publishes (github.com/hicann/ops-nn at e5c3fa9327: conv/deformable_conv2d, conv/deformable_offsets). It has not
    been verified on a device: `check_ascend` does that.
    """
    return _ascend_deform_conv2d(_LAYOUTS[_ASSUMED], x, offset, kernel, mask, bias, **options)


# How offsets (y, x) [..., G * taps * 2] and mask [..., G * taps] may become one tensor.
_ASSUMED = "[x | y | mask]"
_LAYOUTS = {
    _ASSUMED: lambda offset, mask: ops.concatenate([offset[..., 1::2], offset[..., ::2], mask], axis=-1),
    "[y | x | mask]": lambda offset, mask: ops.concatenate([offset[..., ::2], offset[..., 1::2], mask], axis=-1),
    "[(y, x) of each tap | mask]": lambda offset, mask: ops.concatenate([offset, mask], axis=-1),
    "[(x, y) of each tap | mask]": lambda offset, mask: ops.concatenate(
        [ops.reshape(ops.stack([offset[..., 1::2], offset[..., ::2]], axis=-1), ops.shape(offset)), mask], axis=-1
    ),
}


def as_ascend_takes(offset, mask):
    """Offsets [..., G * taps * 2] and mask [..., G * taps] as the one tensor that Ascend's operation takes."""
    return _LAYOUTS[_ASSUMED](offset, mask)


def ascend_is_installed() -> bool:
    """Whether the package with the Ascend NPU's operations can be imported."""
    try:
        importlib.import_module(_ASCEND)
    except ImportError:
        return False
    return True


def check_ascend() -> list[str]:
    """A line that says that the Ascend operation computes what the composed one does, within 1 %.

    Raises `ArithmeticError` where it computes something else; the message names the order of offsets that fits.
    """
    random = np.random.default_rng(0)
    x, offset, mask = (random.standard_normal((1, 9, 11, depth)).astype(np.float32) for depth in (32, 36, 18))
    kernel = random.standard_normal((3, 3, 32, 16)).astype(np.float32)
    options = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "deformable_groups": 2}
    expected = ops.convert_to_numpy(composed(x, offset, kernel, mask, None, **options))
    differences = {}
    for name, layout in _LAYOUTS.items():
        found = ops.convert_to_numpy(_ascend_deform_conv2d(layout, x, offset, kernel, mask, None, **options))
        differences[name] = float(np.abs(found - expected).max() / np.abs(expected).max())
    fitting = min(differences, key=lambda name: differences[name])
    if not differences[fitting] < _ACCEPTED:
        raise ArithmeticError(
            "the Ascend NPU's deformable convolution computes something else than the composed one, with offsets "
            f"in any order: {differences}; set impl tf and report this"
        )
    if fitting != _ASSUMED:
        raise ArithmeticError(
            f"the Ascend NPU's deformable convolution takes its offsets as {fitting}, and they are handed over as "
            f"{_ASSUMED}: set impl tf and report this"
        )
    return [
        f"deform_conv2d of the NPU: offsets as {_ASSUMED}, largest relative difference {differences[fitting]:.1e}"
    ]


_ACCEPTED = 0.01  # relative to the largest value: the device computes in float16 inside


def _ascend_deform_conv2d(
    layout, x, offset, kernel, mask, bias, *, stride, padding, dilation, groups, deformable_groups
):
    function = importlib.import_module(_ASCEND).deformable_conv2d
    rows, columns = zip(*map(both_axes, (stride, padding, dilation)), strict=True)
    if mask is None:
        mask = ops.ones_like(offset[..., ::2])
    y = function(
        x,
        kernel,
        layout(offset, mask),
        strides=[1, rows[0], columns[0], 1],
        pads=[rows[1], rows[1], columns[1], columns[1]],
        data_format="NHWC",
        dilations=[1, rows[2], columns[2], 1],
        groups=groups,
        deformable_groups=deformable_groups,
    )
    return y if bias is None else y + bias
