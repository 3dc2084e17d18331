"""What training flow networks needs, read and checked without Keras."""

from dataclasses import dataclass

from yacs.config import CfgNode

from ascendcv.dataloader.flow_data import FlowPair, common_size, flying_chairs, sintel
from ascendcv.utils.errors import InputError


@dataclass(frozen=True)
class FlowInputs:
    """Pairs of frames with true flow: to train on, of one size, and to measure on."""

    pairs: list[FlowPair]
    size: tuple[int, int]
    eval_pairs: list[FlowPair]

    @property
    def samples(self) -> int:
        """How many there are to train on."""
        return len(self.pairs)


def read_pairs(cfg: CfgNode, begins: bool) -> FlowInputs:
    """The pairs of `flow.train_dir` and, where there is validation, of `flow.eval_dir`.

    Raises `InputError` for sets that cannot be read.
    """
    pairs = flying_chairs(cfg.flow.train_dir, cfg.flow.train_split)
    validates = cfg.solver.validation_interval or cfg.solver.validation_epochs
    return FlowInputs(pairs, common_size(pairs), sintel(cfg.flow.eval_dir) if validates else [])


def check_bimnet(cfg: CfgNode, begins: bool) -> None:
    """Raises `InputError` for clips without a pair of frames, and for validation, of which BIMNet has none."""
    if (cfg.data.clip_length or cfg.model.num_frames) < 2:
        raise InputError("BIMNet learns from pairs of frames, and clips have one: say model.num_frames 2")
    if cfg.solver.validation_interval or cfg.solver.validation_epochs:
        raise InputError(
            "BIMNet restores no frames: say solver.validation_interval 0 and solver.validation_epochs 0"
        )
