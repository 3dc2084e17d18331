"""The card of EDVR."""

from typing import Any

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import flag, integer, number, word
from ascendvsr.models.card import IMPLEMENTATIONS, Card
from ascendvsr.models.edvr.weights import OF_MMAGIC, detect
from ascendvsr.models.edvr.zoo import ZOO

SETTINGS = {
    "with_tsa": flag(True, "temporal and spatial attention; else one 1x1 convolution fuses the frames"),
    "with_predeblur": flag(False, "a small deblurring network comes first"),
    "hr_in": flag(False, "input at output resolution (deblurring)"),
    "num_in_ch": integer(3, "channels of an input frame", low=1, high=16),
    "num_out_ch": integer(3, "channels of a restored frame", low=1, high=16),
    "center_frame_idx": integer(None, "which frame of the window is restored; None: the middle one", optional=True),
    "mid_channels": integer(64, "channels of the features", low=1, high=1024),
    "num_hr_feat": integer(64, "channels of the features at the size of the output", low=1, high=1024),
    "num_groups": integer(
        1,
        "of the deformable convolutions' channels",
        choices=(1,),
        reason="the deformable convolutions of the published EDVR have one group",
    ),
    "num_deform_groups": integer(8, "groups of channels with offsets of their own", low=1, high=4096),
    "num_blocks_extraction": integer(5, "residual blocks before the alignment", high=1000),
    "num_blocks_reconstruction": integer(10, "residual blocks after the fusion", high=1000),
    "dcn_version": word(
        "v2",
        "of the deformable convolutions",
        ("v2",),
        reason="the published EDVR uses modulated deformable convolutions (v2)",
    ),
    "impl": word("auto", "implementation of the deformable convolutions", IMPLEMENTATIONS),
    "upsampling": word(
        "bilinear",
        "of the restored frame, to which the network adds",
        ("bilinear",),
        reason="the published EDVR adds a bilinearly upsampled center frame",
    ),
    "even_start": flag(False, "begin with features of even strength, for short runs"),
    "loss_type": word(
        "l2", "the loss", ("l1", "l2", "charbonnier", "marginal l1"), aliases={"marginal_l1": "marginal l1"}
    ),
    "loss_reduction": word(
        "mean",
        "over the batch, of the sum over H, W, C: mean | sum; pixel: the mean over all",
        ("mean", "sum", "pixel"),
    ),
    "loss_margin": number(1e-6, "of marginal l1; epsilon of charbonnier", low=1e-30, high=1e6),
}


def arguments(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of `EDVR`."""
    edvr, num_frames = cfg.edvr, cfg.model.num_frames
    if edvr.center_frame_idx is not None and edvr.center_frame_idx >= num_frames:
        raise InputError(
            f"edvr.center_frame_idx is {edvr.center_frame_idx}, and a window has model.num_frames {num_frames}: it "
            f"should be from 0 to {num_frames - 1}, or None"
        )
    if edvr.mid_channels % edvr.num_deform_groups:
        raise InputError(
            f"edvr.mid_channels ({edvr.mid_channels}) should be a multiple of edvr.num_deform_groups "
            f"({edvr.num_deform_groups})"
        )
    if edvr.num_in_ch != edvr.num_out_ch:
        raise InputError(
            f"edvr.num_in_ch is {edvr.num_in_ch} and edvr.num_out_ch is {edvr.num_out_ch}: the network adds to its "
            "input, so they should be equal"
        )
    if edvr.hr_in and not edvr.with_predeblur:
        raise InputError(
            "edvr.hr_in is True, and only the deblurring network takes input at output resolution: say "
            "edvr.with_predeblur True too"
        )
    return {
        "num_in_ch": edvr.num_in_ch,
        "num_out_ch": edvr.num_out_ch,
        "num_feat": edvr.mid_channels,
        "num_frame": num_frames,
        "deformable_groups": edvr.num_deform_groups,
        "num_extract_block": edvr.num_blocks_extraction,
        "num_reconstruct_block": edvr.num_blocks_reconstruction,
        "center_frame_idx": edvr.center_frame_idx,
        "hr_in": edvr.hr_in,
        "with_predeblur": edvr.with_predeblur,
        "with_tsa": edvr.with_tsa,
        "num_hr_feat": edvr.num_hr_feat,
        "impl": edvr.impl,
        "size": cfg.model.size,
    }


CARDS = (
    Card(
        name="EDVR",
        title="EDVR",
        kind="window",
        network="ascendvsr.models.edvr.network:EDVR",
        arguments=arguments,
        detect=detect,
        settings={"edvr": SETTINGS},
        zoo=ZOO,
        published_as=("params", ""),
        other_names=OF_MMAGIC,
        training="ascendvsr.models.edvr.training:EDVRTraining",
        channels=lambda cfg: cfg.edvr.num_in_ch,
        scale=lambda cfg: 1 if cfg.edvr.hr_in else 4,
        restored_frame=lambda cfg: cfg.edvr.center_frame_idx,
        shares_frames=True,
    ),
)
