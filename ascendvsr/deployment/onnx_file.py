"""ONNX files, made of frozen graphs by tf2onnx."""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ascendvsr.deployment.standard_operations import PLACEHOLDER

# tf2onnx goes up to 18. DeformConv came with 19, which changed nothing that our graphs have.
OPSET, _HIGHEST, _DEFORM_CONV = 17, 18, 19

# Ascend's node for a deformable convolution: experimental, of opsets 9 to 16.
ASCEND_NODE, ASCEND_OPSET = "DeformableConv2D", 16

# Weights of fewer values stay float32: they are scales and biases, which take no room.
_FEWEST_HALVED = 1024


def write_onnx(
    graph, inputs: Sequence[str], outputs: Sequence[str], path: Path, *, opset: int = OPSET, halved: bool = False
) -> None:
    """An ONNX file of a frozen graph.

    Args:
        graph: a GraphDef with a tensor NAME:0 for each of `inputs` and `outputs`, which ONNX calls NAME.
        opset: its version of ONNX's operators; 19 where a placeholder stands for a deformable convolution.
        halved: whether large weights are stored as float16; it computes in float32.

    Raises `RuntimeError` where an operation has no counterpart.
    """
    import onnx

    model = converted(graph, inputs, outputs, min(opset, _HIGHEST))
    if opset >= _DEFORM_CONV:
        _at_opset(model, opset)
    if halved:
        _halve(model)
    if all(node.op_type != ASCEND_NODE for node in model.graph.node):
        onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _at_opset(model, opset: int) -> None:
    """Says that a model is of a later opset, which changed nothing that it has."""
    (version,) = (entry for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    version.version = opset
    model.ir_version = max(model.ir_version, 9)


def converted(graph, inputs: Sequence[str], outputs: Sequence[str], opset: int):
    """A frozen graph as an `onnx.ModelProto`."""
    import tf2onnx

    names = {f"{name}:0": name for name in (*inputs, *outputs)}
    with _mended_converter(), _errors() as errors:
        model, _ = tf2onnx.convert.from_graph_def(
            graph,
            input_names=[f"{name}:0" for name in inputs],
            output_names=[f"{name}:0" for name in outputs],
            opset=opset,
            custom_op_handlers={
                PLACEHOLDER: (_standard_operation, []),
                "SelectV2": (_where, []),
                "ResizeBilinear": (_resize_bilinear, []),
            },
            tensors_to_rename=names,
        )
    if errors:
        raise RuntimeError(f"the graph has no counterpart in ONNX: {errors[0]}; nothing was written")
    _mend_transposed_convolutions(model)
    model.producer_name = "ascendvsr"
    model.graph.name = "ascendvsr"
    return model


def _mend_transposed_convolutions(model) -> None:
    """Tells by `output_padding` what is added to a side, where tf2onnx tells that fewer than no lines are cut."""
    from onnx import helper

    for node in model.graph.node:
        if node.op_type != "ConvTranspose":
            continue
        for pads in [attribute.ints for attribute in node.attribute if attribute.name == "pads"]:
            added = [max(0, -pad) for pad in pads[len(pads) // 2 :]]
            if any(added):
                pads[:] = [max(0, pad) for pad in pads]
                node.attribute.append(helper.make_attribute("output_padding", added))


def _halve(model) -> None:
    """Stores the large weights of an `onnx.ModelProto` as float16; it computes in float32 as before."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= _FEWEST_HALVED:
            name = tensor.name
            half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}_half")
            tensor.CopyFrom(half)
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)


@contextlib.contextmanager
def _mended_converter() -> Iterator[None]:
    """Lets tf2onnx run with NumPy 2, and without copying all weights before and after each of its optimizations.

    It folds constants by `numpy.cast`, which is gone; TensorFlow has folded them before. The copies, which only
    optimizations that fail would need, took 14 GB for the 155 MB of FlowNet1S.
    """
    import tf2onnx
    from tf2onnx import optimizer, tfonnx

    def update(graph, storage=None) -> None:
        for node in graph.get_nodes():
            if not node.is_const():
                node.update_proto(storage)

    def optimize(graph, _, optimizers=None):
        return originals[optimizer, "optimize_graph"](graph, False, optimizers)

    mended = {
        (tfonnx, "rewrite_constant_fold"): lambda graph, operations: operations,
        (optimizer, "optimize_graph"): optimize,
        (tf2onnx.graph.Graph, "update_proto"): update,
    }
    originals = {place: getattr(*place) for place in mended}
    numpy: Any = np
    numpy.object = object
    try:
        for place, function in mended.items():
            setattr(*place, function)
        yield
    finally:
        for place, function in originals.items():
            setattr(*place, function)
        del numpy.object


@contextlib.contextmanager
def _errors() -> Iterator[list[str]]:
    """What tf2onnx tells in its log, instead of by exceptions, while the block runs."""
    told: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(" ".join(record.getMessage().split()))

    handler = Collector(logging.ERROR)
    logger = logging.getLogger("tf2onnx")
    propagates, level = logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    try:
        yield told
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
        logger.setLevel(level)


def _where(_graph, node, _name: str, _arguments: list) -> None:
    """TensorFlow's choice as ONNX's.

    tf2onnx makes sums of products with 0 and 1 of it: six nodes, in which what is not chosen and no number wins.
    """
    node.type = "Where"


def _resize_bilinear(graph, node, _name: str, _arguments: list) -> None:
    """TensorFlow's resizing as ONNX's, whose `scales` never make a line too few.

    tf2onnx rounds them to the nearest float32, by which 3 lines times 5 / 3 are less than 5, and so become 4.
    """
    from tf2onnx.onnx_opset.nn import Resize

    shape, size = graph.get_shape(node.input[0]), node.inputs[1]
    if shape is None or -1 in shape[1:3] or not size.is_const():
        Resize.version_11(graph, node)  # by `sizes`, which runtimes compute
        return
    ratios = [Fraction(int(new), old) for new, old in zip(size.get_tensor_value(), shape[1:3], strict=True)]
    scales = np.array([1, 1, *map(_rounded_up, ratios)], np.float32)
    constants = {"roi": np.array([], np.float32), "scales": scales}
    names = [graph.make_const(f"{node.name}_{name}", value).output[0] for name, value in constants.items()]
    aligned = node.get_attr_value("align_corners")
    attributes = {
        "mode": "linear",
        "coordinate_transformation_mode": "align_corners" if aligned else "half_pixel",
    }

    def make(inputs: list[str], dtype) -> str:
        inputs = [_transposed(graph, inputs[0], _CHANNELS_FIRST), *names]
        resized = graph.make_node("Resize", inputs, attr=attributes, dtypes=[dtype], skip_conversion=True)
        return resized.output[0]

    _replace(graph, node, make)


def _rounded_up(ratio: Fraction) -> np.float32:
    nearest = np.float32(ratio)
    return nearest if Fraction(float(nearest)) >= ratio else np.nextafter(nearest, np.float32(np.inf))


def _standard_operation(graph, node, _name: str, _arguments: list) -> None:
    """Puts ONNX's operation in the place of the placeholder `node`."""
    facts = json.loads(node.get_attr_str("token"))
    _replace(graph, node, lambda inputs, dtype: _MAKERS[facts["operation"]](graph, inputs, facts, dtype))


def _replace(graph, node, make: Callable[[list[str], int], str]) -> None:
    """Puts what `make(inputs, dtype)` names, channels first, in the place of `node`, whose channels are last."""
    inputs, (output,) = list(node.input), node.output
    dtype, shape = graph.get_dtype(output), graph.get_shape(output)
    graph.remove_node(node.name)
    made = make(inputs, dtype)
    graph.make_node(
        "Transpose", [made], attr={"perm": _CHANNELS_LAST}, outputs=[output], shapes=[shape], dtypes=[dtype]
    )


_CHANNELS_FIRST, _CHANNELS_LAST, _KERNEL = [0, 3, 1, 2], [0, 2, 3, 1], [3, 2, 0, 1]


def _transposed(graph, tensor: str, order: list[int]) -> str:
    return graph.make_node("Transpose", [tensor], attr={"perm": order}).output[0]


def _deform_conv(graph, inputs: list[str], facts: dict, dtype) -> str:
    x, offset, kernel, bias, mask = inputs
    x, offset, mask = (_transposed(graph, tensor, _CHANNELS_FIRST) for tensor in (x, offset, mask))
    attributes = {
        "kernel_shape": facts["kernel_size"],
        "strides": facts["stride"],
        "pads": facts["padding"] * 2,
        "dilations": facts["dilation"],
        "group": facts["groups"],
        "offset_group": facts["deformable_groups"],
    }
    inputs = [x, _transposed(graph, kernel, _KERNEL), offset, bias, mask]
    node = graph.make_node("DeformConv", inputs, attr=attributes, dtypes=[dtype], skip_conversion=True)
    return node.output[0]


def _grid_sample(graph, inputs: list[str], facts: dict, dtype) -> str:
    x, grid = inputs
    attributes = {"align_corners": 0, "mode": "bilinear", "padding_mode": "zeros"}
    inputs = [_transposed(graph, x, _CHANNELS_FIRST), grid]
    node = graph.make_node("GridSample", inputs, attr=attributes, dtypes=[dtype], skip_conversion=True)
    return node.output[0]


def _ascend(graph, inputs: list[str], facts: dict, dtype) -> str:
    x, kernel, offsets, bias = inputs
    x, offsets = (_transposed(graph, tensor, _CHANNELS_FIRST) for tensor in (x, offsets))
    attributes = {
        "strides": facts["stride"],
        "pads": facts["padding"],
        "dilations": facts["dilation"],
        "groups": facts["groups"],
        "deformable_groups": facts["deformable_groups"],
        "modulated": 1,
        "data_format": "NCHW",
    }
    inputs = [x, _transposed(graph, kernel, _KERNEL), offsets, bias]
    node = graph.make_node(ASCEND_NODE, inputs, attr=attributes, dtypes=[dtype], skip_conversion=True)
    return node.output[0]


def _pixel_shuffle(graph, inputs: list[str], facts: dict, dtype) -> str:
    x = _transposed(graph, inputs[0], _CHANNELS_FIRST)
    attributes = {"blocksize": facts["scale"], "mode": "CRD"}
    node = graph.make_node("DepthToSpace", [x], attr=attributes, dtypes=[dtype], skip_conversion=True)
    return node.output[0]


_MAKERS = {
    "deform_conv": _deform_conv,
    "ascend": _ascend,
    "grid_sample": _grid_sample,
    "pixel_shuffle": _pixel_shuffle,
}


def _of_opset_18(node, model):
    """A node of opset 16 as opset 18 writes it."""
    from onnx import helper, numpy_helper

    if node.op_type == "Split" and len(node.input) == 1:
        node.attribute.append(helper.make_attribute("num_outputs", len(node.output)))
    axes = next((attribute for attribute in node.attribute if attribute.name == "axes"), None)
    if node.op_type.startswith("Reduce") and axes is not None:
        name = f"{node.output[0]}_axes"
        model.graph.initializer.append(numpy_helper.from_array(np.array(axes.ints, np.int64), name))
        node.input.append(name)
        node.attribute.remove(axes)
    return node


def with_standard_nodes(model) -> None:
    """Puts ONNX's DeformConv in the place of Ascend's nodes, so that an `onnx.ModelProto` runs where those do not.

    What it computes is what Ascend's compiler makes of the graph if offsets and mask lie as `ascendcv.ops.vendor`
    assumes.
    """
    from onnx import helper, numpy_helper

    nodes = []
    for number, node in enumerate(model.graph.node):
        if node.op_type != ASCEND_NODE:
            nodes.append(_of_opset_18(node, model))
            continue
        given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        x, kernel, offsets, bias = node.input
        kernels = {tensor.name: tensor.dims for tensor in model.graph.initializer}
        shape = list(kernels[kernel][2:])
        count = int(np.prod(shape)) * given["deformable_groups"]  # first x of all taps, then y, then the mask
        pairs = np.stack([np.arange(count, 2 * count), np.arange(count)], axis=-1).ravel()
        for name, index in (("offset", pairs), ("mask", np.arange(2 * count, 3 * count))):
            index_name = f"{name}_of_{number}"
            model.graph.initializer.append(numpy_helper.from_array(index.astype(np.int64), f"{index_name}_index"))
            nodes.append(helper.make_node("Gather", [offsets, f"{index_name}_index"], [index_name], axis=1))
        nodes.append(
            helper.make_node(
                "DeformConv",
                [x, kernel, f"offset_of_{number}", bias, f"mask_of_{number}"],
                list(node.output),
                kernel_shape=shape,
                strides=given["strides"],
                pads=[*given["pads"], *given["pads"]],
                dilations=given["dilations"],
                group=given["groups"],
                offset_group=given["deformable_groups"],
            )
        )
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _at_opset(model, _DEFORM_CONV)
