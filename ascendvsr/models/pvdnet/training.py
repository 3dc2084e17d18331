"""How PVDNet is trained, the second stage: BIMNet stays as it is, and every frame of a clip gives an update.

The frames of a clip are deblurred one after the other. Each update is that of one frame's squared error; the next
frame sees the result from before the update, and no gradient flows back to it.

Source: codeslake/PVDNet `Model.iteration`.
"""

import logging

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from yacs.config import CfgNode

from ascendcv.losses.l2 import l2
from ascendcv.runner.checkpoint import CheckpointStore
from ascendcv.utils.errors import InputError
from ascendvsr.models.edvr.training import psnr
from ascendvsr.models.pvdnet.weights import bimnet_weights, holds_bimnet
from ascendvsr.weights.mapping import load_state_dict
from ascendvsr.weights.reader import load_checkpoint

logger = logging.getLogger(__name__)

TARGET = "all"


class PVDNetUpdates:
    """T - 2 updates on a batch {'lq': [B,T,H,W,3], 'gt': the same}; see `ascendcv.runner.trainer.Updates`.

    Update i is on frame i + 1; the state is that of `PVDNet.step`. The loss is the mean squared error of frames in
    [-1, 1]. Reported is 'psnr' (dB, of the crops, mean over the batch).
    """

    reduction = "mean"

    def __init__(self, num_frames: int):
        self.count = num_frames - 2

    def start(self, model: keras.Model, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return model.first_state(batch["lq"])

    def loss(
        self, model: keras.Model, batch: dict[str, tf.Tensor], index: tf.Tensor, state: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        frames = ops.take(batch["lq"], index + ops.arange(3, dtype="int32"), axis=1)
        truth = ops.take(batch["gt"], index + 1, axis=1)
        restored, state = model.step(frames, state)
        # Twice as far apart as in [0, 1].
        return 4 * l2(restored, truth), {"psnr": ops.mean(psnr(restored, truth))}, state


def make_updates(cfg: CfgNode) -> PVDNetUpdates:
    """The updates on the clips of a configuration: 13 for 15 frames."""
    return PVDNetUpdates(_clip_length(cfg))


def freeze(cfg: CfgNode) -> list[dict]:
    """BIMNet never learns here."""
    return [{"pattern": r"^BIMNet\.", "lr_mult": 1.0, "freeze_until": float("inf")}]


def check(cfg: CfgNode) -> None:
    """Raises `InputError` for clips in which no frame has two neighbours, and unless BIMNet gets trained weights.

    These come from `pvdnet.bimnet_checkpoint`, or with all others from `init_from` or the run that is continued.
    """
    if _clip_length(cfg) < 3:
        raise InputError(
            f"PVDNet learns from frames between two others, and model.num_frames is {_clip_length(cfg)}: say 3 or "
            "more (the paper: 15)"
        )
    if CheckpointStore(cfg.output_dir, cfg.model.name).steps():
        return
    path = cfg.pvdnet.bimnet_checkpoint
    whole = bool(cfg.init_from) and holds_bimnet(load_checkpoint(cfg.init_from))
    if path and whole:
        raise InputError(
            f"init_from {cfg.init_from} and pvdnet.bimnet_checkpoint {path} both hold BIMNet: leave one empty"
        )
    if path:
        bimnet_weights(load_checkpoint(path), path)
    elif not whole and not cfg.pvdnet.allow_untrained_bimnet:
        raise InputError(
            "PVDNet trains on the motion of a BIMNet that is trained already, and this one is not: name its "
            "weights in pvdnet.bimnet_checkpoint (of a BIMNet or a whole PVDNet), or say "
            "pvdnet.allow_untrained_bimnet True"
        )


def _clip_length(cfg: CfgNode) -> int:
    return cfg.data.clip_length or cfg.model.num_frames


def initialise(cfg: CfgNode, model: keras.Model) -> None:
    """Loads `pvdnet.bimnet_checkpoint`."""
    path = cfg.pvdnet.bimnet_checkpoint
    if path:
        load_state_dict(model.BIMNet, bimnet_weights(load_checkpoint(path), path), source=path)
        logger.info("BIMNet from %s", path)


def picture(model: keras.Model, batch: dict[str, tf.Tensor]) -> np.ndarray:
    """[H,3*W,3] uint8: the first sample's second frame, as restored, and its ground truth."""
    clip = batch["lq"][:1]
    restored, _ = model.step(clip[:, :3], model.first_state(clip))
    strip = ops.concatenate([clip[0, 1], ops.cast(restored[0], "float32"), batch["gt"][0, 1]], axis=1)
    return np.rint(np.clip(ops.convert_to_numpy(strip), 0.0, 1.0) * 255.0).astype(np.uint8)
