"""What training PVDNet needs besides clips: a BIMNet that is trained already. Read and checked without Keras."""

from collections.abc import Mapping

import numpy as np
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.models.pvdnet.weights import BIMNET, holds_bimnet
from ascendvsr.weights.reader import load_checkpoint

_ALONE = ("moduleFeatures.", "moduleMatching.", "moduleSubpixel.", "moduleRegularization.")


def read_inputs(cfg: CfgNode, begins: bool) -> dict[str, np.ndarray] | None:
    """The weights in `pvdnet.bimnet_checkpoint`; None where BIMNet's come with all others or are not trained.

    All others come from `init_from` or the run that goes on. Raises `InputError` for clips in which no frame has
    two neighbors, and unless BIMNet gets trained weights or `pvdnet.allow_untrained_bimnet` does without.
    """
    if clip_length(cfg) < 3:
        raise InputError(
            f"PVDNet learns from frames between two others, and model.num_frames is {clip_length(cfg)}: say 3 or "
            "more (the paper: 15)"
        )
    if not begins:
        return None
    path = cfg.pvdnet.bimnet_checkpoint
    whole = bool(cfg.init_from) and holds_bimnet(load_checkpoint(cfg.init_from))
    if path and whole:
        raise InputError(
            f"init_from {cfg.init_from} and pvdnet.bimnet_checkpoint {path} both hold BIMNet: leave one empty"
        )
    if path:
        return bimnet_weights(load_checkpoint(path), path)
    if not whole and not cfg.pvdnet.allow_untrained_bimnet:
        raise InputError(
            "PVDNet trains on the motion of a BIMNet that is trained already, and this one is not: name its "
            "weights in pvdnet.bimnet_checkpoint (of a BIMNet or a whole PVDNet), or say "
            "pvdnet.allow_untrained_bimnet True"
        )
    return None


def clip_length(cfg: CfgNode) -> int:
    """Frames of a training clip."""
    return cfg.data.clip_length or cfg.model.num_frames


def bimnet_weights(state_dict: Mapping[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    """BIMNet's weights under its own names, from a file of BIMNet alone or of PVDNet as a whole.

    Raises `InputError`, naming `source`, for the weights of anything else.
    """
    inside = {name.removeprefix(BIMNET): array for name, array in state_dict.items() if name.startswith(BIMNET)}
    weights = inside or dict(state_dict)
    if not weights or not all(name.startswith(_ALONE) for name in weights):
        raise InputError(
            f"pvdnet.bimnet_checkpoint {source} holds no BIMNet: it should be the weights of a BIMNet, or of a "
            "PVDNet with its BIMNet"
        )
    return weights
