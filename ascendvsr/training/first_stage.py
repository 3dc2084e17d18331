"""Recipes of two stages: what to do where the weights that the second begins with are not there."""

import os
from pathlib import Path

from yacs.config import CfgNode

from ascendcv.runner.checkpoint import META
from ascendcv.utils.errors import InputError
from ascendvsr.config.files import own_names
from ascendvsr.config.loading import load_config
from ascendvsr.models import card_named
from ascendvsr.models.zoo import is_record


def require_first_stage(cfg: CfgNode) -> None:
    """Raises `InputError` where `init_from` is not there: how the weights are made, or what may be said instead."""
    path = Path(cfg.init_from)
    if not cfg.init_from or path.exists() or is_record(cfg.init_from):
        return
    raise InputError(f"init_from is {cfg.init_from}, which is not there: {_advice(cfg, path)}")


def _advice(cfg: CfgNode, path: Path) -> str:
    published = ", ".join(record.name for record in card_named(cfg.model.name).zoo[:4])
    otherwise = "say init_from PATH of other weights" + (
        f" (or the name of published ones: {published})" * bool(published)
    )
    otherwise += ", or init_from '' to begin without"
    run = path.parent
    names = [meta.parent.name.rpartition("-") for meta in run.glob(f"*-*/{META}")]
    if steps := sorted(int(step) for _, _, step in names if step.isdecimal()):
        newest = run / f"{card_named(cfg.model.name).name}-{steps[-1]}"
        return f"the newest checkpoint of that run is {newest}; say init_from {newest}, or go on with that run"
    if recipe := _recipe_of(run):
        return f"it is the first stage; train it by `ascendvsr train --config-file {recipe}`, {otherwise}"
    return otherwise


def _recipe_of(run: Path) -> str:
    """The name of the project's configuration whose runs go to the folder `run`; '': there is none."""
    folder = os.path.normpath(run)
    return next((name for name in own_names() if os.path.normpath(load_config(name).output_dir) == folder), "")
