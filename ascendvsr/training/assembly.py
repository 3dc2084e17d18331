"""From a configuration to a trainer with its hooks. Imports TensorFlow: inputs are checked before."""

import functools
import logging
from collections.abc import Callable, Iterable
from types import ModuleType

import keras
import tensorflow as tf
from yacs.config import CfgNode

from ascendcv.layers.precision import computing_in
from ascendcv.runner.device import make_strategy
from ascendcv.runner.optimizers import make_optimizer
from ascendcv.runner.precision import LossScale, make_loss_scale
from ascendcv.runner.schedules import make_momentum_schedule, make_schedule, total_steps
from ascendcv.runner.state import restore_state
from ascendcv.runner.trainer import Batch, Trainer
from ascendcv.utils.errors import InputError
from ascendvsr.models.builder import build_model
from ascendvsr.training import data
from ascendvsr.training.groups import make_groups
from ascendvsr.training.hooks import make_hooks
from ascendvsr.training.resume import resume_warnings
from ascendvsr.training.run import Inputs, train_only
from ascendvsr.weights.mapping import load_state_dict, load_weights
from ascendvsr.weights.names import named_variables

logger = logging.getLogger(__name__)


def make_trainer(cfg: CfgNode, inputs: Inputs, family: ModuleType, chief: bool) -> Trainer:
    """The trainer of a configuration with its hooks, in the state from which it goes on.

    `family`: see `training.run`.
    """
    trainer = build_trainer(cfg, inputs, family)
    batch_size = cfg.data.train_batch_size * trainer.strategy.num_replicas_in_sync
    trainer.hooks = make_hooks(cfg, inputs, family, batch_size, trainer.steps_per_epoch, chief)
    newest = inputs.store.newest()
    if newest:
        restore_state(trainer, newest, load_weights)
        logger.info("Going on from %s", newest)
        for warning in resume_warnings(cfg, inputs.store):
            logger.warning(warning)
    else:
        initialise(cfg, inputs, family, trainer)
    logger.info(
        "Training %s with %d weights on %d x %s: %d samples a step, steps %d to %d, %d an epoch",
        cfg.model.name,
        trainer.model.count_params(),
        trainer.strategy.num_replicas_in_sync,
        _device_kind(),
        batch_size,
        trainer.step,
        trainer.total_steps,
        trainer.steps_per_epoch,
    )
    return trainer


def build_trainer(cfg: CfgNode, inputs: Inputs, family: ModuleType) -> Trainer:
    """The trainer of a configuration without hooks, its network as it comes."""
    # The strategy comes first: one of several workers must be made before TensorFlow does anything else.
    strategy = make_strategy(cfg.device, cfg.device_ids, cfg.rank_size, inputs.cluster, cfg.num_threads)

    keras.utils.set_random_seed(cfg.random_seed)
    loss_scale = make_loss_scale(cfg.solver.loss_scale)
    with strategy.scope(), computing_in(_precision(cfg, loss_scale)):
        model = build_model(cfg)
        ema_model = build_model(cfg) if cfg.solver.ema_decay else None
        learning = [entry for entry in named_variables(model) if entry.variable.trainable]
        param_groups = [*cfg.solver.param_groups, *(family.freeze(cfg) if hasattr(family, "freeze") else [])]
        groups = make_groups([entry.name for entry in learning], param_groups, train_only(cfg))
        variables = [entry.variable.value for entry in learning]
        optimizer = make_optimizer(cfg.solver.optimizer, variables, groups.lr_factors)
    batch_size = cfg.data.train_batch_size * strategy.num_replicas_in_sync
    batches, batches_per_epoch = _data(cfg, inputs, family, batch_size)
    updates = family.make_updates(cfg)
    steps_per_epoch = batches_per_epoch * updates.count
    return Trainer(
        model,
        updates,
        optimizer,
        make_schedule(cfg.solver.lr_schedule, steps_per_epoch),
        total_steps(cfg.solver.lr_schedule, steps_per_epoch),
        batches,
        strategy=strategy,
        other_rates=_other_rates(cfg, steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        active=groups.active,
        ema_model=ema_model,
        ema_decay=cfg.solver.ema_decay,
        clip_norm=cfg.solver.grad_clip_norm,
        loss_scale=loss_scale,
        xla=cfg.solver.xla,
    )


def _data(
    cfg: CfgNode, inputs: Inputs, family: ModuleType, batch_size: int
) -> tuple[Callable[[int], Iterable[Batch]], int]:
    """The batches of this worker from a number on, and how many the whole of the data gives."""
    shard = (inputs.worker, inputs.workers)
    if hasattr(family, "training_batches"):
        batches = functools.partial(family.training_batches, cfg, shard, batch_size)
        return batches, family.steps_per_epoch(cfg, batch_size)
    target = getattr(family, "TARGET", "centre")
    batches = functools.partial(data.training_batches, cfg, inputs.clips, shard, batch_size, target=target)
    return batches, data.steps_per_epoch(cfg, inputs.clips, batch_size)


def _other_rates(cfg: CfgNode, steps_per_epoch: int) -> Callable[[int], dict[str, float]] | None:
    """The optimizer's momentum, where the schedule moves it."""
    momentum = make_momentum_schedule(cfg.solver.lr_schedule, steps_per_epoch)
    if momentum is None:
        return None
    name = "momentum" if cfg.solver.optimizer.type == "momentum" else "beta_1"
    return lambda step: {name: momentum(step)}


def _precision(cfg: CfgNode, loss_scale: LossScale) -> str:
    """What layers compute in by `solver.mix_precision`; what is to be known of that is logged."""
    if not cfg.solver.mix_precision:
        return "float32"
    dtype = cfg.solver.mix_precision_dtype
    if _device_kind() == "CPU":
        speed = {"bfloat16": "about twice as fast as", "float16": "about six times slower than"}
        logger.warning("Training in %s: on CPUs it is %s float32", dtype, speed[dtype])
    if dtype == "float16" and loss_scale.value == 1.0:
        logger.warning("Training in float16 without solver.loss_scale: small gradients vanish; d is dynamic")
    return dtype


def initialise(cfg: CfgNode, inputs: Inputs, family: ModuleType, trainer: Trainer) -> None:
    """The state in which a run begins.

    The family's own beginning; then what fits of `init_from`, and what did not is said. The moving average begins
    with the weights.
    """
    model = trainer.model
    if hasattr(family, "initialise"):
        family.initialise(cfg, model)
    if inputs.initial_weights is not None:
        report = load_state_dict(model, inputs.initial_weights, strict=False, source=cfg.init_from)
        if not report.loaded:
            raise InputError(f"nothing in init_from {cfg.init_from} fits {cfg.model.name}: {report}")
        logger.info("Weights from %s: %s", cfg.init_from, report)
    if trainer.ema_model is not None:
        for average, variable in zip(trainer.ema_model.variables, model.variables, strict=True):
            average.assign(variable)


def _device_kind() -> str:
    kinds = {device.device_type for device in tf.config.get_visible_devices()} - {"CPU"}
    return kinds.pop() if kinds else "CPU"
