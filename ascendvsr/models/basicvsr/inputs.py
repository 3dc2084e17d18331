"""What training BasicVSR needs besides clips: a SpyNet that is trained already. Read and checked without Keras."""

import numpy as np
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.weights.reader import load_checkpoint


def read_inputs(cfg: CfgNode, begins: bool) -> dict[str, np.ndarray] | None:
    """The weights in `basicvsr.spynet_checkpoint`; None where SpyNet's come with all others, or are learned.

    Raises `InputError` for a file without a SpyNet, and where SpyNet would stay untrained.
    """
    from ascendvsr.models.detect import flow_weights  # which lists all cards

    path = cfg.basicvsr.spynet_checkpoint
    if not begins:
        return None
    if path:
        card, weights = flow_weights(load_checkpoint(path), path)
        if card.name != "SpyNet":
            raise InputError(
                f"basicvsr.spynet_checkpoint {path} is {card.title}: it should be the weights of a SpyNet or of a "
                "network that has one"
            )
        return weights
    if cfg.basicvsr.fix_flow > 0 and not cfg.init_from:
        raise InputError(
            f"SpyNet keeps its weights until step {cfg.basicvsr.fix_flow}, and it has none: name a file of them in "
            "basicvsr.spynet_checkpoint (spynet_sintel_final), or say basicvsr.fix_flow 0 to train it from the "
            "beginning"
        )
    return None
