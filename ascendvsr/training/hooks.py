"""What happens beside the training of a configured run."""

import functools
from pathlib import Path

import keras
import numpy as np

from ascendcv.runner.hooks.averages import Averages
from ascendcv.runner.hooks.csv_file import CsvFile
from ascendcv.runner.hooks.epochs import Epochs
from ascendcv.runner.hooks.hook import Hook, InEpochs
from ascendcv.runner.hooks.log_line import LogLine
from ascendcv.runner.hooks.mlflow import MLflow
from ascendcv.runner.hooks.nonfinite import NonFiniteWatch
from ascendcv.runner.hooks.notify import Notify
from ascendcv.runner.hooks.offsets import OffsetMagnitude
from ascendcv.runner.hooks.plots import Plots
from ascendcv.runner.hooks.samples import Samples
from ascendcv.runner.hooks.saver import CheckpointSaver
from ascendcv.runner.hooks.sources import Sources
from ascendcv.runner.hooks.tensorboard import TensorBoard
from ascendcv.runner.hooks.trackio import Trackio
from ascendcv.runner.hooks.validation import Validation as ValidationHook
from ascendcv.runner.hooks.wandb import WandB
from ascendcv.runner.updates import Batch
from ascendvsr.evaluation.scoring import evaluate_model
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.models.training import Training
from ascendvsr.training.offsets import offset_magnitudes
from ascendvsr.training.plan import Plan, Validation
from ascendvsr.weights.mapping import save_weights


_TRACKERS = {"wandb": WandB, "mlflow": MLflow, "trackio": Trackio}


def make_hooks(plan: Plan, training: Training) -> list[Hook]:
    """The hooks of a run, in their order: all of them on the chief, on other workers what may end training."""
    solver, output_dir = plan.cfg.solver, Path(plan.cfg.output_dir)
    watch = NonFiniteWatch(solver.max_nonfinite_steps)
    if not plan.is_chief:
        return [watch]
    log = output_dir / "log"
    epochs = Epochs(log, save_mat=solver.save_mat)
    hooks = [
        watch,
        Averages(solver.print_interval, plan.batch_size),
        LogLine(),
        OffsetMagnitude(10 * solver.print_interval, offset_magnitudes),
        Samples(
            solver.sample_interval,
            output_dir / "sample",
            functools.partial(_pictures, training),
            keep=solver.sample_keep,
            clear_interval=solver.sample_clear_interval,
        ),
        ValidationHook(
            InEpochs(solver.validation_epochs) or solver.validation_interval,
            functools.partial(_scores, plan.validation, training),
        ),
        CsvFile(log / "log.csv"),
        TensorBoard(log / "tensorboard"),
        epochs,
        CheckpointSaver(
            plan.store,
            InEpochs(solver.checkpoint_epochs) or solver.checkpoint_interval,
            save_weights,
            best_by=solver.best_key,
            settings=plan.noted,
        ),
        Plots(log / "log.csv", output_dir / "plots"),
    ]
    # Before the checkpoint, which keeps the id of the run at the service.
    place = next(at for at, hook in enumerate(hooks) if isinstance(hook, CheckpointSaver))
    names = (solver.tracker_project, output_dir.name)
    hooks[place:place] = [_TRACKERS[tracker](*names, plan.noted) for tracker in solver.trackers]
    if solver.notify_command:
        hooks.append(Notify(solver.notify_command, epochs))
    if solver.save_sources:
        hooks.append(Sources(output_dir / "config", ("ascendcv", "ascendvsr")))
    return hooks


def _pictures(training: Training, model: keras.Model, batch: Batch) -> dict[str, np.ndarray]:
    """'sample' and whatever else the network shows."""
    return {"sample": training.picture(model, batch)} | training.more_pictures(model, batch)


def _scores(validation: Validation | None, training: Training, model: keras.Model) -> dict[str, float]:
    """The network's own scores, or what the protocol measures on the evaluation set."""
    if validation is None:
        return training.scores(model)
    found = evaluate_model(
        KerasRunner(model),
        validation.clips,
        validation.protocol,
        baseline=False,
        sigma=validation.sigma,
        settings=validation.settings,
    )
    means = found["mean_of_videos" if validation.protocol.mean_of_videos else "total"]
    return {name: value for name, value in means.items() if name not in ("frames", "ms_per_frame")}
