"""From a configuration to a network."""

import keras
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.models.cdvd_tsp import CDVDTSP
from ascendvsr.models.dbn import DBN
from ascendvsr.models.edvr import EDVR
from ascendvsr.models.flow.flownet1s import FlowNet1S
from ascendvsr.models.flow.liteflownet import LiteFlowNet
from ascendvsr.models.flow.pwcnet import PWCNet
from ascendvsr.models.flow.pwcnet_devil import PWCNetDevil
from ascendvsr.models.flow.spynet import SpyNet
from ascendvsr.models.flowdbn import FlowDBN
from ascendvsr.models.pvdnet import PVDNet
from ascendvsr.models.rvrt import RVRT


def build_model(config: CfgNode) -> keras.Model:
    """The network that `config.model.name` names, with its weights initialised."""
    constructor, arguments = MODELS[config.model.name]
    return constructor(**arguments(config))


def _edvr(config: CfgNode) -> dict:
    edvr = config.edvr
    return {
        "num_in_ch": edvr.num_in_ch,
        "num_out_ch": edvr.num_out_ch,
        "num_feat": edvr.mid_channels,
        "num_frame": config.model.num_frames,
        "deformable_groups": edvr.num_deform_groups,
        "num_extract_block": edvr.num_blocks_extraction,
        "num_reconstruct_block": edvr.num_blocks_reconstruction,
        "center_frame_idx": edvr.center_frame_idx,
        "hr_in": edvr.hr_in,
        "with_predeblur": edvr.with_predeblur,
        "with_tsa": edvr.with_tsa,
        "num_hr_feat": edvr.num_hr_feat,
        "impl": edvr.impl,
        "size": config.model.size,
    }


def _rvrt(config: CfgNode) -> dict:
    if config.model.scale not in (1, 4):
        raise InputError(f"model.scale of RVRT should be 4 or 1, not {config.model.scale}")
    names = (
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
    options = {name: config.rvrt[name] for name in names}
    return {"upscale": config.model.scale, "size": config.model.size, **options}


def _cdvd_tsp(config: CfgNode) -> dict:
    if config.model.num_frames not in (3, 5, 7):
        raise InputError(f"model.num_frames of CDVDTSP should be 3, 5 or 7, not {config.model.num_frames}")
    options = config.cdvd_tsp
    return {
        "n_sequence": config.model.num_frames,
        "n_resblock": options.n_resblock,
        "n_feat": options.n_feat,
        "is_mask_filter": options.is_mask_filter,
        "impl": options.impl,
        "size": config.model.size,
    }


def _dbn(config: CfgNode) -> dict:
    options = config.deblur_devil
    return {
        "num_frame": config.model.num_frames,
        "num_feat": options.num_feat,
        "init_type": options.init_type,
        "output_layer": options.output_layer,
        "color_space": options.color_space,
        "size": config.model.size,
    }


def _flowdbn(config: CfgNode) -> dict:
    options = config.deblur_devil
    flow = {"prewarping": options.prewarping, "div_flow": options.div_flow, "impl": options.impl}
    return _dbn(config) | flow


def _pvdnet(config: CfgNode) -> dict:
    return {
        "num_blocks": config.pvdnet.num_blocks,
        "channels": config.pvdnet.channels,
        "pv_ksize": config.pvdnet.pv_ksize,
        "impl": config.pvdnet.impl,
        "size": config.model.size,
    }


def _bimnet(config: CfgNode) -> dict:
    return {"impl": config.pvdnet.impl}


def _pwcnet(config: CfgNode) -> dict:
    return {"impl": config.flow.impl}


def _pwcnet_devil(config: CfgNode) -> dict:
    return {"div_flow": config.flow.div_flow, "impl": config.flow.impl}


def _flownet1s(config: CfgNode) -> dict:
    return {"div_flow": config.flow.div_flow}


# name of the network -> (its constructor, configuration -> the constructor's arguments)
MODELS = {
    "EDVR": (EDVR, _edvr),
    "RVRT": (RVRT, _rvrt),
    "CDVDTSP": (CDVDTSP, _cdvd_tsp),
    "DBN": (DBN, _dbn),
    "FlowDBN": (FlowDBN, _flowdbn),
    "PVDNet": (PVDNet, _pvdnet),
    "BIMNet": (LiteFlowNet, _bimnet),
    "SpyNet": (SpyNet, lambda config: {}),
    "PWCNet": (PWCNet, _pwcnet),
    "PWCNetDevil": (PWCNetDevil, _pwcnet_devil),
    "FlowNet1S": (FlowNet1S, _flownet1s),
}
