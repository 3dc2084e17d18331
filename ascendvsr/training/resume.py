"""What a checkpoint notes of its run's configuration, and what follows for a run that goes on from it."""

import re
import shutil
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from ascendcv.runner.checkpoint import META, CheckpointStore, read_meta
from ascendcv.utils.errors import InputError
from ascendvsr.config.changes import valued
from ascendvsr.config.schema import settings
from ascendvsr.models import CARDS
from ascendvsr.models.card import Card

# Another value is another training; the position in the data, for one, counts clips of this length.
_FIXED = {
    "model.num_frames": "the number of frames",
    "data.clip_length": "the length of a training clip",
    "solver.optimizer.type": "the optimizer",
}
# Another value is allowed, but the samples that come are not those that the run would have seen.
_OTHER_SAMPLES = {
    "batch_size": "the global batch size",
    "data.train_in_size": "the crop",
    "random_seed": "the random seed",
    "data.train_set": "the training set",
}


def noted_settings(
    cfg: CfgNode, card: Card, batch_size: int, steps_per_epoch: int, epochs_ahead: int
) -> dict[str, Any]:
    """What a checkpoint keeps of the configuration, by key: all that says how the network is trained, and on what.

    'batch_size' is that of all devices together; 'epochs_ahead' is explained in `ascendcv.runner.trainer.Trainer`.
    """
    sections = {"model", "data", "solver", "random_seed", *card.settings}
    noted = {key: valued(cfg, key) for key in settings() if key.partition(".")[0] in sections}
    return noted | {"batch_size": batch_size, "steps_per_epoch": steps_per_epoch, "epochs_ahead": epochs_ahead}


def check_resumable(cfg: CfgNode, newest: Path) -> None:
    """Raises `InputError` where the checkpoint is of a run that this configuration cannot go on with."""
    fixed = {key: valued(cfg, key) for key in _FIXED}
    for key, (before, now) in _differences(fixed, newest).items():
        raise InputError(
            f"{newest.parent} holds a run with {key} {before}, and the configuration says {now}: "
            f"{_FIXED[key]} cannot change in a run; say {key} {before}, or begin in another output_dir with "
            "init_from"
        )


def epochs_ahead(newest: Path, steps_per_epoch: int, updates_per_batch: int) -> int:
    """By how many updates the count of epochs is ahead of a checkpoint's step, so that it goes on where it was.

    Where epochs have become shorter or longer, their count goes on with the part of the present one that is done.
    """
    meta = read_meta(newest)
    noted = meta.get("settings", {})
    before, ahead = noted.get("steps_per_epoch", steps_per_epoch), noted.get("epochs_ahead", 0)
    if before == steps_per_epoch:
        return ahead
    batches = round((meta["step"] + ahead) / before * steps_per_epoch / updates_per_batch)
    return batches * updates_per_batch - meta["step"]


def resume_warnings(noted: dict[str, Any], newest: Path) -> list[str]:
    """What is different in the settings of a run that goes on, for the log; `noted` are those of now."""
    warnings = []
    for key, (before, now) in _differences(noted, newest).items():
        if key in _OTHER_SAMPLES:
            warnings.append(
                f"{_OTHER_SAMPLES[key]} was {before} and is {now} now ({key}): from here on the samples are others"
            )
        elif key == "steps_per_epoch":
            warnings.append(
                f"an epoch had {before} steps and has {now} now (steps_per_epoch): the count of epochs, and a "
                "schedule in epochs, goes on where it was"
            )
        elif key != "epochs_ahead":
            warnings.append(f"{key} was {_shown(before)} and is {_shown(now)} now")
    return warnings


def _differences(now: dict[str, Any], newest: Path) -> dict[str, tuple[Any, Any]]:
    """Key -> its value in the checkpoint and now, where these differ."""
    noted = read_meta(newest).get("settings", {})
    return {key: (noted[key], now[key]) for key in now if key in noted and noted[key] != now[key]}


def _shown(value: Any) -> Any:
    return "''" if value == "" else value


# What a run writes into its folder, besides checkpoints, as regular expressions of relative paths.
_RUN_FILES = (
    r"cost\.txt",
    r"config/(train|lrfinder)-\d{8}T\d{6}\.yaml",
    r"config/sources-\d{8}T\d{6}\.zip",
    r"log/(train|lrfinder)-\d{8}T\d{6}\.(log|csv)",
    r"log/(log\.csv|epochs\.csv|epochs\.mat|logbook\.txt)",
    r"log/tensorboard/events\.out\.tfevents\..+",
    r"plots/(loss|psnr|ssim|learning_rate|lrfinder-\d{8}T\d{6})\.(png|pdf)",
    r"sample/\d{8}(-.+)?\.png",
)
_ASIDE = re.compile(r"aside-\d{8}T\d{6}")


def set_aside(store: CheckpointStore, chosen: Path, time: str) -> list[str]:
    """Moves checkpoints that are later than the chosen one to the folder aside-<time>; says so in a line."""
    later = [store.path(step) for step in store.steps() if step > read_meta(chosen)["step"]]
    if not later:
        return []
    folder = store.output_dir / f"aside-{time}"
    folder.mkdir()
    for path in later:
        path.rename(folder / path.name)
    return [f"Later checkpoints are set aside in {folder}: {', '.join(path.name for path in later)}"]


def remove_run(output_dir: Path) -> None:
    """Removes what training wrote into a folder, and no other file: checkpoints, logs, pictures, settings."""
    checkpoint = re.compile(rf"({'|'.join(re.escape(card.name) for card in CARDS)})-\d+")
    for folder in output_dir.iterdir():
        if checkpoint.fullmatch(folder.name) and (folder / META).is_file():
            shutil.rmtree(folder)
        elif _ASIDE.fullmatch(folder.name):
            for path in folder.iterdir():
                if checkpoint.fullmatch(path.name) and (path / META).is_file():
                    shutil.rmtree(path)
            if not any(folder.iterdir()):
                folder.rmdir()
    for path in list(output_dir.glob("*")) + list(output_dir.glob("*/*")) + list(output_dir.glob("*/*/*")):
        name = path.relative_to(output_dir).as_posix()
        if path.is_file() and any(re.fullmatch(pattern, name) for pattern in _RUN_FILES):
            path.unlink()
