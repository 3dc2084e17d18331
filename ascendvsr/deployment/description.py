"""What exported files say of themselves: their metadata, and the JSON file beside a frozen graph."""

from collections.abc import Mapping, Sequence
from typing import Any

from ascendvsr import __version__
from ascendvsr.deployment.formats import Format, Traced
from ascendvsr.deployment.metadata import VERSION
from ascendvsr.deployment.origin import Origin
from ascendvsr.deployment.parity import TOLERANCES
from ascendvsr.deployment.serving import FIRST, FLOW, FRAMES, RESTORED, STEP, Served, state_for


def metadata(
    served: Served, traced: Traced, kind: Format, names: Mapping[str, str], precision: str, origin: Origin
) -> dict:
    """What the file of one signature says of itself: see `ascendvsr.deployment.metadata`."""
    card, model, function = served.card, served.model, traced.function
    inputs = [tensor for tensor in function.inputs if tensor.dtype.name != "resource"]
    outputs = function.structured_outputs
    ranges = {"uint8": [0, 255]}
    tensors = [
        [
            {
                "name": name,
                "shape": list(tensor.shape),
                "dtype": tensor.dtype.name,
                "layout": _layout(name, tensor, served),
                "range": "pixels"
                if name == FLOW
                else ranges.get(tensor.dtype.name, [0, 1])
                if name in (FRAMES, RESTORED)
                else None,
            }
            for name, tensor in side
        ]
        for side in ([(tensor.name.split(":")[0], tensor) for tensor in inputs], outputs.items())
    ]
    tensors[1].sort(key=lambda tensor: tensor["name"] not in (RESTORED, FLOW))
    after = {name: before for before, name in zip(state_for(outputs), _next_names(outputs), strict=True)}
    recurrent = card.kind == "recurrent"
    tolerance = TOLERANCES[precision]
    uint8 = served.output_dtype == "uint8" and card.restores
    return {
        "metadata_version": VERSION,
        "version": __version__,
        "format": kind.name,
        "network": card.name,
        "kind": card.kind,
        "step": ("first" if traced.signature == FIRST else "next") if recurrent else None,
        "first": names.get(FIRST) if traced.signature == STEP else None,
        "num_frames": served.num_frames,
        "center": model.center_frame_idx if card.kind in ("window", "recurrent") else 0,
        "scale": model.scale if card.restores else 1,
        "channels": served.channels,
        "color": "RGB",
        "inputs": tensors[0],
        "outputs": tensors[1],
        "states": [[before, name] for name, before in after.items()] if traced.signature == STEP else [],
        "precision": precision,
        "multiple_of": [1, 1],
        "checkpoint": dict(origin.checkpoint),
        "settings": dict(origin.settings),
        "tolerance": {"accepted": tolerance.levels if uint8 else tolerance.floats, "unit": served.unit},
    }


def _next_names(outputs: Mapping[str, Any]) -> list[str]:
    return [name for name in outputs if name not in (RESTORED, FLOW)]


def _layout(name: str, tensor: Any, served: Served) -> str:
    if name == FRAMES and served.folded:
        return "(NT)HWC"
    return {5: "NTHWC", 4: "NHWC"}.get(len(tensor.shape), "N" + "?" * (len(tensor.shape) - 1))


def describe(served: Served, functions: Sequence[Traced], files: Mapping[str, str], origin: Origin) -> dict:
    """What a program that runs a frozen graph or SavedModel needs to know."""
    card, model = served.card, served.model
    main = next(part.function for part in functions if part.signature == STEP)
    result = main.structured_outputs[served.main_output]
    ranges = {FLOW: "pixels; x (right), y (down)", "uint8": [0, 255]}
    frames = main.inputs[0]
    facts = {
        "network": card.name,
        "checkpoint": origin.checkpoint["file"],
        "kind": card.kind,
        "scale": model.scale if card.restores else 1,
        "color": "RGB" + (", and the deviation of the noise / 255" if served.channels == 4 else ""),
        "input": _about(frames)
        | {
            "layout": _FOLDED if served.folded else "[N, T, H, W, C]",
            "range": ranges.get(frames.dtype.name, [0, 1]),
        },
        "output": _about(result)
        | {
            "name": f"{served.main_output}:0",
            "layout": "[N, T, H, W, C]" if card.kind == "clip" else "[N, H, W, C]",
            "range": ranges.get(served.main_output) or ranges.get(result.dtype.name, [0, 1]),
        },
        "saved_model_signature": STEP,
    }
    if card.kind in ("window", "recurrent"):
        facts |= {"window": model.num_frame, "restored_frame_of_window": model.center_frame_idx}
    if FIRST in files:
        facts["state"] = [_about(tensor) for tensor in main.inputs if tensor.name.startswith("state_")]
        facts["start"] = (
            f"{files[FIRST]} (signature {FIRST}) takes the first window of a video and no state; each step's "
            "next_NAME is the state_NAME of the step after it"
        )
    return facts


_FOLDED = "[N * T, H, W, C], the T frames of a window in order"


def _about(tensor: Any) -> dict:
    return {"name": tensor.name, "shape": tensor.shape.as_list(), "dtype": tensor.dtype.name}
