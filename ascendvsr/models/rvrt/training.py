"""How RVRT is trained: one update a batch of clips, on all of their frames.

SpyNet begins with weights that are trained already. For the first iterations it stays as it is, then it learns at a
quarter of the rate.

Source: KAIR `ModelVRT` and its options `rvrt/*.json`.
"""

import logging
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from yacs.config import CfgNode

from ascendcv.losses.charbonnier import charbonnier
from ascendcv.runner.checkpoint import CheckpointStore
from ascendcv.utils.errors import InputError
from ascendvsr.models.edvr.training import psnr
from ascendvsr.models.rvrt.start import start_near_identity, why_no_identity
from ascendvsr.weights.mapping import load_state_dict
from ascendvsr.weights.reader import load_checkpoint

logger = logging.getLogger(__name__)

TARGET = "all"


class RVRTUpdates:
    """One update on a batch {'lq': [B,T,h,w,3], 'gt': [B,T,H,W,3]}; see `ascendcv.runner.trainer.Updates`.

    Where clips have noise of their own, 'sigma': [B] is its deviation / 255, which a denoising network gets as the
    fourth channel. Reported is 'psnr' (dB, of the crops, mean over frames and batch).

    Args:
        in_steps: in a graph, make functions that are called for clip after clip (see `RVRT.in_steps`) instead of a
            copy of the network for each; XLA would compile them anew for every batch.
    """

    count = 1
    reduction = "mean"

    def __init__(self, in_steps: bool = True):
        self.in_steps = in_steps

    def start(self, model: keras.Model, batch: dict[str, tf.Tensor]) -> tuple[()]:
        return ()

    def loss(
        self, model: keras.Model, batch: dict[str, tf.Tensor], index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        restore = model.in_steps(_as_function) if self.in_steps and tf.inside_function() else model
        restored = ops.cast(restore(network_input(model, batch)), "float32")
        frames = [ops.reshape(clip, (-1, *clip.shape[2:])) for clip in (restored, batch["gt"])]
        return charbonnier(restored, batch["gt"], eps=1e-9), {"psnr": ops.mean(psnr(*frames))}, state


def _as_function(function: Callable) -> Callable:
    """A graph of its own, which the optimiser of graphs leaves alone: to copy it into each call takes minutes."""
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def network_input(model: keras.Model, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    """[B,T,h,w,3], or 4 channels where the network wants a map of the noise."""
    clip = batch["lq"]
    if model.in_channels == 3:
        return clip
    sigma = ops.reshape(ops.cast(batch["sigma"], clip.dtype), (-1, 1, 1, 1, 1))
    return ops.concatenate([clip, ops.zeros_like(clip[..., :1]) + sigma], axis=-1)


def make_updates(cfg: CfgNode) -> RVRTUpdates:
    """The updates of any configuration."""
    return RVRTUpdates(in_steps=not cfg.solver.xla)


def freeze(cfg: CfgNode) -> list[dict]:
    """SpyNet learns from iteration `rvrt.fix_iter` on, at `rvrt.fix_lr_mul` times the rate."""
    return [{"pattern": r"^spynet\.", "lr_mult": cfg.rvrt.fix_lr_mul, "freeze_until": cfg.rvrt.fix_iter}]


def check(cfg: CfgNode) -> None:
    """Raises `InputError` for data without what the task needs, and where SpyNet would stay untrained.

    Its weights come from `rvrt.spynet_checkpoint`, or with all others from `init_from` or a run that is continued.
    """
    if cfg.rvrt.nonblind_denoising and not cfg.data.sigma:
        raise InputError(
            "data.sigma is [], and rvrt.nonblind_denoising trains on noise of a known deviation: say "
            "data.sigma '[0, 50]'"
        )
    problem = why_no_identity(cfg.model.scale, cfg.rvrt.embed_dims, cfg.rvrt.inputconv_groups)
    if cfg.rvrt.identity_start and problem:
        raise InputError(f"rvrt.identity_start: {problem}")
    if cfg.data.sigma and not cfg.rvrt.nonblind_denoising:
        raise InputError(
            f"data.sigma is {list(cfg.data.sigma)}, and the network is not told of noise: say "
            "rvrt.nonblind_denoising True or data.sigma '[]'"
        )
    if CheckpointStore(cfg.output_dir, cfg.model.name).steps():
        return
    if cfg.rvrt.spynet_checkpoint:
        _spynet_weights(cfg.rvrt.spynet_checkpoint)
    elif cfg.rvrt.fix_iter > 0 and not cfg.init_from:
        raise InputError(
            f"SpyNet keeps its weights until step {cfg.rvrt.fix_iter}, and it has none: name a file of them in "
            "rvrt.spynet_checkpoint (spynet_sintel_final), or say rvrt.fix_iter 0 to train it from the beginning"
        )


def initialise(cfg: CfgNode, model: keras.Model) -> None:
    """Loads `rvrt.spynet_checkpoint`; where all else begins at random, `rvrt.identity_start` changes that."""
    if cfg.rvrt.identity_start and not cfg.init_from:
        start_near_identity(model)
    path = cfg.rvrt.spynet_checkpoint
    if path:
        load_state_dict(model.spynet, _spynet_weights(path), source=path)
        logger.info("SpyNet from %s", path)


def _spynet_weights(path: str) -> dict[str, np.ndarray]:
    """SpyNet's weights under its own names, from a file of SpyNet alone or of a whole RVRT."""
    weights = load_checkpoint(path)
    inside = {name.removeprefix("spynet."): array for name, array in weights.items() if name.startswith("spynet.")}
    weights = inside or weights
    if "basic_module.0.basic_module.0.weight" not in weights:
        raise InputError(
            f"rvrt.spynet_checkpoint {path} holds no SpyNet: it should be the weights of SpyNet or of an RVRT"
        )
    return weights


def picture(model: keras.Model, batch: dict[str, tf.Tensor]) -> np.ndarray:
    """[H,3*W,3] uint8: the first clip's first frame (its pixels enlarged), as restored, and its ground truth."""
    first = {name: tensor[:1] for name, tensor in batch.items()}
    restored = ops.convert_to_numpy(model(network_input(model, first), training=False))[0, 0]
    frame = batch["lq"][0, 0].numpy()
    frame = frame.repeat(model.scale, axis=0).repeat(model.scale, axis=1)
    strip = np.concatenate([frame, restored.astype(np.float32), batch["gt"][0, 0].numpy()], axis=1)
    return np.rint(strip.clip(0.0, 1.0) * 255.0).astype(np.uint8)
