"""How checkpoints of CDVD-TSP are recognized."""

from ascendvsr.models.card import Architecture, Shapes


def detect(shapes: Shapes) -> list[Architecture]:
    """CDVD-TSP. All stages take three frames with the same weights, which do not tell how many stages there are."""
    if not any(name.startswith("recons_net.") for name in shapes):
        return []
    n_feat = shapes["recons_net.inBlock.0.0.weight"][0]
    n_resblock = sum(name.startswith("recons_net.inBlock.") and name.endswith(".conv1.weight") for name in shapes)
    settings = {
        "model.name": "CDVDTSP",
        "model.scale": 1,
        "cdvd_tsp.n_feat": n_feat,
        "cdvd_tsp.n_resblock": n_resblock,
    }
    return [Architecture("CDVD-TSP", settings, f"{n_feat} channels, {n_resblock} residual blocks")]
