"""How checkpoints of DBN and FlowDBN are recognized."""

from collections.abc import Iterable

from ascendvsr.models.card import Architecture, Shapes

FLOW_PREFIX = "flowdbn.warping_network.network."  # of the flow network's names in FlowDBN
# What its names begin with after that.
_FLOW_NETWORKS = {"pwcnet": "pwcnet_impl.", "flownet1s": "flownets."}


def detect_dbn(shapes: Shapes) -> list[Architecture]:
    """DBN. The first convolution has three channels for each of T frames, and one more if it is told of noise."""
    return _detect(shapes, "")


def detect_flowdbn(shapes: Shapes) -> list[Architecture]:
    """FlowDBN. The first convolution has three channels for each of 2 T - 1 frames."""
    return _detect(shapes, "flowdbn.")


def holds_flow_network(names: Iterable[str], prewarping: str) -> bool:
    """Whether these are names of a FlowDBN with the flow network that `deblur_devil.prewarping` says."""
    return any(name.startswith(FLOW_PREFIX + _FLOW_NETWORKS[prewarping]) for name in names)


def _detect(shapes: Shapes, prefix: str) -> list[Architecture]:
    if not any(name.startswith(f"{prefix}dbn_net.") for name in shapes):
        return []
    num_feat, in_channels = shapes[f"{prefix}dbn_net.f0.0.weight"][:2]
    num_frames = (in_channels // 3 + 1) // 2 if prefix else in_channels // 3
    told = not prefix and in_channels % 3 == 1
    if num_frames % 2 == 0 or in_channels != 3 * (2 * num_frames - 1 if prefix else num_frames) + told:
        raise ValueError("a window without a middle frame")
    name = "FlowDBN" if prefix else "DBN"
    settings: dict[str, object] = {
        "model.name": name,
        "model.scale": 1,
        "model.num_frames": num_frames,
        "deblur_devil.num_feat": num_feat,
    }
    words = [f"{num_frames} frames", f"{num_feat} channels"]
    if told:
        settings["deblur_devil.nonblind_denoising"] = True
        words.append("denoising")
    if prefix:
        found = [prewarping for prewarping in _FLOW_NETWORKS if holds_flow_network(shapes, prewarping)]
        if not found:
            raise KeyError(f"{FLOW_PREFIX}*, the flow network")
        settings["deblur_devil.prewarping"] = found[0]
        words.append(f"prewarping by {found[0]}")
    return [Architecture(name, settings, ", ".join(words))]
