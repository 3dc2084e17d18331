"""The card of RVRT. Its settings have the paper's names; `model.scale` is its upscale, 4 or 1."""

from typing import Any

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import flag, integer, listing, number, path, word
from ascendvsr.models.card import IMPLEMENTATIONS, Card
from ascendvsr.models.rvrt.weights import detect
from ascendvsr.models.rvrt.zoo import ZOO

_COUNT = integer(1, "a number", low=1, high=4096)

SETTINGS = {
    "window_size": listing([2, 8, 8], "frames, rows and columns of the attention's windows", _COUNT, (3,)),
    "num_blocks": listing(
        [1, 2, 1], "residual groups of the extraction, the four branches and the reconstruction", _COUNT, (3,)
    ),
    "depths": listing([2, 2, 2], "attention layers per group of each", _COUNT, (3,)),
    "embed_dims": listing([144, 144, 144], "channels of each", _COUNT, (3,)),
    "num_heads": listing([6, 6, 6], "attention heads of each", _COUNT, (3,)),
    "mlp_ratio": number(2.0, "width of the feed-forward parts over that of the features", above=0.0, high=64.0),
    "inputconv_groups": listing(
        [1, 1, 1, 1, 1, 1], "groups of the convolutions that enter each of the six parts", _COUNT, (6,)
    ),
    "deformable_groups": integer(12, "groups of channels with offsets of their own", low=1, high=4096),
    "attention_heads": integer(12, "of the deformable attention", low=1, high=4096),
    "attention_window": listing([3, 3], "taps of the deformable attention", _COUNT, (2,)),
    "max_residue_magnitude": number(10.0, "pixels that an offset may differ from the flow", above=0.0, high=1e6),
    "nonblind_denoising": flag(False, "a fourth input channel is the standard deviation of the noise / 255"),
    "use_checkpoint_attn": flag(False, "training computes attention twice instead of keeping what is inside it"),
    "use_checkpoint_ffn": flag(False, "the same of the feed-forward parts"),
    "impl": word("auto", "implementation of the deformable attention", IMPLEMENTATIONS),
    "spynet_checkpoint": path("", "weights that SpyNet begins with: spynet_sintel_final, or of an RVRT"),
    "fix_iter": integer(30000, "SpyNet learns from this step on"),
    "fix_lr_mul": number(0.25, "at this part of the rate", high=1e6),
    "identity_start": flag(False, "begin near the identity, for short runs; see ascendvsr/models/rvrt/start.py"),
}

_ARGUMENTS = (
    "window_size",
    "num_blocks",
    "depths",
    "embed_dims",
    "num_heads",
    "mlp_ratio",
    "inputconv_groups",
    "max_residue_magnitude",
    "deformable_groups",
    "attention_heads",
    "attention_window",
    "nonblind_denoising",
    "use_checkpoint_attn",
    "use_checkpoint_ffn",
    "impl",
)


def arguments(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of `RVRT`."""
    if cfg.model.scale not in (1, 4):
        raise InputError(f"model.scale of RVRT should be 4 or 1, not {cfg.model.scale}")
    options = {name: cfg.rvrt[name] for name in _ARGUMENTS}
    return {"upscale": cfg.model.scale, "size": cfg.model.size, **options}


CARDS = (
    Card(
        name="RVRT",
        title="RVRT",
        kind="clip",
        network="ascendvsr.models.rvrt.network:RVRT",
        arguments=arguments,
        detect=detect,
        settings={"rvrt": SETTINGS},
        zoo=ZOO,
        training="ascendvsr.models.rvrt.training:RVRTTraining",
        read_inputs="ascendvsr.models.rvrt.inputs:read_inputs",
        channels=lambda cfg: 4 if cfg.rvrt.nonblind_denoising else 3,
        # SpyNet wants more than 32 pixels where it computes flow, which is at a quarter of the size without
        # upscaling. Smaller frames are padded, but tiles of padding are not worth their time.
        smallest_tile=lambda cfg: 33 if cfg.model.scale == 4 else 132,
        protocol="rvrt",
        flow_prefixes=("spynet.",),
    ),
)
