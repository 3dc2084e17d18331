"""What happens beside the training of a configured run."""

import functools
import itertools
from pathlib import Path
from typing import cast

import keras
import numpy as np

from ascendcv.dataloader.image import read_image
from ascendcv.dataloader.pixels import to_unit_rgb
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
from ascendvsr.evaluation.evaluate import image_sink, set_name
from ascendvsr.evaluation.scoring import NOISE_SEED, evaluate_model
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.models.training import Training, enlarged, strip
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.sigma import sigma_of, with_noise
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
    shown = InEpochs(solver.validation_sample_epochs) or solver.validation_sample_interval
    hooks = [
        watch,
        Averages(solver.print_interval, plan.batch_size),
        LogLine(),
        OffsetMagnitude(10 * solver.print_interval, offset_magnitudes),
        Samples(
            InEpochs(solver.sample_epochs) or solver.sample_interval,
            output_dir / "sample",
            functools.partial(_pictures, training),
            keep=solver.sample_keep,
            clear_interval=solver.sample_clear_interval,
        ),
        Samples(
            shown if plan.validation else 0,
            output_dir / "sample",
            functools.partial(_validation_pictures, plan.validation),
            keep=solver.sample_keep,
        ),
        ValidationHook(
            InEpochs(solver.validation_epochs) or solver.validation_interval,
            functools.partial(_scores, plan, training),
        ),
        CsvFile(log / "log.csv"),
        TensorBoard(log / "tensorboard", solver.print_interval),
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


def _validation_pictures(validation: Validation | None, model: keras.Model, batch: Batch) -> dict[str, np.ndarray]:
    """The middle frame of each of the first clips that measure: the input, the restored frame, the ground truth."""
    runner = KerasRunner(model)
    pictures: dict[str, np.ndarray] = {}
    if validation is None:
        return pictures
    for clip in validation.clips[:_CLIPS_SHOWN]:
        middle = len(clip.lq) // 2
        around = range(max(middle - _AROUND, 0), min(middle + _AROUND + 1, len(clip.lq)))
        frames = [to_unit_rgb(read_image(clip.lq[index])) for index in around]
        level = sigma_of(validation.sigma, clip.name)
        if level is not None and clip.lq == clip.gt:
            frames = list(with_noise(frames, level, NOISE_SEED))
        restored = restored_frames(runner, frames, validation.settings, sigma=level)
        output = next(itertools.islice(restored, middle - around[0], None))
        truth = to_unit_rgb(read_image(cast(Path, clip.gt[middle])))[: output.shape[0], : output.shape[1]]
        shown = enlarged(frames[middle - around[0]], runner.scale)[: output.shape[0]]
        pictures[f"validation-{clip.name.replace('/', '-')}"] = strip(shown, output, truth)
    return pictures


_CLIPS_SHOWN = 4
_AROUND = 4  # frames on each side that a network sees


def _scores(plan: Plan, training: Training, model: keras.Model, step: int) -> dict[str, float]:
    """The network's own scores, or what the protocol measures on the evaluation set.

    With `eval.save_images` the restored frames are written where `eval` writes those of the step's checkpoint.
    """
    validation, cfg = plan.validation, plan.cfg
    if validation is None:
        return training.scores(model) or {}
    folder = Path(cfg.output_dir, "result", f"{plan.card.name}-{step}", set_name(cfg))
    found = evaluate_model(
        KerasRunner(model),
        validation.clips,
        validation.protocol,
        baseline=False,
        sigma=validation.sigma,
        settings=validation.settings,
        sink=functools.partial(image_sink, cfg, folder) if cfg.eval.save_images else None,
    )
    means = found["mean_of_videos" if validation.protocol.mean_of_videos else "total"]
    return {name: value for name, value in means.items() if name not in ("frames", "ms_per_frame")}
