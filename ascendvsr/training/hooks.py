"""What happens beside the training of a configured run."""

import functools
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf
from yacs.config import CfgNode

from ascendcv.runner.hooks.averages import Averages
from ascendcv.runner.hooks.csv_file import CsvFile
from ascendcv.runner.hooks.epochs import Epochs
from ascendcv.runner.hooks.hook import Hook
from ascendcv.runner.hooks.log_line import LogLine
from ascendcv.runner.hooks.nonfinite import NonFiniteWatch
from ascendcv.runner.hooks.notify import Notify
from ascendcv.runner.hooks.offsets import OffsetMagnitude
from ascendcv.runner.hooks.plots import Plots
from ascendcv.runner.hooks.samples import Samples
from ascendcv.runner.hooks.saver import CheckpointSaver
from ascendcv.runner.hooks.sources import Sources
from ascendcv.runner.hooks.tensorboard import TensorBoard
from ascendcv.runner.hooks.validation import Validation
from ascendvsr.evaluation.protocols import by_keys, protocol_of
from ascendvsr.evaluation.scoring import evaluate_model
from ascendvsr.restoration.restore import restore_settings, validation_noise_level
from ascendvsr.training.offsets import offset_magnitudes
from ascendvsr.training.resume import noted_settings
from ascendvsr.training.run import Inputs
from ascendvsr.weights.mapping import save_weights


def make_hooks(
    cfg: CfgNode, inputs: Inputs, family: ModuleType, batch_size: int, steps_per_epoch: int, chief: bool
) -> list[Hook]:
    """The hooks of a run, in their order: all of them on the chief, on other workers what may end training.

    `batch_size` is that of all devices together; `steps_per_epoch` counts updates.
    """
    solver, output_dir = cfg.solver, Path(cfg.output_dir)
    watch = NonFiniteWatch(solver.max_nonfinite_steps)
    if not chief:
        return [watch]
    log = output_dir / "log"
    every = functools.partial(_steps, steps_per_epoch)
    epochs = Epochs(log, save_mat=solver.save_mat)
    hooks = [
        watch,
        Averages(solver.print_interval, batch_size),
        LogLine(),
        OffsetMagnitude(10 * solver.print_interval, offset_magnitudes),
        Samples(
            solver.sample_interval,
            output_dir / "sample",
            functools.partial(_pictures, family),
            keep=solver.sample_keep,
            clear_interval=solver.sample_clear_interval,
        ),
        Validation(
            every(solver.validation_interval, solver.validation_epochs),
            functools.partial(_scores, cfg, inputs, family),
        ),
        CsvFile(log / "log.csv"),
        TensorBoard(log / "tensorboard"),
        epochs,
        CheckpointSaver(
            inputs.store,
            every(solver.checkpoint_interval, solver.checkpoint_epochs),
            save_weights,
            best_by=solver.best_key,
            settings=noted_settings(cfg),
        ),
        Plots(log / "log.csv", output_dir / "plots"),
    ]
    if solver.notify_command:
        hooks.append(Notify(solver.notify_command, epochs))
    if solver.save_sources:
        hooks.append(Sources(output_dir / "config", ("ascendcv", "ascendvsr")))
    return hooks


def _steps(steps_per_epoch: int, interval: int, epochs: int) -> int:
    """An interval in updates, of the two that a configuration may give."""
    return epochs * steps_per_epoch or interval


def _pictures(family: ModuleType, model: keras.Model, batch: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """'sample' and whatever else the family shows."""
    others = family.pictures(model, batch) if hasattr(family, "pictures") else {}
    return {"sample": family.picture(model, batch)} | others


def _scores(cfg: CfgNode, inputs: Inputs, family: ModuleType, model: keras.Model) -> dict[str, float]:
    """The family's own scores, or what `eval.protocol` measures on the evaluation set.

    Without a protocol's name: PSNR and SSIM of RGB, the mean over all frames.
    """
    if hasattr(family, "scores"):
        return family.scores(cfg, model)
    plain = by_keys(cfg.eval.crop_border, cfg.eval.rounding, ("psnr", "ssim"))
    protocol = protocol_of(cfg) if cfg.eval.protocol else plain
    found = evaluate_model(
        model,
        inputs.eval_clips,
        protocol,
        baseline=False,
        sigma=validation_noise_level(cfg),
        **restore_settings(cfg),
    )
    means = found["mean_of_videos" if protocol.mean_of_videos else "total"]
    return {name: value for name, value in means.items() if name not in ("frames", "ms_per_frame")}
