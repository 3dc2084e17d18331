"""Adapters from this project's conventions to the operations of accelerator vendors."""

import importlib

from keras import ops


def ascend_deform_conv2d(x, offset, kernel, mask, bias, *, stride, padding, dilation, groups, deformable_groups):
    """`deform_conv2d` by the Ascend NPU's operation (npu_bridge, as the TensorFlow EDVR release called it).

    That operation takes offsets and mask in one tensor: [x of all groups | y of all groups | mask].
    """
    function = importlib.import_module("npu_bridge.tbe.npu_cube_ops").deformable_conv2d
    if mask is None:
        mask = ops.ones_like(offset[..., ::2])
    y = function(
        x,
        kernel,
        ops.concatenate([offset[..., 1::2], offset[..., ::2], mask], axis=-1),
        strides=[1, stride, stride, 1],
        pads=[padding] * 4,
        data_format="NHWC",
        dilations=[1, dilation, dilation, 1],
        groups=groups,
        deformable_groups=deformable_groups,
    )
    return y if bias is None else y + bias
