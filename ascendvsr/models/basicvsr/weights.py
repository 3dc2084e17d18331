"""How checkpoints of BasicVSR are recognized."""

from ascendvsr.models.card import Architecture, OtherNames, Shapes

# Source: open-mmlab/mmagic, `mmagic/models/editors/basicvsr/basicvsr_net.py`. Its SpyNet numbers the convolutions
# alone, the official one the activations between them too.
OF_MMAGIC = OtherNames(
    mark="backward_resblocks.",
    rules=(
        (r"^(backward|forward)_resblocks\.", r"\1_trunk."),
        (r"^upsample(\d)\.upsample_conv\.", r"upconv\1."),
        *((rf"(\.basic_module\.\d)\.basic_module\.{n}\.conv\.", rf"\1.basic_module.{2 * n}.") for n in range(5)),
    ),
)


def detect(shapes: Shapes) -> list[Architecture]:
    """BasicVSR of any width and depth. IconVSR, which has an EDVR besides, is another network."""
    if not any(name.startswith("backward_trunk.") for name in shapes):
        return []
    if any(name.startswith(("edvr.", "backward_fusion.")) for name in shapes):
        return []
    num_feat = shapes["backward_trunk.main.0.weight"][0]
    prefix = "backward_trunk.main.2."
    blocks = {name.removeprefix(prefix).split(".")[0] for name in shapes if name.startswith(prefix)}
    settings = {
        "model.name": "BasicVSR",
        "model.scale": 4,
        "basicvsr.num_feat": num_feat,
        "basicvsr.num_block": len(blocks),
    }
    return [Architecture("BasicVSR", settings, f"{num_feat} channels, {len(blocks)} residual blocks each way, x4")]
