"""How checkpoints of RVRT are recognized."""

from math import isqrt

from ascendvsr.models.card import Architecture, Shapes

_BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")
_TAPS = 9  # of the deformable attention: 3 x 3


def detect(shapes: Shapes) -> list[Architecture]:
    """RVRT of any width and task.

    The heads of the deformable attention and the largest residue of its offsets leave no trace in the weights.
    """
    if not any(name.startswith("deform_align.") for name in shapes):
        return []
    upscale = 4 if "feat_extract.main.1.weight" in shapes else 1
    extraction = "feat_extract" if upscale == 4 else "feat_extract.6"
    nonblind = upscale == 1 and shapes["feat_extract.1.weight"][1] == 4
    stages = (extraction, "backbone.backward_1", "reconstruction")
    dims = [shapes[f"{stage}.main.1.weight"][0] for stage in stages]
    entering = [3 if upscale == 4 else dims[0], *((2 + branch) * dims[0] for branch in range(4)), 5 * dims[1]]
    convolved = (extraction, *(f"backbone.{branch}" for branch in _BRANCHES), "reconstruction")
    groups = [
        channels // shapes[f"{name}.main.1.weight"][1] for channels, name in zip(entering, convolved, strict=True)
    ]
    block = "main.5.0.residual_group.blocks"
    rows, _ = shapes[f"{extraction}.{block}.0.attn.relative_position_bias_table"]
    side = (isqrt(rows) + 1) // 2
    clip_rows, _ = shapes[f"backbone.backward_1.{block}.0.attn.relative_position_bias_table"]
    settings = {
        "model.name": "RVRT",
        "model.scale": upscale,
        "rvrt.window_size": [(clip_rows // rows + 1) // 2, side, side],
        "rvrt.num_blocks": [_count(shapes, f"{stage}.main.5.") for stage in stages],
        "rvrt.depths": [_count(shapes, f"{stage}.{block}.") for stage in stages],
        "rvrt.embed_dims": dims,
        "rvrt.num_heads": [shapes[f"{stage}.{block}.0.attn.relative_position_bias_table"][1] for stage in stages],
        "rvrt.mlp_ratio": shapes[f"{extraction}.{block}.0.mlp.fc1.weight"][0] / dims[0],
        "rvrt.inputconv_groups": groups,
        "rvrt.deformable_groups": shapes["deform_align.backward_1.conv_offset.10.bias"][0] // (2 * _TAPS * 2),
        "rvrt.nonblind_denoising": nonblind,
    }
    task = "x4" if upscale == 4 else "denoising at input resolution" if nonblind else "at input resolution"
    return [Architecture("RVRT", settings, f"{dims[1]} channels, groups {groups}, {task}")]


def _count(shapes: Shapes, prefix: str) -> int:
    """How many numbered parts `<prefix><number>.` there are."""
    return len({name.removeprefix(prefix).split(".")[0] for name in shapes if name.startswith(prefix)})
