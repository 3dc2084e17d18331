"""The graph in an exported file, as far as a check of its operations needs it: nodes, shapes and types."""

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

from ascendcv.utils.errors import InputError


@dataclass(frozen=True)
class Tensor:
    """A tensor: its shape, None where a size is free or all is unknown, and its type as NumPy names it."""

    shape: tuple[int | None, ...] | None
    dtype: str


@dataclass(frozen=True)
class Node:
    """An operation: of this type, in this version of it, reading and making tensors of these names."""

    name: str
    operation: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass
class Graph:
    """What a file computes.

    Attributes:
        nodes: in the order of the file; those of loops and branches too. Constants are none.
        tensors: by name.
        constants: names of tensors whose values stand in the file.
        inputs, outputs: names of tensors.
        opset: of an ONNX file; else 0.
        labels: what tensors are called where their names say nothing.
    """

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    opset: int = 0
    labels: dict[str, str] = field(default_factory=dict)


def read_graph(path: Path) -> Graph:
    """The graph of a file that ends in .onnx, .xml (OpenVINO) or .tflite (LiteRT).

    Raises `InputError` for one that is missing, damaged or of another kind, and where a library that reads it is
    not installed.
    """
    if path.suffix.lower() not in _READERS:
        raise InputError(f"{path} should be a graph that ends in {', '.join(_READERS)}")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        graph = _READERS[path.suffix.lower()](path)
    except InputError:
        raise
    except Exception as error:  # whatever the readers' libraries raise for what is no graph
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"{path} is damaged or no {path.suffix} model: {reason}") from error
    if not graph.nodes:
        raise InputError(f"{path} is damaged or no {path.suffix} model: it computes nothing")
    return graph


def _library(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(f"{module} is not installed: pip install 'ascendvsr[{extra}]'") from None


# ---- ONNX ----


def _read_onnx(path: Path) -> Graph:
    onnx = _library("onnx", "onnx")
    model = onnx.load(path, load_external_data=False)
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    with contextlib.suppress(onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)  # shapes stay unknown where that fails
    graph = Graph(opset=opset)
    graph.inputs = [value.name for value in model.graph.input]
    graph.outputs = [value.name for value in model.graph.output]
    for part in _onnx_graphs(onnx, model.graph):
        for constant in part.initializer:
            graph.constants.add(constant.name)
            graph.tensors[constant.name] = Tensor(tuple(constant.dims), _onnx_type(onnx, constant.data_type))
        for value in [*part.input, *part.output, *part.value_info]:
            if value.name not in graph.constants:
                graph.tensors[value.name] = _onnx_tensor(onnx, value)
        for node in part.node:
            if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                graph.constants |= set(node.output)
                continue
            domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}::"
            name = node.name or (node.output[0] if node.output else "")
            graph.nodes.append(
                Node(name, domain + node.op_type, opset, tuple(filter(None, node.input)), tuple(node.output))
            )
    graph.inputs = [name for name in graph.inputs if name not in graph.constants]
    return graph


def _onnx_graphs(onnx: ModuleType, graph) -> Iterator:
    """The graph and those inside of its loops and branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                if inner.node:
                    yield from _onnx_graphs(onnx, inner)


def _onnx_tensor(onnx: ModuleType, value) -> Tensor:
    kind = value.type.tensor_type
    shape = None
    if kind.HasField("shape"):
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
    return Tensor(shape, _onnx_type(onnx, kind.elem_type))


def _onnx_type(onnx: ModuleType, number: int) -> str:
    names = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.DOUBLE: "float64"}
    known = number in onnx.TensorProto.DataType.values()
    return names.get(number) or (onnx.TensorProto.DataType.Name(number).lower() if known else "unknown")


# ---- OpenVINO ----


def _read_openvino(path: Path) -> Graph:
    root = ElementTree.parse(path).getroot()
    if root.tag != "net":
        raise ValueError(f"its outermost node is {root.tag!r}, not 'net'")
    graph = Graph()
    for number, part in enumerate(root.iter("layers")):
        _read_layers(part, f"{number}:" if number else "", graph)
    for number, part in enumerate(root.iter("edges")):
        prefix = f"{number}:" if number else ""
        made = {(edge.get("to-layer"), edge.get("to-port")): edge for edge in part.iter("edge")}
        for at, node in enumerate(graph.nodes):
            inputs = []
            for name in node.inputs:
                layer, port = name.removeprefix(prefix).rsplit(":", 1)
                edge = made.get((layer, port)) if name.startswith(prefix) else None
                source = f"{prefix}{edge.get('from-layer')}:{edge.get('from-port')}" if edge is not None else name
                inputs.append(source)
            graph.nodes[at] = Node(node.name, node.operation, node.version, tuple(inputs), node.outputs)
    return graph


def _read_layers(part: ElementTree.Element, prefix: str, graph: Graph) -> None:
    for layer in part.findall("layer"):
        number, kind = layer.get("id", ""), layer.get("type", "")
        inputs = [f"{prefix}{number}:{port.get('id')}" for port in layer.findall("input/port")]
        outputs = []
        for port in layer.findall("output/port"):
            name = f"{prefix}{number}:{port.get('id')}"
            outputs.append(name)
            graph.labels[name] = layer.get("name", number)
            sizes = [dim.text or "" for dim in port.findall("dim")]
            shape = tuple(int(size) if size.isdecimal() else None for size in sizes)
            graph.tensors[name] = Tensor(shape, _OPENVINO_TYPES.get(port.get("precision", ""), "unknown"))
        if kind == "Const":
            graph.constants |= set(outputs)
        elif kind == "Parameter":
            graph.inputs += [] if prefix else outputs
        elif kind == "Result":
            graph.outputs += [] if prefix else inputs
        else:
            version = int("".join(filter(str.isdecimal, layer.get("version", ""))) or 0)
            node = Node(layer.get("name", number), kind, version, tuple(inputs), tuple(outputs))
            graph.nodes.append(node)


_OPENVINO_TYPES = {
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (4, 8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (4, 8, 16, 32, 64)},
    "BF16": "bfloat16",
    "BOOL": "bool",
}


# ---- LiteRT ----


def _read_litert(path: Path) -> Graph:
    schema = _library("ai_edge_litert.schema_py_generated", "litert")
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise ValueError("it does not begin as one")
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    types = {value: name.lower() for name, value in vars(schema.TensorType).items() if name.isupper()}
    graph = Graph()
    for number, part in enumerate(model.subgraphs):
        prefix = f"{number}:"
        for at, tensor in enumerate(part.tensors):
            sizes = tensor.shapeSignature if _any(tensor.shapeSignature) else tensor.shape
            shape = tuple(int(size) if size >= 0 else None for size in (sizes if _any(sizes) else ()))
            graph.tensors[f"{prefix}{at}"] = Tensor(shape, types.get(tensor.type, "unknown"))
            graph.labels[f"{prefix}{at}"] = (tensor.name or b"").decode(errors="replace")
            if _any(model.buffers[tensor.buffer].data):
                graph.constants.add(f"{prefix}{at}")
        for at, operator in enumerate(part.operators or []):
            code = model.operatorCodes[operator.opcodeIndex]
            builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
            operation = names.get(builtin, str(builtin))
            if operation == "CUSTOM":
                operation = (code.customCode or b"CUSTOM").decode(errors="replace")
            inputs, outputs = (
                tuple(f"{prefix}{index}" for index in (indices if _any(indices) else ()) if index >= 0)
                for indices in (operator.inputs, operator.outputs)
            )
            graph.nodes.append(Node(f"{operation} {at}", operation, code.version, inputs, outputs))
        if not number:
            graph.inputs = [f"{prefix}{index}" for index in part.inputs]
            graph.outputs = [f"{prefix}{index}" for index in part.outputs]
    return graph


def _any(values: Sequence | None) -> bool:
    return values is not None and len(values) > 0


_READERS = {".onnx": _read_onnx, ".xml": _read_openvino, ".tflite": _read_litert}
