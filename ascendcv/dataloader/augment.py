"""Crops, flips, transposes and turns that a clip and its ground truth share.

Flags and positions are explicit draws, made once for a clip and all that belongs to it: Python values, or
scalar tensors inside `tf.data` and `tf.function`, where both branches become part of the graph.

Source: BasicSR `paired_random_crop` and `augment` (whose rot90 is a transpose).
"""

from collections.abc import Callable

import tensorflow as tf


def crop(frames, top, left, size: tuple[int, int]):
    """The rectangle of `size` = (height, width) at (top, left) of [..., H, W, C]."""
    height, width = size
    return frames[..., top : top + height, left : left + width, :]


def paired_crop(lq, gt, top, left, size: tuple[int, int], scale: int):
    """The same rectangle of [..., H, W, C] and of its ground truth [..., H * scale, W * scale, C].

    `top`, `left` and `size` count low-quality pixels.
    """
    gt_size = (size[0] * scale, size[1] * scale)
    return crop(lq, top, left, size), crop(gt, top * scale, left * scale, gt_size)


def augment(frames, hflip, vflip, transpose):
    """[..., H, W, C] mirrored left-right, then upside down, then transposed, each if its flag says so.

    With a tensor as `transpose`, H and W should be equal: a graph's shape cannot depend on a draw.
    """
    frames = _changed(hflip, lambda frames: frames[..., ::-1, :], frames)
    frames = _changed(vflip, lambda frames: frames[..., ::-1, :, :], frames)
    return _changed(transpose, _transpose, frames)


def rotate(frames, quarter_turns):
    """[..., H, W, C] turned counter-clockwise by `quarter_turns` (0 to 3) of 90 degrees, as `numpy.rot90`.

    With a tensor as `quarter_turns`, H and W should be equal.

    Source: CDVD-TSP `utils.data_augment` (0 or 1), deblur-devil `MultiImageRandomRotation` (0 to 3).
    """
    frames = _changed(quarter_turns >= 2, lambda frames: frames[..., ::-1, ::-1, :], frames)
    return _changed(quarter_turns % 2 == 1, lambda frames: _transpose(frames)[..., ::-1, :, :], frames)


def augment_flow(flow, hflip, vflip, transpose):
    """`augment` of a flow [..., H, W, 2] in pixels (x, y): its vectors are mirrored and transposed too."""
    flow = augment(flow, hflip, vflip, False)
    flow = _changed(hflip, lambda flow: flow * tf.constant([-1, 1], flow.dtype), flow)
    flow = _changed(vflip, lambda flow: flow * tf.constant([1, -1], flow.dtype), flow)
    return _changed(transpose, lambda flow: _transpose(flow)[..., ::-1], flow)


def _changed(flag, change: Callable, frames):
    """`change(frames)` if the flag, a Python value or a tensor, says so, else `frames`."""
    if tf.is_tensor(flag):
        return tf.cond(flag, lambda: change(frames), lambda: frames)
    return change(frames) if flag else frames


def _transpose(frames):
    rank = len(frames.shape)
    return tf.transpose(frames, [*range(rank - 3), rank - 2, rank - 3, rank - 1])
