"""The command `train`: from a configuration to a trained network.

How a network is trained, a module of its family says (`FAMILIES`). It gives

    make_updates(cfg) -> Updates            what the updates on a batch are (`ascendcv.runner.trainer.Updates`)
    picture(model, batch) -> [H,W,3] uint8  input, output and ground truth side by side

and may give

    TARGET = 'centre' | 'all'               which frames of a clip the ground truth is of
    check(cfg)                              raises `InputError` for what this family cannot be trained on
    initialise(cfg, model)                  the weights of parts that are trained already, when a run begins
    freeze(cfg) -> list                     groups as in `solver.param_groups`, which come after those
    pictures(model, batch) -> {name: [H,W,3] uint8}    further pictures, such as a flow in colours
    training_batches(cfg, shard, batch_size, first), steps_per_epoch(cfg, batch_size), scores(cfg, model)
                                            where the data are no clips of frames: `OWN_DATA`
"""

import contextlib
import importlib
import importlib.util
import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.clips import Clip
from ascendcv.runner.checkpoint import CheckpointStore
from ascendcv.runner.cluster import Cluster, read_cluster
from ascendcv.runner.hooks.epochs import require_scipy
from ascendcv.runner.logs import logging_to
from ascendcv.runner.precision import make_loss_scale
from ascendcv.runner.schedules import make_schedule
from ascendcv.utils.errors import InputError
from ascendcv.utils.quiet import import_tensorflow
from ascendvsr.config import save_config
from ascendvsr.datasets import evaluation_clips, training_clips, training_windows
from ascendvsr.deployment import cost
from ascendvsr.evaluation.protocols import protocol_of
from ascendvsr.evaluation.scoring import require_frames, require_ground_truth
from ascendvsr.restoration.restore import read_noise_level, restore_settings
from ascendvsr.training.groups import check_groups
from ascendvsr.training.resume import check_resumable
from ascendvsr.weights.reader import load_checkpoint

logger = logging.getLogger(__name__)

# model.name -> what says how that family is trained
FAMILIES = {
    "EDVR": "ascendvsr.models.edvr.training",
    "RVRT": "ascendvsr.models.rvrt.training",
    "CDVDTSP": "ascendvsr.models.cdvd_tsp.training",
    "PVDNet": "ascendvsr.models.pvdnet.training",
    "BIMNet": "ascendvsr.models.flow.bimnet_training",
    "DBN": "ascendvsr.models.deblur_devil.training",
    "FlowDBN": "ascendvsr.models.deblur_devil.training",
    "PWCNet": "ascendvsr.models.flow.training",
    "PWCNetDevil": "ascendvsr.models.flow.training",
    "FlowNet1S": "ascendvsr.models.flow.training",
}
OWN_DATA = ("ascendvsr.models.flow.training",)


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
    import_tensorflow()
    family = import_family(cfg)
    chief = inputs.worker == (cfg.root_rank if inputs.cluster else 0)
    output_dir, time = Path(cfg.output_dir), datetime.now().strftime("%Y%m%dT%H%M%S")
    with logging_to(output_dir / "log" / f"train-{time}.log" if chief else None):
        if chief:
            save_config(cfg, output_dir / "config" / f"train-{time}.yaml")
        from ascendcv.ops.registry import implementation
        from ascendvsr.training.assembly import make_trainer

        trainer = make_trainer(cfg, inputs, family, chief)
        if chief and not (output_dir / "cost.txt").exists():
            cost.write(cost.report(trainer.model, cfg), cfg)
        # The composed operations are the ones that XLA can compile.
        with implementation("tf") if cfg.solver.xla else contextlib.nullcontext():
            stopped_by = trainer.fit()
        logger.info("%s at step %d", "Stopped" if stopped_by else "Done", trainer.step)
    if stopped_by:
        raise SystemExit(128 + stopped_by)


def read_inputs(cfg: CfgNode, begins: bool = False) -> Inputs:
    """Checks the configuration and reads what it names, without TensorFlow. Raises `InputError`.

    `begins`: checkpoints in `output_dir` do not matter, they are of another run.
    """
    solver = cfg.solver
    known = [name for name, module in FAMILIES.items() if importlib.util.find_spec(module)]
    if cfg.model.name not in known:
        raise InputError(f"model.name {cfg.model.name!r} cannot be trained; there are {', '.join(known)}")
    make_schedule(solver.lr_schedule)
    make_loss_scale(solver.loss_scale)
    check_groups(solver.param_groups, train_only(cfg))
    cluster = read_cluster(cfg.cluster_file, cfg.worker_index)
    if cluster and not 0 <= cfg.root_rank < len(cluster.workers):
        raise InputError(f"root_rank {cfg.root_rank} is none of the {len(cluster.workers)} workers")
    if solver.xla and (cluster or cfg.rank_size > 1):
        raise InputError("solver.xla compiles for one device only: say solver.xla False or rank_size 1")
    lowest = solver.best_is == "lowest"
    store = CheckpointStore(cfg.output_dir, cfg.model.name, solver.keep_checkpoints, solver.keep_best, lowest)
    begins = begins or not store.steps()
    if not begins and not cfg.continue_training:
        raise InputError(
            f"{cfg.output_dir} holds checkpoints up to step {store.steps()[-1]}: say continue_training True to "
            "go on from there, or choose another output_dir"
        )
    if not begins:
        check_resumable(cfg, store)
    if solver.save_mat:
        require_scipy()
    initial_weights = load_checkpoint(cfg.init_from) if cfg.init_from and begins else None
    clips, eval_clips = [], []
    if FAMILIES[cfg.model.name] in OWN_DATA:
        return Inputs(clips, eval_clips, initial_weights, cluster, store)
    clips = training_clips(cfg)
    training_windows(cfg, clips)
    if solver.validation_interval or solver.validation_epochs:
        eval_clips = evaluation_clips(cfg)
        require_ground_truth(eval_clips)
        require_frames(eval_clips, protocol_of(cfg))
        restore_settings(cfg)
        read_noise_level(cfg)
    return Inputs(clips, eval_clips, initial_weights, cluster, store)


def import_family(cfg: CfgNode) -> ModuleType:
    """The module that says how the configured network is trained, after its own check of the configuration."""
    family = importlib.import_module(FAMILIES[cfg.model.name])
    if hasattr(family, "check"):
        family.check(cfg)
    return family


def train_only(cfg: CfgNode) -> tuple[str, int]:
    """The pattern of the names that learn from the beginning, and the iteration from which all do."""
    return cfg.solver.train_only.pattern, cfg.solver.train_only.until_step
