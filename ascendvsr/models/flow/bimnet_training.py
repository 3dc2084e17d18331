"""How BIMNet is trained, the first stage of PVDNet: to find the motion between frames, blurred or sharp.

A flow is as good as the sharp previous frame, warped by it, resembles the sharp current frame; it is asked of all
four combinations of blurred and sharp frames (Eq. 1 of the paper). The original's code adds PVDNet's own loss,
which gives BIMNet no gradient; here BIMNet trains alone.

Source: codeslake/PVDNet `Model._get_results` and `DeblurNet.forward` with fix_BIMNet False.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ascendcv.ops.warp import warp
from ascendcv.runner.updates import Batch, Updates
from ascendvsr.models.flow.liteflownet import MIN_SIZE, SIZE_MULTIPLE
from ascendvsr.models.training import Training, strip

COMBINATIONS = ("bb", "bs", "sb", "ss")  # blurred or sharp: the previous frame, the current one


class BIMNetUpdates(Updates):
    """The update on a batch {'lq': [B,T,H,W,3], 'gt': the same}; see `ascendcv.runner.updates`.

    Its loss is over all T - 1 pairs of consecutive frames. It reports the four parts as 'loss/bb', ..., and
    'loss/still', the loss that no motion at all would have.
    """

    def loss(
        self, model: keras.Model, batch: Batch, index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        blurred, sharp = pairs(batch["lq"]), pairs(batch["gt"])
        parts = warping_errors(*warped_sharp(model, blurred, sharp), sharp[1])
        still = ops.mean(ops.square(sharp[0] - sharp[1]))
        report = {f"loss/{name}": part for name, part in zip(COMBINATIONS, parts, strict=True)}
        return sum(parts) / len(parts), report | {"loss/still": still}, state


def pairs(clips) -> tuple:
    """[B, T, H, W, 3] -> all previous frames and all current frames, [B * (T - 1), H, W, 3] each."""
    _, _, height, width, channels = ops.shape(clips)
    shape = (-1, height, width, channels)
    return ops.reshape(clips[:, :-1], shape), ops.reshape(clips[:, 1:], shape)


def warped_sharp(model: keras.Model, blurred: tuple, sharp: tuple) -> tuple[list, list]:
    """The sharp previous frame, warped by the flow of each combination, and how much of it comes from the image.

    Args:
        model: a flow network.
        blurred, sharp: previous and current frames, [N, H, W, 3] each.

    Returns for each of `COMBINATIONS` a [N, H, W, 3] and a [N, H, W, 1], the second without gradient.
    """
    supporting = ops.concatenate([blurred[0], blurred[0], sharp[0], sharp[0]])
    reference = ops.concatenate([blurred[1], sharp[1], blurred[1], sharp[1]])
    flows = ops.split(_flow(model, reference, supporting), 4)
    ones = ops.ones_like(sharp[0][..., :1])
    return [warp(sharp[0], flow) for flow in flows], [ops.stop_gradient(warp(ones, flow)) for flow in flows]


def _flow(model: keras.Model, reference, supporting):
    """[N, H, W, 2]: the flow of the multiples of 32 from the top left, and 0 beyond them, as PVDNet has it, too."""
    _, height, width, _ = ops.shape(reference)
    rows, columns = _within(height), _within(width)
    flow = model((reference[:, :rows, :columns], supporting[:, :rows, :columns]))
    return ops.pad(flow, ((0, 0), (0, height - rows), (0, width - columns), (0, 0)))


def _within(length):
    """The multiple of 32 that fits; all of a side below the smallest one that the network takes, which it pads."""
    within = length - length % SIZE_MULTIPLE
    if isinstance(length, int):
        return within if length >= MIN_SIZE else length
    return ops.where(length >= MIN_SIZE, within, length)


def warping_errors(warped: list, inside: list, current) -> list:
    """The squared error of each [N, H, W, 3] of `warped` against `current`, per pixel that is inside the image."""
    return [
        ops.sum(ops.square(frame - current * mask)) / ops.maximum(3 * ops.sum(mask), 1.0)
        for frame, mask in zip(warped, inside, strict=True)
    ]


class BIMNetTraining(Training):
    """One update per batch of clips."""

    target = "all"

    def updates(self) -> BIMNetUpdates:
        return BIMNetUpdates()

    def picture(self, model: keras.Model, batch: Batch) -> np.ndarray:
        """Two blurred frames of the first sample, the first one sharp and warped to the second, that one sharp."""
        blurred, sharp = batch["lq"][:1], batch["gt"][:1]
        warped = warp(sharp[:, 0], model((blurred[:, 1], blurred[:, 0])))
        return strip(blurred[0, 0], blurred[0, 1], warped[0], sharp[0, 1])
