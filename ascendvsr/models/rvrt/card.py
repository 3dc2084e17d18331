"""The card of RVRT. Its settings have the paper's names; `model.scale` is its upscale, 4 or 1."""

from collections.abc import Iterator, Sequence
from typing import Any

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import flag, integer, listing, number, path, word
from ascendvsr.models.card import IMPLEMENTATIONS, Card
from ascendvsr.models.rvrt.weights import detect
from ascendvsr.models.rvrt.zoo import ZOO

_SIDE = integer(1, "tokens", low=1, high=64)
_COUNT = integer(1, "how many", low=1, high=64)
_CHANNELS = integer(1, "channels", low=1, high=1024)

SETTINGS = {
    "window_size": listing([2, 8, 8], "frames, rows and columns of the attention's windows", _SIDE, (3,)),
    "num_blocks": listing(
        [1, 2, 1], "residual groups of the extraction, the four branches and the reconstruction", _COUNT, (3,)
    ),
    "depths": listing([2, 2, 2], "attention layers per group of each", _COUNT, (3,)),
    "embed_dims": listing([144, 144, 144], "channels of each", _CHANNELS, (3,)),
    "num_heads": listing([6, 6, 6], "attention heads of each", _COUNT, (3,)),
    "mlp_ratio": number(2.0, "width of the feed-forward parts over that of the features", above=0.0, high=64.0),
    "inputconv_groups": listing(
        [1, 1, 1, 1, 1, 1], "groups of the convolutions that enter each of the six parts", _CHANNELS, (6,)
    ),
    "deformable_groups": integer(12, "groups of channels with offsets of their own", low=1, high=4096),
    "attention_heads": integer(12, "of the deformable attention", low=1, high=4096),
    "attention_window": listing([3, 3], "taps of the deformable attention", _SIDE, (2,)),
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
    for problem in _problems(cfg.model.scale, **{name: options[name] for name in _STRUCTURE}):
        raise InputError(f"rvrt.{problem}")
    return {"upscale": cfg.model.scale, "size": cfg.model.size, **options}


_STRUCTURE = (
    "window_size",
    "embed_dims",
    "num_heads",
    "mlp_ratio",
    "inputconv_groups",
    "deformable_groups",
    "attention_heads",
    "attention_window",
    "nonblind_denoising",
)


def _problems(
    upscale: int,
    window_size: Sequence[int],
    embed_dims: Sequence[int],
    num_heads: Sequence[int],
    mlp_ratio: float,
    inputconv_groups: Sequence[int],
    deformable_groups: int,
    attention_heads: int,
    attention_window: Sequence[int],
    nonblind_denoising: bool,
) -> Iterator[str]:
    """What in these settings does not fit together, each beginning with the name of one."""
    dims = list(embed_dims)
    if window_size[0] not in (1, 2):
        yield f"window_size is {list(window_size)}: windows are 1 or 2 frames long"
    if attention_window[0] != attention_window[1] or attention_window[0] % 2 == 0:
        yield f"attention_window is {list(attention_window)}; it should be square, of an odd side"
    if dims[0] != dims[1]:
        yield f"embed_dims is {dims}; the first two should be equal: branches take both"
    for channels, heads in zip(dims, num_heads, strict=True):
        if channels % heads:
            yield f"embed_dims is {dims} and num_heads {list(num_heads)}: {channels} is no multiple of {heads}"
    if int(min(dims) * mlp_ratio) < 1:
        yield f"mlp_ratio is {mlp_ratio}: of {min(dims)} channels it leaves none"
    for name, count, channels in (
        ("attention_heads", attention_heads, 2 * dims[1]),
        ("deformable_groups", deformable_groups, 4 * dims[1]),
    ):
        if channels % count:
            yield f"{name} is {count}; with embed_dims {dims} it should divide {channels}"
    first = dims[0] if upscale == 1 else 4 if nonblind_denoising else 3
    entering = [first, *((2 + branch) * dims[1] for branch in range(4)), 5 * dims[1]]
    leaving = [dims[0], *[dims[1]] * 4, dims[2]]
    for count, channels, filters in zip(inputconv_groups, entering, leaving, strict=True):
        if channels % count or filters % count:
            yield (
                f"inputconv_groups is {list(inputconv_groups)}: {count} should divide the {channels} channels that "
                f"enter and the {filters} that leave"
            )


CARDS = (
    Card(
        name="RVRT",
        title="RVRT",
        kind="clip",
        in_steps=True,
        network="ascendvsr.models.rvrt.network:RVRT",
        arguments=arguments,
        detect=detect,
        settings={"rvrt": SETTINGS},
        zoo=ZOO,
        published_as=("params", ""),
        training="ascendvsr.models.rvrt.training:RVRTTraining",
        read_inputs="ascendvsr.models.rvrt.inputs:read_inputs",
        channels=lambda cfg: 4 if cfg.rvrt.nonblind_denoising else 3,
        scale=lambda cfg: cfg.model.scale,
        # SpyNet wants more than 32 pixels where it computes flow, which is at a quarter of the size without
        # upscaling. Smaller frames are padded, but tiles of padding are not worth their time.
        smallest_tile=lambda cfg: 33 if cfg.model.scale == 4 else 132,
        protocol="rvrt",
        flow_prefixes=("spynet.",),
    ),
)
