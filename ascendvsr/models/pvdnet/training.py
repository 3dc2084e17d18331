"""How PVDNet is trained, the second stage: BIMNet stays as it is, and every frame of a clip gives an update.

The frames of a clip are deblurred one after the other. Each update is that of one frame's squared error; the next
frame sees the result from before the update, and no gradient flows back to it.

Source: codeslake/PVDNet `Model.iteration`.
"""

import logging
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ascendcv.losses.l2 import l2
from ascendcv.runner.updates import Batch, Updates
from ascendvsr.models.pvdnet.inputs import clip_length
from ascendvsr.models.training import Training, psnr, strip
from ascendvsr.weights.mapping import load_state_dict

logger = logging.getLogger(__name__)


class PVDNetUpdates(Updates):
    """T - 2 updates on a batch {'lq': [B,T,H,W,3], 'gt': the same}; see `ascendcv.runner.updates`.

    Update i is on frame i + 1; the state is that of `PVDNet.step`. The loss is the mean squared error of frames in
    [-1, 1]. Reported is 'psnr' (dB, of the crops, mean over the batch).
    """

    def __init__(self, num_frames: int):
        self.count = num_frames - 2

    def start(self, model: keras.Model, batch: Batch) -> dict[str, tf.Tensor]:
        return model.first_state(batch["lq"])

    def loss(
        self, model: keras.Model, batch: Batch, index: tf.Tensor, state: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        frames = ops.take(batch["lq"], index + ops.arange(3, dtype="int32"), axis=1)
        truth = ops.take(batch["gt"], index + 1, axis=1)
        restored, state = model.step(frames, state)
        # Twice as far apart as in [0, 1].
        return 4 * l2(restored, truth), {"psnr": ops.mean(psnr(restored, truth))}, state


class PVDNetTraining(Training):
    """T - 2 updates per clip of T frames: 13 for the paper's 15."""

    target = "all"

    def updates(self) -> PVDNetUpdates:
        return PVDNetUpdates(clip_length(self.cfg))

    def param_groups(self) -> list[Mapping[str, object]]:
        """BIMNet never learns here."""
        return [{"pattern": r"^BIMNet\.", "lr_mult": 1.0, "freeze_until": float("inf")}]

    def initialize(self, model: keras.Model) -> None:
        """Loads `pvdnet.bimnet_checkpoint`."""
        if self.inputs is not None:
            path = self.cfg.pvdnet.bimnet_checkpoint
            load_state_dict(model.BIMNet, self.inputs, source=path)
            logger.info("BIMNet from %s", path)

    def picture(self, model: keras.Model, batch: Batch) -> np.ndarray:
        """The first sample's second frame, as restored, and its ground truth."""
        clip = batch["lq"][:1]
        restored, _ = model.step(clip[:, :3], model.first_state(clip))
        return strip(clip[0, 1], restored[0], batch["gt"][0, 1])
