"""The configuration of the run that a checkpoint is of: what evaluates or exports it starts from that."""

import os
from pathlib import Path

from ascendcv.runner.checkpoint import META

# Where a run computes, and how it begins, says nothing of its network: these stay as they are without it.
OF_THE_MACHINE = (
    "device",
    "device_ids",
    "rank_size",
    "root_rank",
    "cluster_file",
    "worker_index",
    "num_threads",
    "checkpoint",
    "weights",
    "init_from",
    "continue_training",
)


def run_of(checkpoint: str | os.PathLike) -> Path | None:
    """The folder of the run that a path of weights is in; None: it is in none.

    The path is a training checkpoint, a file in one, or the run's folder itself.
    """
    path = Path(checkpoint)
    for folder, run in ((path, path.parent), (path.parent, path.parent.parent)):
        if (folder / META).is_file():
            return run
    return path if path.is_dir() and any(path.glob(f"*-*/{META}")) else None


def config_of_run(run: Path) -> Path | None:
    """The file of settings that a run was last trained by; None: it has none."""
    return max((run / "config").glob("train-*.yaml"), default=None, key=lambda file: file.name)
