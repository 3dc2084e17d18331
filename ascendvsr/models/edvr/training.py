"""How EDVR is trained: one update per batch, on the restored middle frame against its ground truth."""

import functools
from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops

from ascendcv.losses.charbonnier import charbonnier
from ascendcv.losses.l1 import l1
from ascendcv.losses.l2 import l2
from ascendcv.losses.marginal_l1 import marginal_l1
from ascendcv.ops.sampling import at_least_float32
from ascendcv.runner.updates import Batch, Updates
from ascendvsr.models.edvr.start import start_evenly
from ascendvsr.models.training import Training, psnr

# `edvr.loss_reduction`: what the losses call it. The first two are the TensorFlow release's: they sum over H, W
# and C in any case.
_REDUCTIONS = {"mean": "batchmean", "sum": "sum", "pixel": "mean"}


class EDVRUpdates(Updates):
    """The update on a batch {'lq': [B,T,h,w,C], 'gt': [B,H,W,C]}; see `ascendcv.runner.updates`.

    It reports 'psnr' (dB, of the crops, mean over the batch) and 'loss/px', the same loss averaged over all
    values, which can be compared between crop sizes.
    """

    def __init__(self, loss_type: str, loss_reduction: str, loss_margin: float):
        self.reduction = "sum" if loss_reduction == "sum" else "mean"
        self._loss = functools.partial(_loss(loss_type, loss_margin), reduction=_REDUCTIONS[loss_reduction])
        self._loss_per_value = _loss(loss_type, loss_margin)

    def loss(
        self, model: keras.Model, batch: Batch, index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        restored = at_least_float32(model(batch["lq"], training=True))
        report = {
            "loss/px": self._loss_per_value(restored, batch["gt"]),
            "psnr": ops.mean(psnr(restored, batch["gt"])),
        }
        return self._loss(restored, batch["gt"]), report, state


class EDVRTraining(Training):
    """One update per batch, by the configuration's `edvr.loss_*`."""

    def updates(self) -> EDVRUpdates:
        edvr = self.cfg.edvr
        return EDVRUpdates(edvr.loss_type, edvr.loss_reduction, edvr.loss_margin)

    def initialize(self, model: keras.Model) -> None:
        """Where training begins at random, `edvr.even_start` changes that."""
        if self.cfg.edvr.even_start and not self.cfg.init_from:
            start_evenly(model, self.cfg.random_seed)


def _loss(loss_type: str, margin: float) -> Callable:
    losses: dict[str, Callable] = {
        "l1": l1,
        "l2": l2,
        "charbonnier": functools.partial(charbonnier, eps=margin),
        "marginal l1": functools.partial(marginal_l1, margin=margin),
    }
    return losses[loss_type]
