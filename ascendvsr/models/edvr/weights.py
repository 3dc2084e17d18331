"""How checkpoints of EDVR are recognized."""

from typing import Any

from ascendvsr.models.card import Architecture, OtherNames, Shapes

_TAPS = 9  # of a deformable convolution: 3 x 3
_HR_CHANNELS = 64  # at the size of the output, in all published ones

# Source: open-mmlab/mmagic, `mmagic/models/editors/edvr/edvr_net.py`.
OF_MMAGIC = OtherNames(
    mark="pcd_alignment.",
    rules=(
        (r"^pcd_alignment\.", "pcd_align."),
        (r"^feat_l(\d)_conv(\d)\.", r"conv_l\1_\2."),
        (r"^upsample(\d)\.upsample_conv\.", r"upconv\1."),
        (r"\.conv\.(weight|bias)$", r".\1"),
    ),
)


def detect(shapes: Shapes) -> list[Architecture]:
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
        "edvr.num_deform_groups": offset_channels // (3 * _TAPS),  # y, x and mask of each tap
        "edvr.num_blocks_extraction": _blocks(shapes, "feature_extraction."),
        "edvr.num_blocks_reconstruction": _blocks(shapes, "reconstruction."),
    }
    if shapes["conv_hr.weight"][0] != _HR_CHANNELS:
        shared["edvr.num_hr_feat"] = shapes["conv_hr.weight"][0]
    fusions = {True: "fusion.feat_fusion.weight", False: "fusion.weight"}
    found = {with_tsa: shapes[name] for with_tsa, name in fusions.items() if name in shapes}
    if not found:
        raise KeyError(" and ".join(fusions.values()))
    return [
        _described(shared | {"model.num_frames": shape[1] // channels, "edvr.with_tsa": with_tsa})
        for with_tsa, shape in found.items()
    ]


def _described(settings: dict[str, Any]) -> Architecture:
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
