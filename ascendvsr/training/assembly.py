"""From the plan of a run to a trainer with its hooks. Imports TensorFlow: the plan was checked before."""

import functools
import logging
from collections.abc import Callable, Iterable

import keras
import tensorflow as tf
from yacs.config import CfgNode

from ascendcv.layers.precision import computing_in
from ascendcv.runner.device import make_strategy
from ascendcv.runner.optimizers import make_optimizer
from ascendcv.runner.precision import LossScale, make_loss_scale
from ascendcv.runner.state import restore_state
from ascendcv.runner.trainer import Trainer
from ascendcv.runner.updates import Batch
from ascendcv.utils.errors import InputError
from ascendvsr.models.builder import build_model
from ascendvsr.models.card import imported
from ascendvsr.models.training import Training
from ascendvsr.training.data import batches_for_trainer
from ascendvsr.training.groups import make_groups
from ascendvsr.training.hooks import make_hooks
from ascendvsr.training.plan import Plan
from ascendvsr.training.resume import resume_warnings
from ascendvsr.weights.mapping import load_state_dict, load_weights
from ascendvsr.weights.names import named_variables

logger = logging.getLogger(__name__)


def make_trainer(plan: Plan) -> Trainer:
    """The trainer of a run with its hooks, in the state in which it begins or goes on."""
    training = imported(plan.card.training)(plan.cfg, plan.inputs)
    trainer = build_trainer(plan, training)
    trainer.hooks = make_hooks(plan, training)
    if plan.newest:
        restore_state(trainer, plan.newest, load_weights)
        logger.info("Going on from %s", plan.newest)
        for warning in resume_warnings(plan.noted, plan.newest):
            logger.warning(warning)
    else:
        begin(plan, training, trainer)
    for note in plan.notes if plan.is_chief else ():
        logger.warning(note)
    logger.info(
        "Training %s with %d weights on %d x %s: %d samples per step, steps %d to %d, %d per epoch",
        plan.card.name,
        trainer.model.count_params(),
        trainer.strategy.num_replicas_in_sync,
        _device_kind(),
        plan.batch_size,
        trainer.step,
        trainer.total_steps,
        trainer.steps_per_epoch,
    )
    return trainer


def build_trainer(plan: Plan, training: Training) -> Trainer:
    """The trainer of a run without hooks, its network as it comes."""
    cfg, solver = plan.cfg, plan.cfg.solver
    # The strategy comes first: one of several workers must be made before TensorFlow does anything else.
    strategy = make_strategy(cfg.device, cfg.device_ids, cfg.rank_size, plan.cluster, cfg.num_threads)

    keras.utils.set_random_seed(cfg.random_seed)
    loss_scale = make_loss_scale(solver.loss_scale)
    with strategy.scope(), computing_in(_precision(cfg, loss_scale)):
        model = build_model(cfg)
        ema_model = build_model(cfg) if solver.ema_decay else None
        learning = [entry for entry in named_variables(model) if entry.variable.trainable]
        groups = make_groups(
            [entry.name for entry in learning],
            [*solver.param_groups, *training.param_groups()],
            (solver.train_only.pattern, solver.train_only.until_step),
        )
        variables = [entry.variable.value for entry in learning]
        optimizer = make_optimizer(solver.optimizer, variables, groups.lr_factors)
    return Trainer(
        model,
        training.updates(),
        optimizer,
        plan.schedule,
        plan.total_steps,
        _batches(plan, training),
        strategy=strategy,
        other_rates=plan.other_rates,
        steps_per_epoch=plan.steps_per_epoch,
        epochs_ahead=plan.epochs_ahead,
        active=groups.active,
        ema_model=ema_model,
        ema_decay=solver.ema_decay,
        clip_norm=solver.grad_clip_norm,
        loss_scale=loss_scale,
        xla=solver.xla,
        accumulate=solver.accumulate,
    )


def _batches(plan: Plan, training: Training) -> Callable[[int], Iterable[Batch]]:
    """The batches of this worker, from a number on."""
    shard = (plan.worker, plan.workers)
    if not plan.card.reads_clips:
        return functools.partial(training.batches, shard, plan.batch_size)
    return functools.partial(
        batches_for_trainer, plan.cfg, plan.clips, shard, plan.batch_size, target=training.target
    )


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


def begin(plan: Plan, training: Training, trainer: Trainer) -> None:
    """The state in which a run begins.

    The network's own beginning; then what fits of `init_from`, and what did not is said. The moving average begins
    with the weights.
    """
    model, source = trainer.model, plan.cfg.init_from
    training.initialize(model)
    if plan.initial_weights is not None:
        report = load_state_dict(model, plan.initial_weights, strict=False, source=source)
        if not report.loaded:
            raise InputError(f"nothing in init_from {source} fits {plan.card.name}: {report}")
        logger.info("Weights from %s: %s", source, report)
    if trainer.ema_model is not None:
        for average, variable in zip(trainer.ema_model.variables, model.variables, strict=True):
            average.assign(variable)


def _device_kind() -> str:
    kinds = {device.device_type for device in tf.config.get_visible_devices()} - {"CPU"}
    return kinds.pop() if kinds else "CPU"
