"""What training CDVD-TSP needs besides clips: a flow network's weights, and a loss. Read without Keras."""

import numpy as np
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.weights.reader import load_checkpoint

MINIMUM_SIDE = 161  # of crops for MS-SSIM; that of `ascendcv.losses.ms_ssim`, which would start Keras


def read_inputs(cfg: CfgNode, begins: bool) -> dict[str, np.ndarray] | None:
    """The weights in `cdvd_tsp.flow_checkpoint`; None where the run goes on or begins without.

    Raises `InputError` for crops that the loss or the network cannot take, and for no loss at all.
    """
    weights, size = loss_weights(cfg), list(cfg.data.train_in_size)
    if not any(weights.values()):
        raise InputError("all of cdvd_tsp.loss_l1, loss_hem and loss_ms_ssim are 0: nothing is left to learn from")
    if weights["ms_ssim"] and min(size) < MINIMUM_SIDE:
        raise InputError(
            f"cdvd_tsp.loss_ms_ssim needs crops of at least {MINIMUM_SIDE} pixels a side, and "
            f"data.train_in_size is {size}"
        )
    if cfg.model.size == "crop" and any(length % 4 for length in size):
        raise InputError(f"with model.size crop, data.train_in_size should be multiples of 4, not {size}")
    path = cfg.cdvd_tsp.flow_checkpoint
    return load_checkpoint(path) if path and begins else None


def loss_weights(cfg: CfgNode) -> dict[str, float]:
    """The weights of the terms of the loss."""
    return {term: cfg.cdvd_tsp[f"loss_{term}"] for term in ("l1", "hem", "ms_ssim")}
