"""What a checkpoint notes of its run's configuration, and what follows for a run that goes on from it."""

from typing import Any

from yacs.config import CfgNode

from ascendcv.runner.checkpoint import CheckpointStore, read_meta
from ascendcv.runner.cluster import read_cluster
from ascendcv.utils.errors import InputError

# Another value is another training; the position in the data, for one, counts clips of this length.
_FIXED = {
    "model.num_frames": "the number of frames",
    "data.clip_length": "the length of a training clip",
    "solver.optimizer.type": "the optimizer",
}
# Another value is allowed, but the samples that come are not those that the run would have seen.
_FREE = {
    "batch_size": "the global batch size",
    "data.train_in_size": "the crop",
    "random_seed": "the random seed",
    "data.train_set": "the training set",
}


def noted_settings(cfg: CfgNode) -> dict[str, Any]:
    """What a checkpoint keeps of the configuration, by key; 'batch_size' is that of all devices together."""
    noted = {key: _get(cfg, key) for key in [*_FIXED, *_FREE] if key != "batch_size"}
    return noted | {"batch_size": cfg.data.train_batch_size * _devices(cfg)}


def check_resumable(cfg: CfgNode, store: CheckpointStore) -> None:
    """Raises `InputError` where the newest checkpoint is of a run that this configuration cannot go on with."""
    for key, (before, now) in _differences(cfg, store).items():
        if key in _FIXED:
            raise InputError(
                f"{store.output_dir} holds a run with {key} {before}, and the configuration says {now}: "
                f"{_FIXED[key]} cannot change in a run; say {key} {before}, or begin in another output_dir with "
                "init_from"
            )


def resume_warnings(cfg: CfgNode, store: CheckpointStore) -> list[str]:
    """What is different in the configuration of a run that goes on, for the log."""
    return [
        f"{_FREE[key]} was {before} and is {now} now ({key}): from here on the samples are others"
        for key, (before, now) in _differences(cfg, store).items()
        if key in _FREE
    ]


def _differences(cfg: CfgNode, store: CheckpointStore) -> dict[str, tuple[Any, Any]]:
    """Key -> its value in the newest checkpoint and now, where these differ."""
    steps = store.steps()
    try:
        noted = read_meta(store.path(steps[-1])).get("settings", {}) if steps else {}
    except InputError:
        return {}  # damaged; where all are, that is said when one is read
    now = noted_settings(cfg)
    return {key: (noted[key], now[key]) for key in now if key in noted and noted[key] != now[key]}


def _devices(cfg: CfgNode) -> int:
    """The number of devices that a global batch is spread over."""
    cluster = read_cluster(cfg.cluster_file, cfg.worker_index)
    return max(cfg.rank_size, len(cluster.workers) if cluster else 1)


def _get(cfg: CfgNode, key: str) -> Any:
    value = cfg
    for name in key.split("."):
        value = value[name]
    return value
