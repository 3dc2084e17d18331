"""What a checkpoint notes of its run's configuration, and what follows for a run that goes on from it."""

from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from ascendcv.runner.checkpoint import read_meta
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


def noted_settings(cfg: CfgNode, batch_size: int) -> dict[str, Any]:
    """What a checkpoint keeps of the configuration, by key; 'batch_size' is that of all devices together."""
    noted = {key: _get(cfg, key) for key in [*_FIXED, *_FREE] if key != "batch_size"}
    return noted | {"batch_size": batch_size}


def check_resumable(cfg: CfgNode, batch_size: int, newest: Path) -> None:
    """Raises `InputError` where the checkpoint is of a run that this configuration cannot go on with."""
    for key, (before, now) in _differences(cfg, batch_size, newest).items():
        if key in _FIXED:
            raise InputError(
                f"{newest.parent} holds a run with {key} {before}, and the configuration says {now}: "
                f"{_FIXED[key]} cannot change in a run; say {key} {before}, or begin in another output_dir with "
                "init_from"
            )


def resume_warnings(cfg: CfgNode, batch_size: int, newest: Path) -> list[str]:
    """What is different in the configuration of a run that goes on, for the log."""
    return [
        f"{_FREE[key]} was {before} and is {now} now ({key}): from here on the samples are others"
        for key, (before, now) in _differences(cfg, batch_size, newest).items()
        if key in _FREE
    ]


def _differences(cfg: CfgNode, batch_size: int, newest: Path) -> dict[str, tuple[Any, Any]]:
    """Key -> its value in the checkpoint and now, where these differ."""
    noted, now = read_meta(newest).get("settings", {}), noted_settings(cfg, batch_size)
    return {key: (noted[key], now[key]) for key in now if key in noted and noted[key] != now[key]}


def _get(cfg: CfgNode, key: str) -> Any:
    value = cfg
    for name in key.split("."):
        value = value[name]
    return value
