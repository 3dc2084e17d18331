"""Checkpoints of DBN and FlowDBN."""

from ascendvsr.weights.architecture import Architecture, Shapes

# What the names of a flow network begin with.
_FLOW_NETWORKS = {"pwcnet": "pwcnet_impl.", "flownet1s": "flownets."}


def deblur_devil(shapes: Shapes) -> list[Architecture]:
    """DBN and FlowDBN. The first convolution has three channels for each of T frames, or of 2 T - 1 in FlowDBN."""
    prefix = "flowdbn." if any(name.startswith("flowdbn.") for name in shapes) else ""
    if not any(name.startswith(f"{prefix}dbn_net.") for name in shapes):
        return []
    num_feat, in_channels = shapes[f"{prefix}dbn_net.f0.0.weight"][:2]
    num_frames = (in_channels // 3 + 1) // 2 if prefix else in_channels // 3
    if num_frames % 2 == 0 or in_channels != 3 * (2 * num_frames - 1 if prefix else num_frames):
        raise ValueError("a window without a middle frame")
    settings = {
        "model.name": "FlowDBN" if prefix else "DBN",
        "model.scale": 1,
        "model.num_frames": num_frames,
        "deblur_devil.num_feat": num_feat,
    }
    words = [f"{num_frames} frames", f"{num_feat} channels"]
    if prefix:
        warping = "flowdbn.warping_network.network."
        found = [key for key, start in _FLOW_NETWORKS.items() if any(n.startswith(warping + start) for n in shapes)]
        if not found:
            raise KeyError(f"{warping}*, the flow network")
        settings["deblur_devil.prewarping"] = found[0]
        words.append(f"prewarping by {found[0]}")
    return [Architecture(settings["model.name"], settings, ", ".join(words))]
