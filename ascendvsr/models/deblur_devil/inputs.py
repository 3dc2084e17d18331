"""What training DBN and FlowDBN needs besides clips. Read and checked without Keras."""

import numpy as np
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.models.deblur_devil.weights import holds_flow_network
from ascendvsr.models.detect import flow_weights
from ascendvsr.weights.reader import load_checkpoint

_NETWORKS = {"pwcnet": "PWCNetDevil", "flownet1s": "FlowNet1S"}  # of `deblur_devil.prewarping`


def check_noise(cfg: CfgNode, begins: bool) -> None:
    """Raises `InputError` where DBN is to be told of noise and the data have none."""
    if cfg.deblur_devil.nonblind_denoising and not cfg.data.sigma:
        raise InputError(
            "data.sigma is [], and deblur_devil.nonblind_denoising trains on noise of a known deviation: say "
            "data.sigma '[0, 50]'"
        )


def read_inputs(cfg: CfgNode, begins: bool) -> dict[str, np.ndarray] | None:
    """The weights in `deblur_devil.flow_checkpoint`; None where the flow network's come with all others.

    All others come from `init_from` or the run that goes on. Raises `InputError` where the flow network would stay
    untrained, and for the weights of another one.
    """
    if not begins:
        return None
    path, prewarping = cfg.deblur_devil.flow_checkpoint, cfg.deblur_devil.prewarping
    if path:
        found, weights = flow_weights(load_checkpoint(path), path)
        if found.name != _NETWORKS[prewarping]:
            raise InputError(
                f"deblur_devil.flow_checkpoint {path} is {found.title}, and deblur_devil.prewarping is {prewarping}"
            )
        return weights
    if not (cfg.init_from and holds_flow_network(load_checkpoint(cfg.init_from), prewarping)):
        none = f", and init_from {cfg.init_from} has none ({prewarping})" if cfg.init_from else ""
        raise InputError(
            f"FlowDBN needs a trained flow network, which stays as it is{none}: name its weights in "
            "deblur_devil.flow_checkpoint"
        )
    return None
