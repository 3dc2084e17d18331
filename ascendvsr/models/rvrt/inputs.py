"""What training RVRT needs besides clips: a SpyNet that is trained already. Read and checked without Keras."""

from collections.abc import Sequence

import numpy as np
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.weights.reader import load_checkpoint

_INSIDE = "spynet."  # what SpyNet's names begin with inside RVRT
_MARK = "basic_module.0.basic_module.0.weight"  # a name of SpyNet
_MARK_INSIDE = _INSIDE + _MARK


def read_inputs(cfg: CfgNode, begins: bool) -> dict[str, np.ndarray] | None:
    """The weights in `rvrt.spynet_checkpoint`; None where SpyNet's come with all others, or are learned.

    All others come from `init_from` or the run that goes on. Raises `InputError` for data without what the task
    needs, and where SpyNet would stay untrained.
    """
    rvrt, sigma = cfg.rvrt, list(cfg.data.sigma)
    if rvrt.nonblind_denoising and not sigma:
        raise InputError(
            "data.sigma is [], and rvrt.nonblind_denoising trains on noise of a known deviation: say "
            "data.sigma '[0, 50]'"
        )
    if sigma and not rvrt.nonblind_denoising:
        raise InputError(
            f"data.sigma is {sigma}, and the network is not told of noise: say rvrt.nonblind_denoising True or "
            "data.sigma '[]'"
        )
    problem = why_no_identity(cfg.model.scale, rvrt.embed_dims, rvrt.inputconv_groups)
    if rvrt.identity_start and problem:
        raise InputError(f"rvrt.identity_start: {problem}")
    if not begins:
        return None
    if rvrt.spynet_checkpoint:
        return spynet_weights(load_checkpoint(rvrt.spynet_checkpoint), rvrt.spynet_checkpoint)
    if rvrt.fix_iter > 0 and not (cfg.init_from and _MARK_INSIDE in load_checkpoint(cfg.init_from)):
        none = f"init_from {cfg.init_from} has none of them" if cfg.init_from else "it has none"
        raise InputError(
            f"SpyNet keeps its weights until step {rvrt.fix_iter}, and {none}: name a file of them in "
            "rvrt.spynet_checkpoint (spynet_sintel_final), or say rvrt.fix_iter 0 to train it from the beginning"
        )
    return None


def spynet_weights(weights: dict[str, np.ndarray], path: str) -> dict[str, np.ndarray]:
    """SpyNet's weights under its own names, from a file of SpyNet alone or of a whole RVRT."""
    inside = {name.removeprefix(_INSIDE): array for name, array in weights.items() if name.startswith(_INSIDE)}
    weights = inside or weights
    if _MARK not in weights:
        raise InputError(
            f"rvrt.spynet_checkpoint {path} holds no SpyNet: it should be the weights of SpyNet or of an RVRT"
        )
    return weights


def why_no_identity(upscale: int, embed_dims: Sequence[int], inputconv_groups: Sequence[int]) -> str:
    """What keeps an RVRT of these arguments from starting near the identity, '' if nothing does."""
    dims = set(embed_dims)
    if len(dims) > 1 or min(dims) % 24 or min(dims) < carried_channels(upscale):
        return (
            f"a start near the identity needs embed_dims that are equal, multiples of 24 and at least "
            f"{carried_channels(upscale)}, not {list(embed_dims)}"
        )
    if inputconv_groups[0] != 1 or inputconv_groups[5] != 1:
        return f"a start near the identity needs a first and a last group of 1, not {list(inputconv_groups)}"
    return ""


def carried_channels(upscale: int) -> int:
    """How many channels carry pixels: those of one, or of the 4 x 4 that share a token."""
    return 3 if upscale == 4 else 48
