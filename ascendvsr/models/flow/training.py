"""How flow networks are trained: one update per batch, on the flows of all levels.

As "Deep Video Deblurring: The Devil is in the Details" (Gast and Roth, ICCV Workshops 2019) trained what it
prewarps with: on FlyingChairs, validated on the clean frames of Sintel.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ascendcv.dataloader.flow_data import read_flow
from ascendcv.dataloader.flow_train import flow_dataset
from ascendcv.dataloader.image import read_image, to_rgb
from ascendcv.losses.multiscale_epe import end_point_error, multiscale_epe
from ascendcv.runner.updates import Batch, Updates
from ascendcv.utils.flow_color import flow_to_color
from ascendvsr.models.training import Training, strip

# The unit of the loss: what a network's levels are of a pixel, whatever the unit that it warps in.
DIV_FLOW = 0.05


class FlowUpdates(Updates):
    """The update on a batch {'lq': [B, 2, h, w, 3], 'flow': [B, h, w, 2]}; see `ascendcv.runner.updates`.

    The loss is a sum over pixels and samples. Reported are the mean end-point errors of levels 6 to 2 in pixels.
    """

    reduction = "sum"

    def loss(
        self, model: keras.Model, batch: Batch, index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        flows = model.levels((batch["lq"][:, 0], batch["lq"][:, 1]))
        loss, means = multiscale_epe(flows, batch["flow"], div_flow=DIV_FLOW)
        report = {f"epe/level{level}": mean / DIV_FLOW for level, mean in zip(range(6, 1, -1), means, strict=True)}
        return loss, report, state


class FlowTraining(Training):
    """One update per batch of pairs; the score is the end-point error on the clean frames of Sintel."""

    def updates(self) -> FlowUpdates:
        return FlowUpdates()

    def batches(self, shard: tuple[int, int], batch_size: int, first: int) -> tf.data.Dataset:
        """The batches of worker `shard` (index, count), from the global batch number `first` on."""
        return flow_dataset(
            self.inputs.pairs,
            self.inputs.size,
            batch_size=batch_size,
            seed=self.cfg.random_seed,
            affine=self.cfg.flow.affine,
            colors=self.cfg.flow.colors,
            shard=shard,
            start_step=first,
            num_threads=self.cfg.data.num_threads,
        )

    def scores(self, model: keras.Model) -> dict[str, float]:
        """{'epe': mean end-point error in pixels}."""
        estimate = tf.function(lambda first, second: in_pixels(model, (first, second)), autograph=False)
        errors = []
        for pair in self.inputs.eval_pairs:
            first, second = (
                to_rgb(read_image(path))[np.newaxis] / np.float32(255) for path in (pair.first, pair.second)
            )
            errors.append(np.mean(end_point_error(estimate(first, second), read_flow(pair.flow)[np.newaxis])))
        return {"epe": float(np.mean(errors))}

    def picture(self, model: keras.Model, batch: Batch) -> np.ndarray:
        """The first sample's frames, its flow in colors and the true one, to one scale."""
        frames, truth = batch["lq"][:1], batch["flow"][0].numpy()
        flow = ops.convert_to_numpy(in_pixels(model, (frames[:, 0], frames[:, 1])))[0]
        longest = float(np.linalg.norm(truth, axis=-1).max())
        colored = [flow_to_color(field, longest) for field in (flow, truth)]
        return np.concatenate([strip(*frames[0]), *colored], axis=1)


def in_pixels(model: keras.Model, frames: tuple) -> tf.Tensor:
    """The flow between `frames`, in pixels, also of a network that warps in another unit than it was trained in."""
    return model(frames, training=False) * (getattr(model, "div_flow", DIV_FLOW) / DIV_FLOW)
