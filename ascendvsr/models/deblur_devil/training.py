"""How DBN and FlowDBN are trained: one update per batch, half the squared error of the middle frame.

Source: visinf/deblur-devil `losses.deblurring_error.DBNLoss`, `models.deblurring.flowdbn.WarpingNetwork`.
"""

import logging

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ascendcv.losses.l2 import l2
from ascendcv.ops.color import gray
from ascendcv.runner.updates import Batch, Updates
from ascendcv.utils.flow_color import flow_to_color
from ascendvsr.models.training import Training, network_input
from ascendvsr.weights.mapping import load_state_dict

logger = logging.getLogger(__name__)


class DeblurUpdates(Updates):
    """The update on a batch {'lq': [B,T,H,W,3], 'gt': [B,H,W,3]}; see `ascendcv.runner.updates`.

    The loss is a sum over the whole batch, not a mean, on all replicas together. Reported are 'psnr' (dB, gray, of
    the whole batch) and 'loss/px', the mean squared error, which can be compared between crop and batch sizes.
    """

    reduction = "sum"

    def loss(
        self, model: keras.Model, batch: Batch, index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        restored = model(network_input(model, batch), training=True)
        report = {"loss/px": l2(restored, batch["gt"]), "psnr": gray_psnr(restored, batch["gt"])}
        return half_squared_error(restored, batch["gt"]), report, state


def half_squared_error(restored, truth):
    """0.5 * (restored - truth)^2 [B,H,W,3], summed over everything."""
    return 0.5 * l2(restored, truth, reduction="sum")


def gray_psnr(restored, truth):
    """dB, of gray values of [B,H,W,3], clipped to [0, 1], over the whole batch; at most 100."""
    error = ops.mean(ops.square(gray(ops.clip(restored, 0.0, 1.0)) - gray(truth)))
    return -10.0 * ops.log10(ops.maximum(error, 1e-10))


class DBNTraining(Training):
    """One update per batch."""

    def updates(self) -> DeblurUpdates:
        return DeblurUpdates()

    def initialize(self, model: keras.Model) -> None:
        """Where all else begins at random, `deblur_devil.identity_start` adds nothing to the middle frame.

        The scale of the last batch normalization is then 0.
        """
        if self.cfg.deblur_devil.identity_start and not self.cfg.init_from:
            _, norm = model.dbn_net.f15
            norm.gamma.assign(ops.zeros_like(norm.gamma))


class FlowDBNTraining(DBNTraining):
    """One update per batch; the flow network stays as it is."""

    def initialize(self, model: keras.Model) -> None:
        """Loads `deblur_devil.flow_checkpoint` into the flow network, besides what DBN does."""
        super().initialize(model)
        if self.inputs is not None:
            options = self.cfg.deblur_devil
            load_state_dict(model.flow_network, self.inputs, source=options.flow_checkpoint)
            logger.info("Flow network %s from %s", options.prewarping, options.flow_checkpoint)

    def more_pictures(self, model: keras.Model, batch: Batch) -> dict[str, np.ndarray]:
        """'flow', [H,(T-1)*W,3] uint8: the first sample's from its middle frame, in colors."""
        features = [model.features(batch["lq"][:1, t]) for t in range(model.num_frame)]
        return {"flow": flow_to_color(np.concatenate(ops.convert_to_numpy(model.flow(features)), axis=1))}
