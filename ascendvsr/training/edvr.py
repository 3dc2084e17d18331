"""How EDVR is trained: one update a batch, on the restored middle frame against its ground truth."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from yacs.config import CfgNode

from ascendcv.losses.charbonnier import charbonnier
from ascendcv.losses.l1 import l1
from ascendcv.losses.l2 import l2
from ascendcv.losses.marginal_l1 import marginal_l1
from ascendvsr.training.edvr_start import start_evenly

# `edvr.loss_reduction`: what the losses call it. The first two are the TensorFlow release's: they sum over H, W
# and C in any case.
_REDUCTIONS = {"mean": "batchmean", "sum": "sum", "pixel": "mean"}


class EDVRUpdates:
    """One update on a batch {'lq': [B,T,h,w,C], 'gt': [B,H,W,C]}; see `ascendcv.runner.trainer.Updates`.

    It reports 'psnr' (dB, of the crops, mean over the batch) and 'loss/px', the same loss averaged over all
    values, which can be compared between crop sizes.
    """

    count = 1

    def __init__(self, loss_type: str, loss_reduction: str, loss_margin: float):
        self.reduction = "sum" if loss_reduction == "sum" else "mean"
        self._loss = functools.partial(_loss(loss_type, loss_margin), reduction=_REDUCTIONS[loss_reduction])
        self._loss_per_value = _loss(loss_type, loss_margin)

    def start(self, model: keras.Model, batch: dict[str, tf.Tensor]) -> tuple[()]:
        return ()

    def loss(
        self, model: keras.Model, batch: dict[str, tf.Tensor], index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        restored = ops.cast(model(batch["lq"], training=True), "float32")
        report = {
            "loss/px": self._loss_per_value(restored, batch["gt"]),
            "psnr": ops.mean(psnr(restored, batch["gt"])),
        }
        return self._loss(restored, batch["gt"]), report, state


def make_updates(cfg: CfgNode) -> EDVRUpdates:
    """The updates of a configuration's `edvr.loss_*`."""
    return EDVRUpdates(cfg.edvr.loss_type, cfg.edvr.loss_reduction, cfg.edvr.loss_margin)


def initialise(cfg: CfgNode, model: keras.Model) -> None:
    """Where training begins at random, `edvr.even_start` changes that."""
    if cfg.edvr.even_start and not cfg.init_from:
        start_evenly(model, cfg.random_seed)


def psnr(restored: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """[B] dB, of [B,H,W,C] clipped to [0, 1]; at most 100, so that an average stays finite."""
    error = ops.mean(ops.square(ops.clip(restored, 0.0, 1.0) - truth), axis=(1, 2, 3))
    return -10.0 * ops.log10(ops.maximum(error, 1e-10))


def picture(model: keras.Model, batch: dict[str, tf.Tensor]) -> np.ndarray:
    """[H,3*W,3] uint8: the first sample's frame (its pixels enlarged), as restored, and its ground truth."""
    clip, truth = batch["lq"][:1], batch["gt"][0].numpy()
    restored = ops.convert_to_numpy(model(clip, training=False))[0]
    frame = clip[0, model.center_frame_idx].numpy()
    factor = truth.shape[0] // frame.shape[0]
    frame = frame.repeat(factor, axis=0).repeat(factor, axis=1)
    strip = np.concatenate([frame, restored.astype(np.float32), truth], axis=1)
    return np.rint(strip.clip(0.0, 1.0) * 255.0).astype(np.uint8)


def _loss(loss_type: str, margin: float) -> Callable:
    return {
        "l1": l1,
        "l2": l2,
        "charbonnier": functools.partial(charbonnier, eps=margin),
        "marginal l1": functools.partial(marginal_l1, margin=margin),
    }[loss_type]
