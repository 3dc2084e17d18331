"""How flow networks are trained: one update a batch, on the flows of all levels.

As "Deep Video Deblurring: The Devil is in the Details" (Gast and Roth, ICCV Workshops 2019) trained what it
prewarps with: on FlyingChairs, validated on the clean frames of Sintel.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from yacs.config import CfgNode

from ascendcv.dataloader.flow_data import common_size, flying_chairs, read_flow, sintel
from ascendcv.dataloader.flow_train import flow_dataset
from ascendcv.dataloader.image import read_image, to_rgb
from ascendcv.losses.multiscale_epe import end_point_error, multiscale_epe
from ascendcv.utils.flow_color import flow_to_color

# The unit of the loss: what a network's levels are of a pixel, whatever the unit that it warps in.
DIV_FLOW = 0.05


class FlowUpdates:
    """One update on a batch {'lq': [B, 2, h, w, 3], 'flow': [B, h, w, 2]}; see `ascendcv.runner.trainer.Updates`.

    The loss is a sum over pixels and samples. Reported are the mean end-point errors of levels 6 to 2 in pixels.
    """

    count = 1
    reduction = "sum"

    def start(self, model: keras.Model, batch: dict[str, tf.Tensor]) -> tuple[()]:
        return ()

    def loss(
        self, model: keras.Model, batch: dict[str, tf.Tensor], index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        flows = model.levels((batch["lq"][:, 0], batch["lq"][:, 1]))
        loss, means = multiscale_epe(flows, batch["flow"], div_flow=DIV_FLOW)
        report = {f"epe/level{level}": mean / DIV_FLOW for level, mean in zip(range(6, 1, -1), means, strict=True)}
        return loss, report, state


def make_updates(cfg: CfgNode) -> FlowUpdates:
    """The updates; no key changes them."""
    return FlowUpdates()


def check(cfg: CfgNode) -> None:
    """Raises `InputError` for sets that cannot be read."""
    common_size(_pairs(cfg))
    if cfg.solver.validation_interval or cfg.solver.validation_epochs:
        sintel(cfg.flow.eval_dir)


def training_batches(cfg: CfgNode, shard: tuple[int, int], batch_size: int, first: int) -> tf.data.Dataset:
    """The batches of worker `shard` (index, count), from the global batch number `first` on."""
    pairs = _pairs(cfg)
    return flow_dataset(
        pairs,
        common_size(pairs[:1]),
        batch_size=batch_size,
        seed=cfg.random_seed,
        affine=cfg.flow.affine,
        colors=cfg.flow.colors,
        shard=shard,
        start_step=first,
        num_threads=cfg.data.num_threads,
    )


def steps_per_epoch(cfg: CfgNode, batch_size: int) -> int:
    """Batches in one pass over the training pairs."""
    return max(len(_pairs(cfg)) // batch_size, 1)


def scores(cfg: CfgNode, model: keras.Model) -> dict[str, float]:
    """{'epe': mean end-point error in pixels} on the clean frames of Sintel."""
    estimate = tf.function(lambda first, second: in_pixels(model, (first, second)))
    errors = []
    for pair in sintel(cfg.flow.eval_dir):
        first, second = (
            to_rgb(read_image(path))[np.newaxis] / np.float32(255) for path in (pair.first, pair.second)
        )
        errors.append(np.mean(end_point_error(estimate(first, second), read_flow(pair.flow)[np.newaxis])))
    return {"epe": float(np.mean(errors))}


def in_pixels(model: keras.Model, frames: tuple) -> tf.Tensor:
    """The flow between `frames`, in pixels, also of a network that warps in another unit than it was trained in."""
    return model(frames, training=False) * (getattr(model, "div_flow", DIV_FLOW) / DIV_FLOW)


def picture(model: keras.Model, batch: dict[str, tf.Tensor]) -> np.ndarray:
    """[H, 4*W, 3] uint8: the first sample's frames, its flow in colours and the true one, to one scale."""
    frames, truth = batch["lq"][:1], batch["flow"][0].numpy()
    flow = ops.convert_to_numpy(in_pixels(model, (frames[:, 0], frames[:, 1])))[0]
    longest = float(np.linalg.norm(truth, axis=-1).max())
    pair = np.rint(frames[0].numpy().clip(0.0, 1.0) * 255.0).astype(np.uint8)
    return np.concatenate([*pair, flow_to_color(flow, longest), flow_to_color(truth, longest)], axis=1)


def _pairs(cfg: CfgNode) -> list:
    return flying_chairs(cfg.flow.train_dir, cfg.flow.train_split)
