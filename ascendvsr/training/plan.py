"""All that a training run is, read and checked once, before TensorFlow starts."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.clips import Clip
from ascendcv.runner.checkpoint import CheckpointStore, damage, find_checkpoint
from ascendcv.runner.cluster import Cluster, read_cluster
from ascendcv.runner.lr_finder import rising_rate
from ascendcv.runner.precision import make_loss_scale
from ascendcv.runner.schedules import Schedule, make_momentum_schedule, make_schedule, total_steps
from ascendcv.utils.errors import InputError
from ascendvsr.config.naming import naming_keys
from ascendvsr.datasets import check_batches, evaluation_clips, steps_per_epoch, training_clips, training_windows
from ascendvsr.evaluation.protocols import Protocol, validation_protocol
from ascendvsr.evaluation.scoring import require_frames, require_ground_truth
from ascendvsr.models import CARDS, card_named
from ascendvsr.models.card import Card, imported
from ascendvsr.models.implementations import check_implementation
from ascendvsr.restoration.settings import Settings, read_settings
from ascendvsr.restoration.sigma import Sigma, validation_noise_level
from ascendvsr.training.first_stage import require_first_stage
from ascendvsr.training.groups import check_groups
from ascendvsr.training.resume import check_resumable, epochs_ahead, noted_settings
from ascendvsr.weights.reader import read_checkpoint

# Settings by which the evaluation set is used during training.
_VALIDATING = (
    "validation_interval",
    "validation_epochs",
    "validation_sample_interval",
    "validation_sample_epochs",
)


@dataclass(frozen=True)
class Validation:
    """What is measured during training, and how."""

    clips: list[Clip]
    protocol: Protocol
    settings: Settings
    sigma: Sigma


@dataclass(frozen=True)
class Plan:
    """A run.

    Attributes:
        cfg: the configuration that it was read from.
        card: the network's.
        inputs: what the card's `read_inputs` gave.
        clips: what it is trained on; [] where the inputs hold that.
        validation: None: there is none.
        cluster: the workers that train together; None: one process.
        store: the checkpoints in `output_dir`.
        newest: the checkpoint that the run goes on from; None: it begins.
        seen: the newest one that there is, which may be later.
        initial_weights: of `init_from`, where it begins.
        batch_size: samples per batch, over all devices.
        notes: what is to be known of the run before it begins, a line each.
        steps_per_epoch: updates per pass over the data.
        epochs_ahead: updates that the count of epochs is ahead of the steps, see `ascendcv.runner.trainer.Trainer`.
        schedule: update -> learning rate.
        other_rates: update -> further rates of the optimizer that change.
        total_steps: updates.
    """

    cfg: CfgNode
    card: Card
    inputs: Any
    clips: list[Clip]
    validation: Validation | None
    cluster: Cluster | None
    store: CheckpointStore
    newest: Path | None
    seen: Path | None
    initial_weights: dict[str, np.ndarray] | None
    batch_size: int
    notes: list[str]
    steps_per_epoch: int
    epochs_ahead: int
    schedule: Schedule
    other_rates: Callable[[int], Mapping[str, float]]
    total_steps: int

    @property
    def worker(self) -> int:
        """This process's place among the workers."""
        return self.cluster.index if self.cluster else 0

    @property
    def workers(self) -> int:
        """How many processes train together."""
        return len(self.cluster.workers) if self.cluster else 1

    @property
    def noted(self) -> dict[str, Any]:
        """What checkpoints keep of the settings."""
        return noted_settings(self.cfg, self.card, self.batch_size, self.steps_per_epoch, self.epochs_ahead)

    @property
    def is_chief(self) -> bool:
        """Whether this process logs and saves."""
        return self.worker == (self.cfg.root_rank if self.cluster else 0)


def read_plan(cfg: CfgNode, *, finds_rate: bool = False) -> Plan:
    """Reads all that `cfg` names.

    Args:
        finds_rate: the run tries the rising rates of `solver.lr_finder`: it begins whatever `output_dir` holds,
            and there is no validation.
    Raises:
        InputError: anything impossible, as far as can be known before TensorFlow starts.
    """
    solver, card = cfg.solver, card_named(cfg.model.name)
    if not card.training:
        trained = ", ".join(other.name for other in CARDS if other.training)
        raise InputError(f"model.name {cfg.model.name!r} cannot be trained; there are {trained}")
    card.arguments(cfg)
    check_implementation(cfg, card)
    if card.reads_clips and cfg.model.scale != card.scale(cfg):
        raise InputError(
            f"model.scale is {cfg.model.scale}, and the output of {card.title} is {card.scale(cfg)} times as large "
            f"as its input: say model.scale {card.scale(cfg)}"
        )
    with naming_keys("solver"):
        make_loss_scale(solver.loss_scale)
    check_groups(solver.param_groups, (solver.train_only.pattern, solver.train_only.until_step))
    cluster = _read_cluster(cfg)
    if finds_rate and cluster:
        raise InputError("lrfinder runs in one process: leave cluster_file empty")
    store = CheckpointStore(
        cfg.output_dir, card.name, solver.keep_checkpoints, solver.keep_best, lowest=solver.best_is == "lowest"
    )
    batch_size, notes = divided_batch(cfg, max(cfg.rank_size, len(cluster.workers) if cluster else 1))
    seen = None if finds_rate else store.newest()
    newest = _chosen(cfg, store, seen) if seen or not finds_rate else None
    if newest is None:
        require_first_stage(cfg)
    inputs: Any = imported(card.read_inputs)(cfg, newest is None) if card.read_inputs else None
    initial = read_checkpoint(cfg.init_from, cfg.weights) if cfg.init_from and newest is None else None
    if initial and initial.words:
        notes.append(f"init_from {cfg.init_from}: taking {initial.words}")
    clips: list[Clip] = []
    if card.reads_clips:
        check_batches(cfg, batch_size, len(cluster.workers) if cluster else 1)
        clips = training_clips(cfg)
        batches = steps_per_epoch(cfg, len(training_windows(cfg, clips)), batch_size)
    else:
        batches = max(inputs.samples // batch_size, 1)
    epoch = batches * card.updates_per_batch(cfg)
    ahead = epochs_ahead(newest, epoch, card.updates_per_batch(cfg)) if newest else 0
    validates = not finds_rate and any(solver[key] for key in _VALIDATING)
    return Plan(
        cfg=cfg,
        card=card,
        inputs=inputs,
        clips=clips,
        validation=_read_validation(cfg, card) if validates and card.restores else None,
        cluster=cluster,
        store=store,
        newest=newest,
        seen=seen,
        initial_weights=initial and initial.arrays,
        batch_size=batch_size,
        notes=notes,
        steps_per_epoch=epoch,
        epochs_ahead=ahead,
        **(_rising(cfg) if finds_rate else _scheduled(cfg, epoch, ahead)),
    )


def divided_batch(cfg: CfgNode, devices: int) -> tuple[int, list[str]]:
    """Samples per update, over all devices, and what is to be said of that.

    Raises `InputError` for samples that the devices, or the parts that their gradients are accumulated from, cannot
    share.
    """
    data, parts, notes = cfg.data, cfg.solver.accumulate or 1, []
    own = data.train_batch_size
    if own is None and data.global_batch_size % devices:
        raise InputError(
            f"data.global_batch_size is {data.global_batch_size}, which {devices} devices cannot share alike: "
            "choose a multiple, or another number of devices"
        )
    own = own or data.global_batch_size // devices or 4
    if own % parts:
        raise InputError(
            f"solver.accumulate is {parts}, and each device has {own} samples, which so many parts cannot share "
            "alike"
        )
    size = own * devices
    if data.global_batch_size and size != data.global_batch_size:
        notes.append(
            f"The global batch is {size} samples ({devices} x data.train_batch_size {own}), and the recipe's is "
            f"{data.global_batch_size} (data.global_batch_size): without data.train_batch_size it is divided among "
            "the devices"
        )
    return size, notes


def _read_cluster(cfg: CfgNode) -> Cluster | None:
    cluster = read_cluster(cfg.cluster_file, cfg.worker_index)
    if cluster and not 0 <= cfg.root_rank < len(cluster.workers):
        raise InputError(f"root_rank {cfg.root_rank} is none of the {len(cluster.workers)} workers")
    if cfg.solver.xla and (cluster or cfg.rank_size > 1):
        raise InputError("solver.xla compiles for one device only: say solver.xla False or rank_size 1")
    return cluster


def _chosen(cfg: CfgNode, store: CheckpointStore, newest: Path | None) -> Path | None:
    """The checkpoint to go on from. Raises `InputError` where there is one and the run is said to begin."""
    which = cfg.continue_training
    if which and cfg.solver.overwrite:
        raise InputError("continue_training goes on with a run and solver.overwrite begins anew: say one of them")
    if cfg.solver.overwrite or (newest is None and which in ("", "latest")):
        return None
    if not which:
        raise InputError(
            f"{cfg.output_dir} holds checkpoints up to step {store.steps()[-1]}: say continue_training True to "
            "go on from there, solver.overwrite True to begin anew, or choose another output_dir"
        )
    if newest is None or which != "latest":
        newest = find_checkpoint(cfg.output_dir, which, store.name, lowest=store.lowest)
        if problem := damage(newest):
            raise InputError(f"{newest} is damaged: {problem}")
    check_resumable(cfg, newest)
    return newest


def _read_validation(cfg: CfgNode, card: Card) -> Validation:
    clips, protocol = evaluation_clips(cfg), validation_protocol(cfg)
    require_ground_truth(clips)
    require_frames(clips, protocol)
    border = 0 if cfg.eval.protocol else cfg.eval.crop_border
    for clip in clips:
        if min(clip.gt_size) <= 2 * border:
            raise InputError(
                f"eval.crop_border is {border}, which leaves nothing of clip {clip.name}, whose frames have "
                f"{clip.gt_size[1]}x{clip.gt_size[0]} pixels"
            )
    return Validation(clips, protocol, read_settings(cfg, card), validation_noise_level(cfg, card))


def _scheduled(cfg: CfgNode, epoch: int, ahead: int) -> dict[str, Any]:
    """The rates of `solver.lr_schedule`; OneCycle moves the optimizer's momentum too.

    Where the schedule counts epochs, it is as far `ahead` of the steps as these.
    """
    settings = cfg.solver.lr_schedule
    ahead = ahead if settings.unit == "epochs" else 0
    with naming_keys("solver.lr_schedule"):
        schedule = make_schedule(settings, epoch)
    momentum = make_momentum_schedule(settings, epoch)
    name = "momentum" if cfg.solver.optimizer.type == "momentum" else "beta_1"
    return {
        "schedule": functools.partial(_shifted, schedule, ahead),
        "other_rates": functools.partial(
            _rates, {name: functools.partial(_shifted, momentum, ahead)} if momentum else {}
        ),
        "total_steps": total_steps(settings, epoch) - ahead,
    }


def _shifted(schedule: Schedule, ahead: int, step: int) -> float:
    return schedule(step + ahead)


def _rising(cfg: CfgNode) -> dict[str, Any]:
    """The rates of `solver.lr_finder`."""
    finder = cfg.solver.lr_finder
    with naming_keys("solver.lr_finder"):
        schedule = rising_rate(finder.start_lr, finder.end_lr, finder.steps, finder.type)
    return {
        "schedule": schedule,
        "other_rates": functools.partial(_rates, {}),
        "total_steps": finder.steps,
    }


def _rates(schedules: Mapping[str, Schedule], step: int) -> dict[str, float]:
    return {name: schedule(step) for name, schedule in schedules.items()}
