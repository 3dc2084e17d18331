"""The command `train`: from a configuration to a trained network."""

import contextlib
import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.reds import Clip
from ascendcv.dataloader.samples import training_samples
from ascendcv.runner.checkpoint import CheckpointStore
from ascendcv.runner.cluster import Cluster, read_cluster
from ascendcv.runner.logs import logging_to
from ascendcv.runner.precision import make_loss_scale
from ascendcv.runner.schedules import make_schedule
from ascendcv.utils.errors import InputError
from ascendcv.utils.quiet import import_tensorflow
from ascendvsr.config import save_config
from ascendvsr.datasets import evaluation_clips, training_clips
from ascendvsr.evaluate import require_ground_truth
from ascendvsr.restore import restore_settings
from ascendvsr.training.groups import check_groups
from ascendvsr.weights.reader import load_checkpoint

logger = logging.getLogger(__name__)

# model.name -> what says how that family is trained
FAMILIES = {"EDVR": "ascendvsr.training.edvr"}


@dataclass(frozen=True)
class Inputs:
    """All that a run reads before TensorFlow starts."""

    clips: list[Clip]
    eval_clips: list[Clip]
    initial_weights: dict[str, np.ndarray] | None  # of init_from, where the run does not go on from a checkpoint
    cluster: Cluster | None
    store: CheckpointStore

    @property
    def worker(self) -> int:
        return self.cluster.index if self.cluster else 0

    @property
    def workers(self) -> int:
        return len(self.cluster.workers) if self.cluster else 1


def train(cfg: CfgNode) -> None:
    """Trains a network as `cfg` says, into `output_dir`.

    Raises `InputError` for anything impossible, as far as can be known before TensorFlow starts; `SystemExit`
    130 or 143 after SIGINT or SIGTERM, with the state saved; `RuntimeError` when training has blown up.
    """
    inputs = read_inputs(cfg)
    chief = inputs.worker == (cfg.root_rank if inputs.cluster else 0)
    output_dir, time = Path(cfg.output_dir), datetime.now().strftime("%Y%m%dT%H%M%S")
    with logging_to(output_dir / "log" / f"train-{time}.log" if chief else None):
        if chief:
            save_config(cfg, output_dir / "config" / f"train-{time}.yaml")
        import_tensorflow()
        from ascendcv.ops.registry import implementation
        from ascendvsr.training.assembly import make_trainer

        trainer = make_trainer(cfg, inputs, chief)
        # The composed operations are the ones that XLA can compile.
        with implementation("tf") if cfg.solver.xla else contextlib.nullcontext():
            stopped_by = trainer.fit()
        logger.info("%s at step %d", "Stopped" if stopped_by else "Done", trainer.step)
    if stopped_by:
        raise SystemExit(128 + stopped_by)


def read_inputs(cfg: CfgNode) -> Inputs:
    """Checks the configuration and reads what it names, without TensorFlow. Raises `InputError`."""
    solver = cfg.solver
    if cfg.model.name not in FAMILIES:
        raise InputError(f"model.name {cfg.model.name!r} cannot be trained; there are {', '.join(FAMILIES)}")
    make_schedule(solver.lr_schedule)
    make_loss_scale(solver.loss_scale)
    check_groups(solver.param_groups, train_only(cfg))
    cluster = read_cluster(cfg.cluster_file, cfg.worker_index)
    if cluster and not 0 <= cfg.root_rank < len(cluster.workers):
        raise InputError(f"root_rank {cfg.root_rank} is none of the {len(cluster.workers)} workers")
    if solver.xla and (cluster or cfg.rank_size > 1):
        raise InputError("solver.xla compiles for one device only: say solver.xla False or rank_size 1")
    store = CheckpointStore(cfg.output_dir, cfg.model.name, solver.keep_checkpoints)
    if store.steps() and not cfg.continue_training:
        raise InputError(
            f"{cfg.output_dir} holds checkpoints up to step {store.steps()[-1]}: say continue_training True to "
            "go on from there, or choose another output_dir"
        )
    begins = not store.steps()
    initial_weights = load_checkpoint(cfg.init_from) if cfg.init_from and begins else None
    clips = training_clips(cfg)
    training_samples(
        clips,
        num_frames=cfg.model.num_frames,
        crop_size=tuple(cfg.data.train_in_size),
        interval=cfg.data.train_interval,
    )
    eval_clips = []
    if solver.validation_interval:
        eval_clips = evaluation_clips(cfg)
        require_ground_truth(eval_clips)
        restore_settings(cfg)
    return Inputs(clips, eval_clips, initial_weights, cluster, store)


def train_only(cfg: CfgNode) -> tuple[str, int]:
    """The pattern of the names that learn from the beginning, and the iteration from which all do."""
    return cfg.solver.train_only.pattern, cfg.solver.train_only.until_step
