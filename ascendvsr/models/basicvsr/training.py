"""How BasicVSR is trained: one update per batch of clips, on all of their frames.

SpyNet begins with weights that are trained already. For the first iterations it stays as it is, then it learns at
an eighth of the rate. Source: BasicSR `VideoRecurrentModel` and its options `BasicVSR/*.yml`.
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
from ascendvsr.models.training import Training, enlarged, psnr, strip
from ascendvsr.weights.mapping import load_state_dict

logger = logging.getLogger(__name__)


class BasicVSRUpdates(Updates):
    """The update on a batch {'lq': [B,T,h,w,3], 'gt': [B,T,4h,4w,3]}; see `ascendcv.runner.updates`.

    Reported is 'psnr' (dB, of the crops, mean over frames and batch).

    Args:
        in_steps: in a graph, make functions that are called for frame after frame (see `BasicVSR.in_steps`) instead
            of a copy of the network for each; XLA would compile them anew for every batch.
    """

    def __init__(self, in_steps: bool = True):
        self.in_steps = in_steps

    def loss(
        self, model: keras.Model, batch: Batch, index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        restore = model.in_steps(_as_function) if self.in_steps and tf.inside_function() else model
        restored = at_least_float32(restore(batch["lq"]))
        frames = [ops.reshape(clip, (-1, *clip.shape[2:])) for clip in (restored, batch["gt"])]
        return charbonnier(restored, batch["gt"], eps=1e-12), {"psnr": ops.mean(psnr(*frames))}, state


def _as_function(function: Callable) -> Callable:
    """A graph of its own, which the optimizer of graphs leaves alone: to copy it into each call takes minutes."""
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


class BasicVSRTraining(Training):
    """One update per batch of clips, SpyNet later and more slowly than the rest."""

    target = "all"

    def updates(self) -> BasicVSRUpdates:
        return BasicVSRUpdates(in_steps=not self.cfg.solver.xla)

    def param_groups(self) -> list[Mapping[str, object]]:
        """SpyNet learns from iteration `basicvsr.fix_flow` on, at `basicvsr.flow_lr_mul` times the rate."""
        basicvsr = self.cfg.basicvsr
        return [{"pattern": r"^spynet\.", "lr_mult": basicvsr.flow_lr_mul, "freeze_until": basicvsr.fix_flow}]

    def initialize(self, model: keras.Model) -> None:
        """Loads `basicvsr.spynet_checkpoint`."""
        if self.inputs is not None:
            path = self.cfg.basicvsr.spynet_checkpoint
            load_state_dict(model.spynet, self.inputs, source=path)
            logger.info("SpyNet from %s", path)

    def picture(self, model: keras.Model, batch: Batch) -> np.ndarray:
        """The first clip's first frame (its pixels enlarged), as restored, and its ground truth."""
        restored = model(batch["lq"][:1], training=False)[0, 0]
        return strip(enlarged(batch["lq"][0, 0], model.scale), restored, batch["gt"][0, 0])
