"""How RVRT is trained: one update per batch of clips, on all of their frames.

SpyNet begins with weights that are trained already. For the first iterations it stays as it is, then it learns at a
quarter of the rate.

Source: KAIR `ModelVRT` and its options `rvrt/*.json`.
"""

import logging
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ascendcv.losses.charbonnier import charbonnier
from ascendcv.ops.sampling import at_least_float32
from ascendcv.runner.updates import Batch, Updates
from ascendvsr.models.rvrt.start import start_near_identity
from ascendvsr.models.training import Training, enlarged, network_input, psnr, strip
from ascendvsr.weights.mapping import load_state_dict

logger = logging.getLogger(__name__)


class RVRTUpdates(Updates):
    """The update on a batch {'lq': [B,T,h,w,3], 'gt': [B,T,H,W,3]}; see `ascendcv.runner.updates`.

    Where clips have noise of their own, 'sigma': [B] is its deviation / 255, which a denoising network gets as the
    fourth channel. Reported is 'psnr' (dB, of the crops, mean over frames and batch).

    Args:
        in_steps: in a graph, make functions that are called for clip after clip (see `RVRT.in_steps`) instead of a
            copy of the network for each; XLA would compile them anew for every batch.
    """

    def __init__(self, in_steps: bool = True):
        self.in_steps = in_steps

    def loss(
        self, model: keras.Model, batch: Batch, index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        restore = model.in_steps(_as_function) if self.in_steps and tf.inside_function() else model
        restored = at_least_float32(restore(network_input(model, batch)))
        frames = [ops.reshape(clip, (-1, *clip.shape[2:])) for clip in (restored, batch["gt"])]
        return charbonnier(restored, batch["gt"], eps=1e-9), {"psnr": ops.mean(psnr(*frames))}, state


def _as_function(function: Callable) -> Callable:
    """A graph of its own, which the optimiser of graphs leaves alone: to copy it into each call takes minutes."""
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


class RVRTTraining(Training):
    """One update per batch of clips, SpyNet later and more slowly than the rest."""

    target = "all"

    def updates(self) -> RVRTUpdates:
        return RVRTUpdates(in_steps=not self.cfg.solver.xla)

    def param_groups(self) -> list[Mapping[str, object]]:
        """SpyNet learns from iteration `rvrt.fix_iter` on, at `rvrt.fix_lr_mul` times the rate."""
        rvrt = self.cfg.rvrt
        return [{"pattern": r"^spynet\.", "lr_mult": rvrt.fix_lr_mul, "freeze_until": rvrt.fix_iter}]

    def initialize(self, model: keras.Model) -> None:
        """Loads `rvrt.spynet_checkpoint`; where all else begins at random, `rvrt.identity_start` changes that."""
        if self.cfg.rvrt.identity_start and not self.cfg.init_from:
            start_near_identity(model)
        if self.inputs is not None:
            path = self.cfg.rvrt.spynet_checkpoint
            load_state_dict(model.spynet, self.inputs, source=path)
            logger.info("SpyNet from %s", path)

    def picture(self, model: keras.Model, batch: Batch) -> np.ndarray:
        """The first clip's first frame (its pixels enlarged), as restored, and its ground truth."""
        first = {name: tensor[:1] for name, tensor in batch.items()}
        restored = model(network_input(model, first), training=False)[0, 0]
        return strip(enlarged(batch["lq"][0, 0], model.scale), restored, batch["gt"][0, 0])
