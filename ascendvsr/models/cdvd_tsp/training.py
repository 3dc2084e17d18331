"""How CDVD-TSP is trained: one update a batch, on what all stages restore or on the last frame alone."""

from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from yacs.config import CfgNode

from ascendcv.losses.hem import hem, random_pixels
from ascendcv.losses.l1 import l1
from ascendcv.losses.ms_ssim import MINIMUM_SIDE, ms_ssim
from ascendcv.utils.errors import InputError
from ascendvsr.models.edvr import training as edvr
from ascendvsr.weights.mapping import load_weights
from ascendvsr.weights.reader import load_checkpoint

TARGET = "all"


class CDVDTSPUpdates:
    """One update on a batch {'lq': [B,T,h,w,3], 'gt': [B,T,h,w,3]}; see `ascendcv.runner.trainer.Updates`.

    The loss is a weighted sum of terms, each the mean over the frames that it looks at. Reported are each term as
    'loss/l1', 'loss/hem', 'loss/ms_ssim', its part of every stage as 'loss/l1_stage1', ..., and 'psnr' (dB) of the
    last frame.

    Args:
        weights: of the terms 'l1', 'hem' and 'ms_ssim' (1 - MS-SSIM); those of weight 0 are not computed.
        final_only: look at the last frame alone, instead of at all that every stage restores.
        chosen: ground truth [B,T,h,w,3] -> [B,h,w,1], the pixels that HEM counts besides the hardest.
    """

    count = 1
    reduction = "mean"

    def __init__(
        self,
        weights: Mapping[str, float],
        final_only: bool,
        chosen: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ):
        self.weights = {term: weight for term, weight in weights.items() if weight}
        self.final_only = final_only
        self.chosen = chosen or pixels_by_content

    def start(self, model: keras.Model, batch: dict[str, tf.Tensor]) -> tuple[()]:
        return ()

    def loss(
        self, model: keras.Model, batch: dict[str, tf.Tensor], index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        truth = ops.unstack(batch["gt"], batch["gt"].shape[1], axis=1)
        stages = model.stages(batch["lq"])
        # A stage restores what it was given, but for the first frame and the last.
        pairs = [(stage, truth[count:-count]) for count, stage in enumerate(stages, start=1)]
        (restored,), (middle,) = pairs[-1]
        report = {"psnr": ops.mean(edvr.psnr(restored, middle))}
        if self.final_only:
            pairs = pairs[-1:]

        # Frames side by side in the channels: HEM has one mask for all of a sample.
        pred, target = (
            ops.concatenate([frame for pair in pairs for frame in pair[side]], axis=-1) for side in (0, 1)
        )
        loss = 0.0
        for term, weight in self.weights.items():
            by_channel = self._by_channel(term, pred, target, batch["gt"])
            report[f"loss/{term}"] = value = ops.mean(by_channel)
            loss = loss + weight * value
            begin = 0
            for number, (frames, _) in enumerate(pairs, start=1):
                end = begin + len(frames) * restored.shape[-1]
                if len(pairs) > 1:
                    report[f"loss/{term}_stage{number}"] = ops.mean(by_channel[begin:end])
                begin = end
        return loss, report, state

    def _by_channel(self, term: str, pred: tf.Tensor, target: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
        """A term of the loss [C], its mean over the samples and pixels of every channel."""
        if term == "ms_ssim":
            return 1.0 - ops.mean(ms_ssim(pred, target), axis=0)
        if term == "hem":
            values = hem(pred, target, self.chosen(truth), reduction="none")
        else:
            values = l1(pred, target, reduction="none")
        return ops.mean(values, axis=(0, 1, 2))


def pixels_by_content(truth: tf.Tensor) -> tf.Tensor:
    """[B,T,h,w,3] in [0, 1] -> [B,h,w,1] of zeros and ones: random pixels that follow from the frames alone.

    The same batch has the same pixels again, so that a resumed run needs to know nothing of the random numbers
    drawn before.
    """
    levels = tf.cast(tf.round(truth * 255.0), tf.int32)
    places = tf.reshape(tf.range(tf.size(levels)), tf.shape(levels))
    # Whole numbers, which wrap around: sums of them are the same in any order.
    seed = tf.stack([tf.reduce_sum(levels), tf.reduce_sum(levels * places)])
    batch, _, height, width, _ = truth.shape
    return random_pixels(tf.random.stateless_uniform((batch or tf.shape(truth)[0], height, width, 1), seed))


def make_updates(cfg: CfgNode) -> CDVDTSPUpdates:
    """The updates of a configuration's `cdvd_tsp.loss_*`."""
    return CDVDTSPUpdates(_weights(cfg), cfg.cdvd_tsp.loss_on == "final")


def picture(model: keras.Model, batch: dict[str, tf.Tensor]) -> np.ndarray:
    """[H,3*W,3] uint8: the first sample's middle frame, as restored, and its ground truth."""
    return edvr.picture(model, {"lq": batch["lq"], "gt": batch["gt"][:, model.center_frame_idx]})


def check(cfg: CfgNode) -> None:
    """Raises `InputError` for crops that the loss or the network cannot take, and for no loss at all."""
    weights, side = _weights(cfg), min(cfg.data.train_in_size)
    for term, weight in weights.items():
        if weight < 0:
            raise InputError(f"cdvd_tsp.loss_{term} is a weight and should not be negative, as {weight} is")
    if not any(weights.values()):
        raise InputError("all of cdvd_tsp.loss_l1, loss_hem and loss_ms_ssim are 0: nothing is left to learn from")
    if weights["ms_ssim"] and side < MINIMUM_SIDE:
        raise InputError(
            f"cdvd_tsp.loss_ms_ssim needs crops of at least {MINIMUM_SIDE} pixels a side, and "
            f"data.train_in_size is {list(cfg.data.train_in_size)}"
        )
    if cfg.model.size == "crop" and any(length % 4 for length in cfg.data.train_in_size):
        raise InputError(
            f"with model.size crop, data.train_in_size should be multiples of 4, not {list(cfg.data.train_in_size)}"
        )
    if cfg.cdvd_tsp.flow_checkpoint:
        load_checkpoint(cfg.cdvd_tsp.flow_checkpoint)


def initialise(cfg: CfgNode, model: keras.Model) -> None:
    """Loads the flow network's own weights from `cdvd_tsp.flow_checkpoint`; `InputError` where they do not fit."""
    if cfg.cdvd_tsp.flow_checkpoint:
        load_weights(model.flow_net, cfg.cdvd_tsp.flow_checkpoint)


def _weights(cfg: CfgNode) -> dict[str, float]:
    return {term: cfg.cdvd_tsp[f"loss_{term}"] for term in ("l1", "hem", "ms_ssim")}
