"""From a configuration to a network."""

import keras
from yacs.config import CfgNode

from ascendvsr.models.edvr import EDVR


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
        "impl": edvr.impl,
        "size": config.model.size,
    }


# name of the network -> (its constructor, configuration -> the constructor's arguments)
MODELS = {"EDVR": (EDVR, _edvr)}
