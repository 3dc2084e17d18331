"""Whether an accelerator's compiler takes an exported graph: each operation against its vendor's public list.

The lists are package data, `operator_tables/TARGET.json`: names and versions with the repository, commit and date
that they were taken from (`scripts/operator_tables.py`). A compiler may refuse more than its list tells, by types
and shapes: a graph that passes here has no flaw that can be seen without the device.
"""

import collections
import functools
import importlib.resources
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ascendcv.utils.errors import InputError
from ascendvsr.deployment.graphs import Graph, Node, Tensor, read_graph


@dataclass(frozen=True)
class Target:
    """An accelerator's compiler.

    Attributes:
        title: what messages call it.
        suffix: of the files that it takes.
        input_types: of what goes in.
        static: whether it compiles for fixed sizes only.
        command: what compiles FILE; {file}, {stem} and {inputs} are filled in.
        advice: operation -> what to do where the compiler does not take it.
        devices: operation -> where it does not run, though the compiler takes it.
        decomposed: operations that the compiler's front end replaces before it looks at its list.
    """

    title: str
    suffix: str
    input_types: tuple[str, ...]
    static: bool
    command: str
    advice: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)
    decomposed: frozenset[str] = frozenset()


TARGETS = {
    "ascend": Target(
        title="ATC, the compiler of Ascend NPUs",
        suffix=".onnx",
        input_types=("float32", "float16", "uint8"),
        static=True,
        command="atc --framework=5 --model={file} --output={stem} --input_format=ND --input_shape={inputs} "
        "--soc_version=...",
        advice={
            "DeformConv": "export with --format ascend, which composes it of Gather",
            "Gelu": "export at opset 17, which composes it of Erf",
            "GroupNormalization": "export at opset 17, which composes it",
        },
        devices={
            "GridSample": "becomes GridSampler2D, which Atlas A2, A3 and 950 have, and the Atlas inference and "
            "training series do not",
            "DeformableConv2D": "is experimental, needs modulation and at most 2048 taps, and runs on Atlas A2, A3 "
            "and 950, not on 310; `ascendvsr doctor` checks its order of offsets there",
        },
    ),
    "openvino-npu": Target(
        title="OpenVINO's compiler of Intel NPUs",
        suffix=".xml",
        input_types=("float32", "float16", "uint8"),
        static=True,
        command="benchmark_app -m {file} -d NPU -niter 1",
        advice={
            "GridSample": "export with --format onnx, which composes it of Gather, and convert that with ovc",
            "DeformableConvolution": "export with --format onnx, which composes it of Gather, and convert that "
            "with ovc",
        },
        decomposed=frozenset(("VariadicSplit",)),
    ),
    "litert": Target(
        title="LiteRT's interpreter",
        suffix=".tflite",
        input_types=("float32", "float16", "uint8", "int8", "int32", "int64", "bool"),
        static=False,
        command="benchmark_model --graph={file}",
    ),
}

# What makes shapes while a graph runs, and what takes them.
_SHAPE_MAKERS = ("Shape", "ShapeOf", "SHAPE")
_SIZE_OPERATIONS = {
    "Reshape": 1,
    "Slice": 1,
    "Expand": 1,
    "Tile": 1,
    "ConstantOfShape": 0,
    "Range": 0,
    "Resize": 1,
    "Pad": 1,
    "Broadcast": 1,
    "StridedSlice": 1,
    "Interpolate": 1,
    "RESHAPE": 1,
    "SLICE": 1,
    "STRIDED_SLICE": 1,
    "BROADCAST_TO": 1,
    "TILE": 1,
    "FILL": 0,
    "RANGE": 0,
    "PAD": 1,
    "PADV2": 1,
}
_GATHERS = ("Gather", "GatherND", "GATHER", "GATHER_ND")

_LARGEST_RANK = 5


@dataclass(frozen=True)
class Finding:
    """Something that the compiler refuses or may compute slowly, and what to do.

    Attributes:
        refused: whether the compiler is known to refuse it; else it may refuse it, or compute it slowly.
        what: in a few words.
        where: names of nodes or tensors, all of them.
        advice: what to change.
    """

    refused: bool
    what: str
    where: tuple[str, ...]
    advice: str


@dataclass(frozen=True)
class Report:
    """What the check found.

    Attributes:
        target: a name of `TARGETS`.
        file: the graph.
        opset: of an ONNX file; else 0.
        operations: name -> how often.
        inputs: name -> shape, None where free, and type.
        findings: those that the compiler refuses first.
        sources: of the list: {'repository', 'commit', 'date', 'files'}.
    """

    target: str
    file: str
    opset: int
    operations: dict[str, int]
    inputs: dict[str, Tensor]
    findings: tuple[Finding, ...]
    sources: tuple[dict[str, str], ...]

    @property
    def fits(self) -> bool:
        """Whether nothing was found that the compiler is known to refuse."""
        return not any(finding.refused for finding in self.findings)

    def lines(self) -> list[str]:
        """The report as text."""
        target = TARGETS[self.target]
        opset = f" at opset {self.opset}" if self.opset else ""
        count = sum(self.operations.values())
        inputs = ", ".join(f"{name} {_shown(tensor)}" for name, tensor in self.inputs.items())
        lines = [f"{self.file}: {count} operations of {len(self.operations)} kinds{opset}; takes {inputs}"]
        sources = ", ".join(f"{s['repository']} at {s['commit'][:10]} of {s['date']}" for s in self.sources)
        lines.append(f"compared with the list of {target.title}: {sources}")
        for finding in self.findings:
            places = ", ".join(finding.where[:3])
            if len(finding.where) > 3:
                places += f" and {len(finding.where) - 3} more"
            verdict = "refused" if finding.refused else "doubtful"
            lines.append(f"{verdict}: {finding.what} ({places}): {finding.advice}")
        if self.fits:
            shapes = ";".join(
                f"{name}:{','.join(str(size or -1) for size in tensor.shape or ())}"
                for name, tensor in self.inputs.items()
            )
            stem = Path(self.file).stem
            lines.append("nothing that is known to be refused; what a device says, no list can tell. Try it with:")
            lines.append("  " + target.command.format(file=self.file, stem=stem, inputs=f'"{shapes}"'))
        return lines


def check_operators(target: str, file: str | os.PathLike) -> Report:
    """Compares the graph in `file` with what the compiler `target` is known to take.

    Raises `InputError` for an unknown target and a file that it does not take or that is damaged.
    """
    if target not in TARGETS:
        raise InputError(f"there is no list of operations for {target!r}; there are {', '.join(TARGETS)}")
    path, compiler = Path(file), TARGETS[target]
    if path.suffix.lower() != compiler.suffix:
        raise InputError(f"{compiler.title} takes files that end in {compiler.suffix}, not {path}")
    graph, table = read_graph(path), operator_table(target)
    findings = [
        *_unknown_operations(graph, target, table["operations"]),
        *_inputs(graph, compiler),
        *_zero_sizes(graph),
        *_shape_chains(graph, compiler),
        *_ranks(graph),
        *_wide_integers(graph),
        *_devices(graph, compiler),
    ]
    findings.sort(key=lambda finding: not finding.refused)
    return Report(
        target=target,
        file=str(path),
        opset=graph.opset,
        operations=dict(collections.Counter(node.operation for node in graph.nodes).most_common()),
        inputs={_label(graph, name): graph.tensors[name] for name in graph.inputs if name in graph.tensors},
        findings=tuple(findings),
        sources=tuple(table["sources"]),
    )


@functools.cache
def operator_table(target: str) -> dict:
    """{'sources': [...], 'operations': {name: '8-16 18', the versions that the compiler takes}}."""
    file = importlib.resources.files("ascendvsr.deployment") / f"operator_tables/{target}.json"
    return json.loads(file.read_text())


def versions(text: str) -> set[int]:
    """'8-16 18' -> {8, 9, ..., 16, 18}."""
    spans = [part.split("-") for part in text.split()]
    return {number for span in spans for number in range(int(span[0]), int(span[-1]) + 1)}


def _label(graph: Graph, name: str) -> str:
    """What a tensor is called."""
    return graph.labels.get(name) or name


def _tensors(graph: Graph, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_label(graph, name) for name in names))


def _unknown_operations(graph: Graph, target: str, table: Mapping[str, str]) -> Iterator[Finding]:
    compiler = TARGETS[target]
    table = {_spelled(operation): text for operation, text in table.items()}
    by_operation = collections.defaultdict(list)
    for node in graph.nodes:
        by_operation[node.operation, node.version].append(node.name)
    for (operation, version), names in sorted(by_operation.items()):
        advice = compiler.advice.get(operation)
        if _spelled(operation) not in table:
            if operation not in compiler.decomposed:
                advice = advice or "compose it of others, or leave out what needs it"
                yield Finding(True, f"{operation}, which is not on the list", tuple(names), advice)
            continue
        # The front end of OpenVINO turns newer versions of an operation into the one that its compiler has.
        if target != "openvino-npu" and version not in versions(table[_spelled(operation)]):
            word = "opset" if target == "ascend" else "version"
            what = f"{operation} of {word} {version}"
            yield Finding(
                True, what, tuple(names), advice or f"the list has it at {word} {table[_spelled(operation)]}"
            )


def _spelled(operation: str) -> str:
    """OpenVINO's files spell some operations in another way than its sources: ReLU, Relu."""
    return operation.lower()


def _inputs(graph: Graph, compiler: Target) -> Iterator[Finding]:
    shapes = {name: graph.tensors[name] for name in graph.inputs if name in graph.tensors}
    free = tuple(name for name, tensor in shapes.items() if tensor.shape is None or None in tensor.shape)
    if free:
        why = "export with --size HEIGHT WIDTH and a batch of 1"
        yield Finding(compiler.static, "inputs of free sizes", _tensors(graph, free), why)
    for name, tensor in shapes.items():
        if tensor.dtype not in compiler.input_types:
            allowed = ", ".join(compiler.input_types)
            yield Finding(
                True, f"an input of {tensor.dtype}", (_label(graph, name),), f"it should be one of {allowed}"
            )
    if not free:
        inner = [
            name
            for node in graph.nodes
            for name in node.outputs
            if (found := graph.tensors.get(name)) is not None and found.shape is not None and None in found.shape
        ]
        if inner:
            advice = "their sizes depend on values: a compiler for fixed sizes may refuse them"
            yield Finding(
                False, "tensors of free sizes behind inputs of fixed ones", _tensors(graph, inner), advice
            )


def _zero_sizes(graph: Graph) -> Iterator[Finding]:
    empty = [
        name
        for node in graph.nodes
        for name in [*node.inputs, *node.outputs]
        if (tensor := graph.tensors.get(name)) is not None and tensor.shape is not None and 0 in tensor.shape
    ]
    # The empty region of interest that ONNX's Resize may be given is no tensor that is computed.
    empty = [name for name in dict.fromkeys(empty) if not _only_of_resize(graph, name)]
    if empty:
        yield Finding(
            True, "tensors with a size of 0", _tensors(graph, empty), "leave out what makes and takes them"
        )


def _only_of_resize(graph: Graph, name: str) -> bool:
    users = [node for node in graph.nodes if name in node.inputs]
    return name in graph.constants and all(node.operation == "Resize" for node in users)


def _shape_chains(graph: Graph, compiler: Target) -> Iterator[Finding]:
    makers = [node for node in graph.nodes if node.operation in _SHAPE_MAKERS]
    if not makers:
        return
    computed = _depending(graph, makers)
    advice = "export with --size HEIGHT WIDTH, which makes them constants"
    free = any(None in (graph.tensors[name].shape or (None,)) for name in graph.inputs if name in graph.tensors)
    refused = compiler.static and free
    users = [
        node.name
        for node in graph.nodes
        if node.operation in _SIZE_OPERATIONS
        and any(name in computed for name in node.inputs[_SIZE_OPERATIONS[node.operation] :])
    ]
    if users:
        yield Finding(refused, "sizes that are computed from the shape of the input", tuple(users), advice)
    gathers = [
        node.name
        for node in graph.nodes
        if node.operation in _GATHERS and any(name in computed for name in node.inputs[1:])
    ]
    if gathers:
        what = "Gather by indices that are computed from the shape of the input"
        yield Finding(refused, what, tuple(gathers), advice)


def _depending(graph: Graph, makers: Sequence[Node]) -> set[str]:
    """Names of tensors that are made of shapes: by arithmetic of whole numbers from the `makers` on."""
    found = {name for node in makers for name in node.outputs}
    for node in graph.nodes:
        if not any(name in found for name in node.inputs):
            continue
        types = {graph.tensors[name].dtype for name in node.outputs if name in graph.tensors}
        if types and types <= {"int64", "int32", "bool"}:
            found |= set(node.outputs)
    return found


def _ranks(graph: Graph) -> Iterator[Finding]:
    high = [
        name
        for node in graph.nodes
        for name in node.outputs
        if (tensor := graph.tensors.get(name)) is not None and len(tensor.shape or ()) > _LARGEST_RANK
    ]
    if high:
        advice = "few kernels of accelerators take more: flatten neighboring axes"
        yield Finding(False, f"tensors of more than {_LARGEST_RANK} axes", _tensors(graph, high), advice)


def _wide_integers(graph: Graph) -> Iterator[Finding]:
    constant = set(graph.constants)
    wide = [
        name
        for node in graph.nodes
        if node.operation not in _SHAPE_MAKERS and not all(name in constant for name in node.inputs)
        for name in node.outputs
        if (tensor := graph.tensors.get(name)) is not None and tensor.dtype in ("int64", "uint64", "float64")
    ]
    if wide:
        advice = "NPUs leave 64 bits to their host processor: cast indices to int32 where it can be"
        yield Finding(False, "numbers of 64 bits that are computed", _tensors(graph, wide), advice)


def _devices(graph: Graph, compiler: Target) -> Iterator[Finding]:
    for operation, where in compiler.devices.items():
        names = tuple(node.name for node in graph.nodes if node.operation == operation)
        if names:
            yield Finding(False, operation, names, where)


def _shown(tensor: Tensor) -> str:
    sizes = "of any shape" if tensor.shape is None else str(["free" if s is None else s for s in tensor.shape])
    return f"{sizes.replace(chr(39), '')} {tensor.dtype}"
