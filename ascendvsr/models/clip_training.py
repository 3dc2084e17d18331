"""How networks that restore whole clips are trained: on all of their frames, by Charbonnier's loss."""

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops

from ascendcv.losses.charbonnier import charbonnier
from ascendcv.ops.sampling import at_least_float32
from ascendcv.runner.updates import Batch, Updates
from ascendvsr.models.training import network_input, psnr


class ClipUpdates(Updates):
    """The update on a batch {'lq': [B,T,h,w,3], 'gt': [B,T,H,W,3]}; see `ascendcv.runner.updates`.

    Where clips have noise of their own, 'sigma': [B] is its standard deviation / 255, which a denoising network
    gets as the fourth channel. Reported is 'psnr' (dB, of the crops, mean over frames and batch).

    Args:
        in_steps: in a graph, make functions that are called step after step (see the network's `in_steps`) instead
            of a copy of the network for each; XLA would compile them anew for every batch.

    Attributes:
        epsilon: of the loss.
    """

    epsilon: float

    def __init__(self, in_steps: bool = True):
        self.in_steps = in_steps

    def loss(
        self, model: keras.Model, batch: Batch, index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        restore = model.in_steps(_as_function) if self.in_steps and tf.inside_function() else model
        restored = at_least_float32(restore(network_input(model, batch)))
        frames = [ops.reshape(clip, (-1, *clip.shape[2:])) for clip in (restored, batch["gt"])]
        loss = charbonnier(restored, batch["gt"], eps=self.epsilon)
        return loss, {"psnr": ops.mean(psnr(*frames))}, state


def _as_function(function: Callable) -> Callable:
    """A graph of its own, which the optimizer of graphs leaves alone: to copy it into each call takes minutes."""
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})
