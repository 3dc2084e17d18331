"""How DBN and FlowDBN are trained: one update a batch, half the squared error of the middle frame.

Source: visinf/deblur-devil `losses.deblurring_error.DBNLoss`, `models.deblurring.flowdbn.WarpingNetwork`.
"""

import logging

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from yacs.config import CfgNode

from ascendcv.losses.l2 import l2
from ascendcv.ops.color import gray
from ascendcv.utils.errors import InputError
from ascendcv.utils.flow_color import flow_to_color
from ascendvsr.models.deblur_devil.dbn import middle_of
from ascendvsr.models.flow.weights import describe_flow, flow_weights
from ascendvsr.weights.mapping import load_state_dict
from ascendvsr.weights.reader import load_checkpoint

logger = logging.getLogger(__name__)

_FLOW_NETWORKS = {"pwcnet": "PWCNetDevil", "flownet1s": "FlowNet1S"}


class DeblurUpdates:
    """One update on a batch {'lq': [B,T,H,W,3], 'gt': [B,H,W,3]}; see `ascendcv.runner.trainer.Updates`.

    The loss is a sum over the whole batch, not a mean, on all replicas together. Reported are 'psnr' (dB, gray, of
    the whole batch) and 'loss/px', the mean squared error, which can be compared between crop and batch sizes.
    """

    count = 1
    reduction = "sum"

    def start(self, model: keras.Model, batch: dict[str, tf.Tensor]) -> tuple[()]:
        return ()

    def loss(
        self, model: keras.Model, batch: dict[str, tf.Tensor], index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        restored = model(batch["lq"], training=True)
        report = {"loss/px": l2(restored, batch["gt"]), "psnr": gray_psnr(restored, batch["gt"])}
        return half_squared_error(restored, batch["gt"]), report, state


def make_updates(cfg: CfgNode) -> DeblurUpdates:
    """The updates of DBN and FlowDBN."""
    return DeblurUpdates()


def half_squared_error(restored, truth):
    """0.5 * (restored - truth)^2 [B,H,W,3], summed over everything."""
    return 0.5 * l2(restored, truth, reduction="sum")


def gray_psnr(restored, truth):
    """dB, of gray values of [B,H,W,3], clipped to [0, 1], over the whole batch; at most 100."""
    error = ops.mean(ops.square(gray(ops.clip(restored, 0.0, 1.0)) - gray(truth)))
    return -10.0 * ops.log10(ops.maximum(error, 1e-10))


def check(cfg: CfgNode) -> None:
    """Raises `InputError` for a window without a middle frame, and unless FlowDBN's flow network gets its weights.

    These come from `deblur_devil.flow_checkpoint`, or with all others from `init_from` or the checkpoint that is
    continued.
    """
    middle_of(cfg.model.num_frames)
    if cfg.model.name == "FlowDBN" and cfg.deblur_devil.flow_checkpoint:
        _flow_weights(cfg)
    elif cfg.model.name == "FlowDBN" and not (cfg.init_from or cfg.continue_training):
        raise InputError(
            "FlowDBN needs a trained flow network, which stays as it is: name its weights in "
            "deblur_devil.flow_checkpoint"
        )


def initialise(cfg: CfgNode, model: keras.Model) -> None:
    """Loads `deblur_devil.flow_checkpoint` into FlowDBN's flow network.

    Where all else begins at random, `deblur_devil.identity_start` makes the scale of the last batch normalisation
    0, so that nothing is added to the middle frame.
    """
    if cfg.deblur_devil.identity_start and not cfg.init_from:
        _, norm = model.dbn_net.f15
        norm.gamma.assign(ops.zeros_like(norm.gamma))
    if cfg.model.name == "FlowDBN" and cfg.deblur_devil.flow_checkpoint:
        path = cfg.deblur_devil.flow_checkpoint
        load_state_dict(model.flow_network, _flow_weights(cfg), source=path)
        logger.info("Flow network %s from %s", cfg.deblur_devil.prewarping, path)


def _flow_weights(cfg: CfgNode) -> dict[str, np.ndarray]:
    path = cfg.deblur_devil.flow_checkpoint
    network, weights = flow_weights(load_checkpoint(path), path)
    prewarping = cfg.deblur_devil.prewarping
    if network != _FLOW_NETWORKS[prewarping]:
        raise InputError(
            f"deblur_devil.flow_checkpoint {path} is {describe_flow(network)}, and deblur_devil.prewarping is "
            f"{prewarping}"
        )
    return weights


def picture(model: keras.Model, batch: dict[str, tf.Tensor]) -> np.ndarray:
    """[H,3*W,3] uint8: the first sample's middle frame, as restored, and its ground truth."""
    clip, truth = batch["lq"][:1], ops.convert_to_numpy(batch["gt"][0])
    restored = ops.convert_to_numpy(model(clip, training=False))[0]
    frame = ops.convert_to_numpy(clip[0, model.center_frame_idx])
    strip = np.concatenate([frame, restored.astype(np.float32), truth], axis=1)
    return np.rint(strip.clip(0.0, 1.0) * 255.0).astype(np.uint8)


def pictures(model: keras.Model, batch: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """Of FlowDBN 'flow', [H,(T-1)*W,3] uint8: the first sample's from its middle frame, in colours."""
    if not hasattr(model, "flow"):
        return {}
    features = [model.features(batch["lq"][:1, t]) for t in range(model.num_frame)]
    strip = np.concatenate(ops.convert_to_numpy(model.flow(features)), axis=1)
    return {"flow": flow_to_color(strip)}
