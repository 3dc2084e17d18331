"""The clips and training windows that a configuration names. No TensorFlow here: checks come before it."""

import contextlib
import dataclasses
import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from ascendcv.dataloader import samples
from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.degradations import Chain, check_for_training, read_chain
from ascendcv.dataloader.layouts import list_videos, read_layout, read_meta_info
from ascendcv.dataloader.reds import read_set
from ascendcv.utils.errors import InputError
from ascendvsr.config.naming import naming_keys


def training_clips(cfg: CfgNode) -> list[Clip]:
    """The clips of `data.train_set`, the first `data.n_frames_per_video` frames of each.

    Raises `InputError` for a set that cannot be read.
    """
    count = cfg.data.n_frames_per_video or None
    chain = degradation(cfg)
    clips = _read(cfg, cfg.data.train_set, cfg.data.train_list, training=True)
    if chain is not None:
        clips = [_to_be_degraded(clip, chain) for clip in clips]
    return [dataclasses.replace(clip, lq=clip.lq[:count], gt=clip.gt[:count]) for clip in clips]


def _to_be_degraded(clip: Clip, chain: Chain) -> Clip:
    """A clip whose input is made of its ground truth: its own input, where it has one, is not read."""
    truths = [path for path in clip.gt if path is not None]
    if not truths or len(truths) < len(clip.gt):
        raise InputError(f"clip {clip.name} has no ground truth that data.degrade could be done to")
    height, width = clip.gt_size
    if height % chain.scale or width % chain.scale:
        raise InputError(
            f"clip {clip.name} has frames of {width}x{height} pixels, which cannot be divided by {chain.scale} "
            "(data.degrade): cut them, which `ascendvsr prepare` does"
        )
    return dataclasses.replace(clip, lq=truths, lq_size=(height // chain.scale, width // chain.scale))


def evaluation_clips(cfg: CfgNode) -> list[Clip]:
    """The clips of `data.eval_set`. Raises `InputError` for a set that cannot be read."""
    return _read(cfg, cfg.data.eval_set, cfg.data.eval_list, training=False)


def training_windows(cfg: CfgNode, clips: Sequence[Clip]) -> list[samples.Sample]:
    """The windows that `clips` are trained on; one pass over them is an epoch.

    Raises `InputError` for settings that make no sense and for clips too short, too small or without ground truth.
    """
    sigma = cfg.data.sigma
    if sigma and sigma[0] > sigma[1]:
        raise InputError(f"data.sigma should be [low, high] in 8-bit levels, or [] for none, not {sigma}")
    with naming_keys(**WINDOW_KEYS):
        return samples.training_samples(clips, **window_settings(cfg))


# The arguments of `training_samples`, and the keys that give them.
WINDOW_KEYS = {
    "num_frames": "data.clip_length or model.num_frames",
    "crop_size": "data.train_in_size",
    "interval": "data.train_interval",
    "margin": "data.train_margin",
    "stride": "data.train_stride",
}


# Arguments of what makes batches that are not called as their keys in `data`.
BATCH_KEYS = {
    "batch_size": "data.train_batch_size",
    "transpose": "data.use_transpose",
    "rotation": "data.augment.rotation",
    "rot90": "data.augment.rot90",
}


def check_batches(cfg: CfgNode, batch_size: int, workers: int) -> None:
    """Raises `InputError` for batches that no windows make, turns that crops cannot take, a file as the cache."""
    data, augment = cfg.data, cfg.data.augment
    if data.cache and os.path.exists(data.cache) and not os.path.isdir(data.cache):
        raise InputError(f"data.cache is {data.cache}, which is no folder")
    with naming_keys("data", **WINDOW_KEYS, **BATCH_KEYS):
        samples.examples_of_batch(batch_size, workers, data.crops_per_example)
        samples.check_turns(
            tuple(data.train_in_size),
            transpose=data.use_transpose,
            rot90=augment.rot90,
            rotation=augment.rotation,
        )


def degradation(cfg: CfgNode) -> Chain | None:
    """What makes the input of the ground truth while training, `data.degrade`; None: the data set has it.

    Raises `InputError` for steps that do not exist or that crops cannot take.
    """
    if not cfg.data.degrade:
        return None
    with naming_keys("data", scale="model.scale", interval="data.train_interval"):
        try:
            chain = read_chain(cfg.data.degrade)
        except InputError as error:
            raise InputError(f"`degrade`: {error}") from error
        check_for_training(chain, cfg.model.scale)
    return chain


def window_settings(cfg: CfgNode) -> dict[str, Any]:
    """What says which windows there are: the arguments of `training_samples`."""
    data = cfg.data
    return {
        "num_frames": data.clip_length or cfg.model.num_frames,
        "crop_size": tuple(data.train_in_size),
        "interval": data.train_interval,
        "margin": data.train_margin,
        "stride": data.train_stride,
    }


def steps_per_epoch(cfg: CfgNode, windows: int, batch_size: int) -> int:
    """Complete global batches of `batch_size` samples in an epoch, `data.repeat` passes over all windows."""
    return samples.steps_per_epoch(
        windows,
        batch_size=batch_size,
        crops_per_example=cfg.data.crops_per_example,
        repeat=cfg.data.repeat,
    )


def _read(cfg: CfgNode, part: str, clip_list: str, *, training: bool) -> list[Clip]:
    data = cfg.data
    is_clean = data.layout in ("davis", "set8")  # so that the input is made of what there is
    has_set_files = data.layout == "reds" and part.endswith(".json")
    if has_set_files:
        for key in ("train_list", "eval_list", "hold_out"):
            if data[key]:
                raise InputError(f"data.{key} is not for data.layout reds, whose set files name the clips")
    _check_held_out(cfg)
    keys = {"part": "data.train_set" if training else "data.eval_set", "scale": "model.scale"}
    with naming_keys("data", **keys):
        if has_set_files:
            return read_set(data.data_dir, part, cfg.model.scale)
        return read_layout(
            data.layout,
            Path(data.data_dir),
            part,
            **_folders(cfg) | ({"scale": 1} if is_clean and data.degrade and training else {}),
            listed=read_meta_info(Path(clip_list)) if clip_list else (),
            hold_out=data.hold_out,
            training=training,
        )


def _folders(cfg: CfgNode) -> dict[str, Any]:
    return {"scale": cfg.model.scale} | {key: cfg.data[key] for key in ("lq_folder", "gt_folder", "gamma")}


def _check_held_out(cfg: CfgNode) -> None:
    """Raises `InputError` for a name in `data.hold_out` that no clip has: what it was to hold out is trained on."""
    data = cfg.data
    there: list[str] = []
    for part in {data.train_set, data.eval_set} if data.hold_out else ():
        with contextlib.suppress(InputError):  # one of them may be elsewhere
            videos = list_videos(data.layout, Path(data.data_dir), part, **_folders(cfg))
            there += [video.name for video in videos]
    for name in data.hold_out:
        if there and name not in there:
            near = ", ".join(difflib.get_close_matches(name, there, n=5, cutoff=0.0))
            raise InputError(
                f"data.hold_out holds {name!r}, and neither data.train_set {data.train_set} nor data.eval_set "
                f"{data.eval_set} has a clip of this name; near ones are {near}"
            )
