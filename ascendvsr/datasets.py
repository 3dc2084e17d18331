"""The clips that a configuration names. No TensorFlow here: headers are checked before it starts."""

from yacs.config import CfgNode

from ascendcv.dataloader.reds import Clip, read_set


def training_clips(cfg: CfgNode) -> list[Clip]:
    """The clips of `data.train_set`. Raises `InputError` for a set that cannot be read."""
    return read_set(cfg.data.data_dir, cfg.data.train_set, cfg.model.scale)


def evaluation_clips(cfg: CfgNode) -> list[Clip]:
    """The clips of `data.eval_set`. Raises `InputError` for a set that cannot be read."""
    return read_set(cfg.data.data_dir, cfg.data.eval_set, cfg.model.scale)
