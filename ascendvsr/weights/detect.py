"""Which network a checkpoint is of, read off the names and shapes of its tensors.

Each family adds one function to `_FAMILIES`: shapes by name -> all networks of the family that these could be.
"""

from collections.abc import Callable, Mapping

import numpy as np
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.weights.architecture import Architecture, Shapes
from ascendvsr.weights.families.cdvd_tsp import cdvd_tsp
from ascendvsr.weights.families.deblur_devil import deblur_devil
from ascendvsr.weights.families.flow import flow
from ascendvsr.weights.families.pvdnet import pvdnet
from ascendvsr.weights.families.rvrt import rvrt


def detect(
    state_dict: Mapping[str, np.ndarray], source: str = "the checkpoint", config: CfgNode | None = None
) -> Architecture:
    """The network whose weights these are. `source` names them in messages.

    Where several networks could have them, `config` says which it is. Raises `InputError` that says what they seem
    to be when no known network has such names, and that lists the candidates when several could have them.
    """
    shapes = {name: tuple(array.shape) for name, array in state_dict.items()}
    candidates = []
    for family, candidates_in in _FAMILIES.items():
        try:
            candidates += candidates_in(shapes)
        except KeyError as missing:
            raise InputError(f"{source} holds a part of {family} only: it lacks {missing.args[0]}") from None
        except (IndexError, ValueError, ZeroDivisionError):
            raise InputError(f"{source} has the names of {family} and shapes that it never has") from None
    if not candidates:
        names = ", ".join(list(shapes)[:4]) + (", ..." if len(shapes) > 4 else "")
        raise InputError(
            f"{source} is of no network that is known here ({', '.join(_FAMILIES)}): "
            f"it holds {len(shapes)} tensors ({names})"
        )
    if config is not None:
        candidates = [each for each in candidates if not _differences(config, each)][:1] or candidates
    if len(candidates) > 1:
        listed = " or ".join(describe(candidate) for candidate in candidates)
        raise InputError(f"{source} could be {listed}: save the weights of one network to a file of its own")
    return candidates[0]


def describe(architecture: Architecture) -> str:
    """Such as 'EDVR, 64 channels, 10 reconstruction blocks, 5 frames, with TSA, x4'."""
    return f"{architecture.family}, {architecture.summary}"


def check_matches(config: CfgNode, architecture: Architecture, source: str = "the checkpoint") -> None:
    """Raises `InputError` naming the keys in which a configuration differs from a checkpoint's network."""
    differences = _differences(config, architecture)
    if differences:
        raise InputError(
            f"{source} is {describe(architecture)}, and the configuration is of another network: "
            + "; ".join(differences)
        )


def _differences(config: CfgNode, architecture: Architecture) -> list[str]:
    """The keys in which a configuration is not of this network, each with both values."""
    differences = []
    for key, value in architecture.settings.items():
        configured = config
        for part in key.split("."):
            configured = configured[part]
        if configured != value:
            differences.append(f"{key} is {configured}, not {value}")
    return differences


def _edvr(shapes: Shapes) -> list[Architecture]:
    """EDVR of BasicSR and of its own repository. Without TSA, `fusion` is a single convolution."""
    if not any(name.startswith("pcd_align.cas_dcnpack.") for name in shapes):
        return []
    predeblur = any(name.startswith("predeblur.") for name in shapes)
    hr_in = any(name.startswith("predeblur.stride_conv_hr") for name in shapes)
    first = "predeblur.conv_first.weight" if predeblur else "conv_first.weight"
    channels, input_channels = shapes[first][:2]
    offset_channels = shapes["pcd_align.cas_dcnpack.conv_offset.weight"][0]
    shared = {
        "model.name": "EDVR",
        "model.scale": 1 if hr_in else 4,
        "edvr.with_predeblur": predeblur,
        "edvr.hr_in": hr_in,
        "edvr.num_in_ch": input_channels,
        "edvr.num_out_ch": shapes["conv_last.weight"][0],
        "edvr.mid_channels": channels,
        "edvr.num_deform_groups": offset_channels // (3 * 9),  # y, x and mask of nine taps
        "edvr.num_blocks_extraction": _blocks(shapes, "feature_extraction."),
        "edvr.num_blocks_reconstruction": _blocks(shapes, "reconstruction."),
    }
    if shapes["conv_hr.weight"][0] != 64:  # of all published ones
        shared["edvr.num_hr_feat"] = shapes["conv_hr.weight"][0]
    fusions = {True: "fusion.feat_fusion.weight", False: "fusion.weight"}
    found = {with_tsa: shapes[name] for with_tsa, name in fusions.items() if name in shapes}
    if not found:
        raise KeyError(" and ".join(fusions.values()))
    return [
        _edvr_with(shared | {"model.num_frames": shape[1] // channels, "edvr.with_tsa": with_tsa})
        for with_tsa, shape in found.items()
    ]


def _edvr_with(settings: dict[str, object]) -> Architecture:
    words = [
        f"{settings['edvr.mid_channels']} channels",
        f"{settings['edvr.num_blocks_reconstruction']} reconstruction blocks",
        f"{settings['model.num_frames']} frames",
        "with TSA" if settings["edvr.with_tsa"] else "without TSA",
        *(["with predeblur"] if settings["edvr.with_predeblur"] else []),
        "at input resolution" if settings["edvr.hr_in"] else f"x{settings['model.scale']}",
    ]
    return Architecture("EDVR", settings, ", ".join(words))


def _blocks(shapes: Shapes, prefix: str) -> int:
    """How many numbered blocks `<prefix><number>.` there are."""
    return len({name.removeprefix(prefix).split(".")[0] for name in shapes if name.startswith(prefix)})


_FAMILIES: dict[str, Callable[[Shapes], list[Architecture]]] = {
    "EDVR": _edvr,
    "RVRT or SpyNet": rvrt,
    "CDVD-TSP": cdvd_tsp,
    "DBN or FlowDBN": deblur_devil,
    "PVDNet or BIMNet": pvdnet,
    "flow networks": flow,
}
