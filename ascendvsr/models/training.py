"""How a network is trained: what its folder may say of that. The trainer and its data are the same for all."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from yacs.config import CfgNode

from ascendcv.runner.updates import Batch, Updates


class Training:
    """How one network is trained by one configuration. The subclass of a network says what differs from this.

    Args:
        cfg: the configuration.
        inputs: what the card's `read_inputs` gave for it.

    Attributes:
        target: whose ground truth a sample has: of its 'center' frame, [B,H,W,3], or of 'all', [B,T,H,W,3].
    """

    target = "center"

    def __init__(self, cfg: CfgNode, inputs: Any = None):
        self.cfg = cfg
        self.inputs = inputs

    def updates(self) -> Updates:
        """What the updates on a batch are."""
        raise NotImplementedError

    def param_groups(self) -> list[Mapping[str, object]]:
        """Groups as in `solver.param_groups`, which come after those."""
        return []

    def initialize(self, model: keras.Model) -> None:
        """Gives the parts that are trained already their weights, when a run begins."""

    def picture(self, model: keras.Model, batch: Batch) -> np.ndarray:
        """[H,W,3] uint8: of the first sample the input (its pixels enlarged), the output and the ground truth.

        This one is that of networks that restore one frame of a window.
        """
        first, center = {name: tensor[:1] for name, tensor in batch.items()}, model.center_frame_idx
        truth = batch["gt"][0] if self.target == "center" else batch["gt"][0, center]
        restored = model(network_input(model, first), training=False)[0]
        return strip(enlarged(first["lq"][0, center], model.scale), restored, truth)

    def more_pictures(self, model: keras.Model, batch: Batch) -> dict[str, np.ndarray]:
        """Further pictures by name, such as a flow in colors."""
        return {}

    def batches(self, shard: tuple[int, int], batch_size: int, first: int) -> Iterable[Batch]:
        """Where the card says that no clips are read: the batches of worker `shard` (index, count).

        They begin with the global batch number `first`.
        """
        raise NotImplementedError

    def scores(self, model: keras.Model) -> dict[str, float] | None:
        """The network's own validation; None: what `eval.protocol` measures on the evaluation set."""
        return None


def network_input(model: keras.Model, batch: Batch) -> tf.Tensor:
    """The clips [B,T,h,w,3] of a batch, with a fourth channel where the network wants a map of the noise.

    That is the batch's 'sigma' [B], the deviation of each clip's noise / 255.
    """
    clip = batch["lq"]
    if getattr(model, "in_channels", clip.shape[-1]) == clip.shape[-1]:
        return clip
    sigma = ops.reshape(ops.cast(batch["sigma"], clip.dtype), (-1, 1, 1, 1, 1))
    return ops.concatenate([clip, ops.zeros_like(clip[..., :1]) + sigma], axis=-1)


def strip(*frames: np.ndarray | tf.Tensor) -> np.ndarray:
    """Frames [H,W_i,3] in [0, 1] side by side, [H, sum of W_i, 3] uint8."""
    parts = [ops.convert_to_numpy(frame).astype(np.float32) for frame in frames]
    return np.rint(np.concatenate(parts, axis=1).clip(0.0, 1.0) * 255.0).astype(np.uint8)


def enlarged(frame: np.ndarray | tf.Tensor, factor: int) -> np.ndarray:
    """A frame [H,W,C] whose pixels are squares of `factor` pixels."""
    return ops.convert_to_numpy(frame).repeat(factor, axis=0).repeat(factor, axis=1)


def psnr(restored: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """[B] dB, of [B,H,W,C] clipped to [0, 1]; at most 100, so that an average stays finite."""
    error = ops.mean(ops.square(ops.clip(restored, 0.0, 1.0) - truth), axis=(1, 2, 3))
    return -10.0 * ops.log10(ops.maximum(error, 1e-10))
