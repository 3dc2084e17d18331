"""From a configuration to a trainer with its hooks. Imports TensorFlow: inputs are checked before."""

import contextlib
import functools
import importlib
import logging
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import keras
import tensorflow as tf
from yacs.config import CfgNode

from ascendcv.runner.device import make_strategy
from ascendcv.runner.hooks.averages import Averages
from ascendcv.runner.hooks.csv_file import CsvFile
from ascendcv.runner.hooks.hook import Hook
from ascendcv.runner.hooks.log_line import LogLine
from ascendcv.runner.hooks.nonfinite import NonFiniteWatch
from ascendcv.runner.hooks.offsets import OffsetMagnitude
from ascendcv.runner.hooks.plots import Plots
from ascendcv.runner.hooks.samples import Samples
from ascendcv.runner.hooks.saver import CheckpointSaver
from ascendcv.runner.hooks.tensorboard import TensorBoard
from ascendcv.runner.hooks.validation import Validation
from ascendcv.runner.optimizers import make_optimizer
from ascendcv.runner.precision import LossScale, make_loss_scale
from ascendcv.runner.schedules import make_schedule, total_steps
from ascendcv.runner.state import restore_state
from ascendcv.runner.trainer import Trainer
from ascendcv.utils.errors import InputError
from ascendvsr.evaluate import evaluate_model
from ascendvsr.models.builder import build_model
from ascendvsr.restore import restore_settings
from ascendvsr.training.data import training_batches
from ascendvsr.training.groups import make_groups
from ascendvsr.training.offsets import offset_magnitudes
from ascendvsr.training.run import FAMILIES, Inputs, train_only
from ascendvsr.weights.mapping import load_state_dict, load_weights, save_weights
from ascendvsr.weights.names import named_variables

logger = logging.getLogger(__name__)


def make_trainer(cfg: CfgNode, inputs: Inputs, chief: bool) -> Trainer:
    """The trainer of a configuration, in the state from which it goes on."""
    # The strategy comes first: one of several workers must be made before TensorFlow does anything else.
    strategy = make_strategy(cfg.device, cfg.device_ids, cfg.rank_size, inputs.cluster, cfg.num_threads)

    keras.utils.set_random_seed(cfg.random_seed)
    family = importlib.import_module(FAMILIES[cfg.model.name])
    loss_scale = make_loss_scale(cfg.solver.loss_scale)
    with strategy.scope(), _precision(cfg, loss_scale):
        model = build_model(cfg)
        ema_model = build_model(cfg) if cfg.solver.ema_decay else None
        learning = [entry for entry in named_variables(model) if entry.variable.trainable]
        groups = make_groups([entry.name for entry in learning], cfg.solver.param_groups, train_only(cfg))
        variables = [entry.variable.value for entry in learning]
        optimizer = make_optimizer(cfg.solver.optimizer, variables, groups.lr_factors)
    batch_size = cfg.data.train_batch_size * strategy.num_replicas_in_sync
    trainer = Trainer(
        model,
        family.make_updates(cfg),
        optimizer,
        make_schedule(cfg.solver.lr_schedule),
        total_steps(cfg.solver.lr_schedule),
        functools.partial(training_batches, cfg, inputs.clips, (inputs.worker, inputs.workers), batch_size),
        strategy=strategy,
        active=groups.active,
        ema_model=ema_model,
        ema_decay=cfg.solver.ema_decay,
        clip_norm=cfg.solver.grad_clip_norm,
        loss_scale=loss_scale,
        xla=cfg.solver.xla,
    )
    trainer.hooks = _hooks(cfg, inputs, family, batch_size, chief)
    newest = inputs.store.newest()
    if newest:
        restore_state(trainer, newest, load_weights)
        logger.info("Going on from %s", newest)
    else:
        _initialise(cfg, inputs, model, ema_model)
    logger.info(
        "Training %s with %d weights on %d x %s: %d samples a step, steps %d to %d",
        cfg.model.name,
        model.count_params(),
        strategy.num_replicas_in_sync,
        _device_kind(),
        batch_size,
        trainer.step,
        trainer.total_steps,
    )
    return trainer


@contextlib.contextmanager
def _precision(cfg: CfgNode, loss_scale: LossScale) -> Iterator[None]:
    """Inside the block, layers are made for `solver.mix_precision`: float32 weights, narrower computation."""
    if not cfg.solver.mix_precision:
        yield
        return
    dtype = cfg.solver.mix_precision_dtype
    if _device_kind() == "CPU":
        speed = {"bfloat16": "about twice as fast as", "float16": "about six times slower than"}
        logger.warning("Training in %s: on CPUs it is %s float32", dtype, speed[dtype])
    if dtype == "float16" and loss_scale.value == 1.0:
        logger.warning("Training in float16 without solver.loss_scale: small gradients vanish; d is dynamic")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _initialise(cfg: CfgNode, inputs: Inputs, model: keras.Model, ema_model: keras.Model | None) -> None:
    """Loads what fits of `init_from` and says what did not; the moving average begins with the weights."""
    if inputs.initial_weights is not None:
        report = load_state_dict(model, inputs.initial_weights, strict=False, source=cfg.init_from)
        if not report.loaded:
            raise InputError(f"nothing in init_from {cfg.init_from} fits {cfg.model.name}: {report}")
        logger.info("Weights from %s: %s", cfg.init_from, report)
    if ema_model is not None:
        for average, variable in zip(ema_model.variables, model.variables, strict=True):
            average.assign(variable)


def _hooks(cfg: CfgNode, inputs: Inputs, family: ModuleType, batch_size: int, chief: bool) -> list[Hook]:
    """What happens beside training: all of it on the chief, on other workers what may end training."""
    solver, output_dir = cfg.solver, Path(cfg.output_dir)
    watch = NonFiniteWatch(solver.max_nonfinite_steps)
    if not chief:
        return [watch]
    log_csv = output_dir / "log" / "log.csv"
    return [
        watch,
        Averages(solver.print_interval, batch_size),
        LogLine(),
        OffsetMagnitude(10 * solver.print_interval, offset_magnitudes),
        Samples(solver.sample_interval, output_dir / "sample", family.picture),
        Validation(solver.validation_interval, functools.partial(_scores, cfg, inputs)),
        CsvFile(log_csv),
        TensorBoard(output_dir / "log" / "tensorboard"),
        CheckpointSaver(inputs.store, solver.checkpoint_interval, save_weights),
        Plots(log_csv, output_dir / "plots"),
    ]


def _scores(cfg: CfgNode, inputs: Inputs, model: keras.Model) -> dict[str, float]:
    """PSNR and SSIM (RGB, mean over all frames) on the evaluation set, by the configuration's protocol."""
    total = evaluate_model(
        model,
        inputs.eval_clips,
        crop_border=cfg.eval.crop_border,
        rounding=cfg.eval.rounding,
        measures=("psnr", "ssim"),
        baseline=False,
        **restore_settings(cfg),
    )["total"]
    return {name: total[name] for name in ("psnr", "ssim")}


def _device_kind() -> str:
    kinds = {device.device_type for device in tf.config.get_visible_devices()} - {"CPU"}
    return kinds.pop() if kinds else "CPU"
