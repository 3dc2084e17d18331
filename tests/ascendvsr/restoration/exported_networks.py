"""Exported networks of known outcome: those of `tests.networks` as ONNX, OpenVINO and LiteRT files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ascendvsr.deployment.metadata import write_metadata


def described(shape: Sequence[int | None], **changes) -> dict:
    """The metadata of a network of windows, of frames of `shape` [N, T, H, W, C], but for `changes`."""
    frames = {"name": "frames", "shape": list(shape), "dtype": "float32", "layout": "NTHWC", "range": [0, 1]}
    batch, length, height, width, _ = shape
    scale = changes.get("scale", 2)
    restored = [batch, height and height * scale, width and width * scale, 3]
    if changes.get("kind") == "clip":
        restored.insert(1, length)
    facts = {
        "metadata_version": 1,
        "version": "0.1.0",
        "format": "onnx",
        "network": "EDVR",
        "kind": "window",
        "step": None,
        "first": None,
        "num_frames": length,
        "center": length // 2,
        "scale": scale,
        "channels": shape[-1],
        "color": "RGB",
        "inputs": [frames],
        "outputs": [{**frames, "name": "restored", "shape": restored, "layout": "NHWC"}],
        "states": [],
        "precision": "float32",
        "multiple_of": [1, 1],
        "checkpoint": {"file": "w.pth", "sha256": "0" * 64, "license": ""},
        "settings": {},
        "tolerance": {},
    }
    return facts | changes


def write_network(
    path: Path,
    shape: Sequence[int | None],
    nodes: Sequence,
    constants: dict[str, np.ndarray],
    metadata: dict,
    states: Sequence[str] = (),
) -> Path:
    """An ONNX or OpenVINO file (as `path` ends) of a graph `frames`, `states` -> `restored` and `next_...`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    types = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}
    batch, _, height, width, _ = shape
    free = ["N", "T", "H", "W", "C"]
    dims = [name if size is None else size for name, size in zip(free, shape, strict=True)]
    if metadata["inputs"][0]["layout"] == "(NT)HWC":
        dims = metadata["inputs"][0]["shape"]
    inputs = [helper.make_tensor_value_info("frames", types[metadata["inputs"][0]["dtype"]], dims)]
    state = [batch, height, width, 3]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, state) for name in states if "state" in name]
    outputs = [helper.make_tensor_value_info("restored", types[metadata["outputs"][0]["dtype"]], None)]
    outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, state) for name in states if "next" in name]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(list(nodes), "network", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if path.suffix == ".onnx":
        onnx.save(model, path)
    else:
        import openvino

        openvino.save_model(openvino.Core().read_model(model.SerializeToString()), path, compress_to_fp16=False)
    write_metadata(path, metadata)
    return path


def mixture(path: Path, shape: Sequence[int | None], proportions: Sequence[float], **changes) -> Path:
    """`tests.networks.Mixture` of scale 2."""
    from onnx import helper

    metadata = described(shape, **changes)
    nodes = [
        helper.make_node("Mul", ["frames", "proportions"], ["parts"]),
        helper.make_node("ReduceSum", ["parts", "time"], ["mixed"], keepdims=0),
        _larger("mixed", "restored"),
    ]
    constants = {"proportions": _over_time(proportions), "time": np.array([1]), "scales": _SCALES}
    return write_network(path, shape, nodes, constants, metadata)


def mixture_of_pixels(path: Path, frames: int, height: int, width: int) -> Path:
    """The middle frame twice as large: uint8 in and out, the frames of two windows one after the other."""
    from onnx import helper

    shape = [2, frames, height, width, 3]
    metadata = described(shape)
    facts = {"dtype": "uint8", "range": [0, 255]}
    metadata["inputs"][0] |= facts | {"layout": "(NT)HWC", "shape": [2 * frames, height, width, 3]}
    metadata["outputs"][0] |= facts
    nodes = [
        helper.make_node("Slice", ["frames", "begin", "end", "axis", "step"], ["middle"]),
        helper.make_node("Cast", ["middle"], ["floats"], to=1),
        _larger("floats", "larger"),
        helper.make_node("Cast", ["larger"], ["restored"], to=2),
    ]
    places = {"begin": [frames // 2], "end": [2 * frames], "axis": [0], "step": [frames]}
    constants = {name: np.array(value) for name, value in places.items()} | {"scales": _SCALES}
    return write_network(path, shape, nodes, constants, metadata)


def recurrence(path: Path, size: tuple[int | None, int | None]) -> Path:
    """`tests.networks.Recurrence`: the file of all frames but the first, and beside it NAME_first."""
    from onnx import helper

    shape = [1, 3, *size, 3]
    state = {"name": "state_0", "shape": [1, *size, 3], "dtype": "float32", "layout": "NHWC", "range": None}
    facts = {"kind": "recurrent", "scale": 1, "network": "PVDNet"}
    first = path.with_stem(f"{path.stem}_first")
    for file, step, proportions in ((path, "next", (0.1, 0.4, 0.2)), (first, "first", (0.4, 0.4, 0.2))):
        after = step == "next"
        metadata = described(shape, step=step, **facts)
        metadata["outputs"].append(state | {"name": "next_0"})
        if after:
            metadata["inputs"].append(state)
            metadata |= {"first": first.name, "states": [["state_0", "next_0"]]}
        nodes = [
            helper.make_node("Mul", ["frames", "proportions"], ["parts"]),
            helper.make_node("ReduceSum", ["parts", "time"], ["mixed"], keepdims=0),
            helper.make_node("Mul", ["state_0" if after else "mixed", "share"], ["before"]),
            helper.make_node("Add", ["mixed", "before"], ["restored"]),
            helper.make_node("Identity", ["restored"], ["next_0"]),
        ]
        share = np.array(0.3 if after else 0, np.float32)
        constants = {"proportions": _over_time(proportions), "time": np.array([1]), "share": share}
        write_network(file, shape, nodes, constants, metadata, ["state_0", "next_0"] if after else ["next_0"])
    return path


def neighbors(path: Path, length: int, reach: int = 1) -> Path:
    """`tests.networks.Neighbors` of clips of `length` frames."""
    from onnx import helper

    shape = [1, length, None, None, 3]
    metadata = described(shape, kind="clip", scale=1, center=0, network="RVRT")
    mean = np.zeros((length, length), np.float32)
    for time in range(length):
        for step in range(-reach, reach + 1):
            mean[time, min(max(time + step, 0), length - 1)] += 1 / (2 * reach + 1)
    nodes = [
        helper.make_node("Shape", ["frames"], ["shape"]),
        helper.make_node("Reshape", ["frames", "flat"], ["rows"]),
        helper.make_node("MatMul", ["mean", "rows"], ["means"]),
        helper.make_node("Reshape", ["means", "shape"], ["restored"]),
    ]
    return write_network(path, shape, nodes, {"mean": mean, "flat": np.array([0, 0, -1])}, metadata)


_SCALES = np.array([1, 2, 2, 1], np.float32)


def _over_time(proportions: Sequence[float]) -> np.ndarray:
    return np.array(proportions, np.float32).reshape(-1, 1, 1, 1)


def _larger(name: str, result: str):
    from onnx import helper

    options = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", "mode": "nearest"}
    return helper.make_node("Resize", [name, "", "scales"], [result], **options)
