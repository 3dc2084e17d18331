"""The formats of exported networks: what each writes, what it needs and which sizes it takes."""

import functools
import importlib.util
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ascendcv.utils.errors import InputError
from ascendvsr.deployment.serving import FIRST, STEP

Arrays = Mapping[str, np.ndarray]
Function = Callable[[Arrays], Arrays]
Samples = Callable[[], Iterable[Arrays]]
Paths = Mapping[str, Path]  # of each signature


@dataclass(frozen=True)
class Traced:
    """One traced function of a network, of one signature.

    Attributes:
        function: the concrete function.
        model: the network, which holds its variables.
        signature: its name.
    """

    function: Any
    model: Any
    signature: str

    @functools.cached_property
    def graph(self):
        """The frozen GraphDef."""
        from ascendvsr.deployment.tensorflow_files import frozen_graph

        return frozen_graph(self.function)

    @property
    def inputs(self) -> list[str]:
        """Their names, `frames` first."""
        return [tensor.name.split(":")[0] for tensor in self.function.inputs if tensor.dtype.name != "resource"]

    @property
    def outputs(self) -> list[str]:
        """Their names."""
        return list(self.function.structured_outputs)


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: what `--format` says.
        title: what messages and reports call the exported form.
        mark, suffix: of its files' names, after the network's.
        write: (the traced functions, a path for each signature, the precision, what gives inputs to fit int8 to)
            -> None. A format with one file for all signatures is given the same path for each.
        load: (a path for each signature, what each file says of itself) -> a function for each.
        beside: as `load`, functions by what they are called: other ways in which the runtime may compute the file,
            whose differences are told and not judged.
        libraries: modules that it needs, of the extra `extra`.
        runtime: which of `ascendvsr.restoration.runtimes` runs it, '' for TensorFlow.
        operations: 'module:name' of what takes the place of operations in its graphs; '': all are composed.
        only_fixed: whether it takes fixed sizes only.
        precisions: that it can have.
    """

    name: str
    title: str
    mark: str
    suffix: str
    write: Callable[[Sequence[Traced], Mapping[str, Path], str, Samples], None]
    load: Callable[[Mapping[str, Path], Mapping[str, dict]], dict[str, Function]]
    beside: Callable[[Paths, Mapping[str, dict]], dict[str, dict[str, Function]]] = lambda paths, metadata: {}
    libraries: tuple[str, ...] = ()
    extra: str = ""
    runtime: str = ""
    operations: str = ""
    only_fixed: bool = False
    precisions: tuple[str, ...] = ("float32",)

    def file(self, stem: str, signature: str) -> str:
        """The name of a signature's file, `stem` being what it begins with."""
        return f"{stem}{'_first' if signature == FIRST and self.suffix else ''}{self.suffix}"

    def files(self, stem: str, signature: str) -> list[str]:
        """All files of a signature: those that another one needs come before it."""
        name = self.file(stem, signature)
        return [*([str(Path(name).with_suffix(".bin"))] if self.suffix == ".xml" else []), name]

    def check(self, shape: Sequence[int | None], precision: str = "float32") -> None:
        """Raises `InputError` for what the format does not take, and where a library is missing.

        `shape` is that of the frames, None where free.
        """
        if precision not in self.precisions:
            raise InputError(
                f"the format {self.name} has no {precision}; those with it: "
                f"{', '.join(each.name for each in FORMATS.values() if precision in each.precisions)}"
            )
        if precision == "int8" and None in shape:
            raise InputError("int8 is for fixed sizes only: say --size H W and --batch N")
        if self.only_fixed and None in shape:
            raise InputError(f"the format {self.name} takes fixed sizes only: say --size H W and --batch N")
        for module in self.libraries:
            if importlib.util.find_spec(module) is None:
                raise InputError(f"the format {self.name} needs {module}: pip install 'ascendvsr[{self.extra}]'")
        if precision == "int8" and self.runtime == "openvino" and importlib.util.find_spec("nncf") is None:
            raise InputError("int8 with OpenVINO needs nncf: pip install 'ascendvsr[int8]'")


def format_named(name: str) -> Format:
    """Raises `InputError` for a name that is none."""
    if name not in FORMATS:
        raise InputError(f"there is no format {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[name]


def _write_pb(functions: Sequence[Traced], paths: Paths, precision: str, samples: Samples) -> None:
    for each in functions:
        paths[each.signature].write_bytes(each.graph.SerializeToString())


def _load_pb(paths: Mapping[str, Path], metadata: Mapping[str, dict]) -> dict[str, Function]:
    from ascendvsr.deployment.tensorflow_files import load_frozen_graph

    return {
        signature: load_frozen_graph(path, [tensor["name"] for tensor in metadata[signature]["outputs"]])
        for signature, path in paths.items()
    }


def _write_saved_model(functions: Sequence[Traced], paths: Paths, precision: str, samples: Samples) -> None:
    from ascendvsr.deployment.tensorflow_files import write_saved_model

    write_saved_model(functions[0].model, {each.signature: each.function for each in functions}, paths[STEP])


def _load_saved_model(paths: Mapping[str, Path], *_: object) -> dict[str, Function]:
    from ascendvsr.deployment.tensorflow_files import load_saved_model

    return load_saved_model(paths[STEP])


def _write_onnx(functions: Sequence[Traced], paths: Paths, precision: str, samples: Samples, opset: int) -> None:
    from ascendvsr.deployment.onnx_file import write_onnx

    for each in functions:
        halved = precision == "float16"
        write_onnx(each.graph, each.inputs, each.outputs, paths[each.signature], opset=opset, halved=halved)


def _write_openvino(functions: Sequence[Traced], paths: Paths, precision: str, samples: Samples) -> None:
    from ascendvsr.deployment.openvino_file import write_openvino

    for each in functions:
        path = paths[each.signature]
        fitted = samples if precision == "int8" else None
        write_openvino(each.graph, each.inputs, each.outputs, path, halved=precision == "float16", samples=fitted)


def _write_litert(functions: Sequence[Traced], paths: Paths, precision: str, samples: Samples) -> None:
    from ascendvsr.deployment.litert_file import write_litert

    for each in functions:
        fitted = samples if precision == "int8" else None
        write_litert(
            each.function, each.model, paths[each.signature], halved=precision == "float16", samples=fitted
        )


def _load_session(paths: Mapping[str, Path], metadata: Mapping[str, dict], runtime: str) -> dict[str, Function]:
    from ascendvsr.restoration.runtimes import open_session

    return {
        signature: open_session(path, runtime, metadata[signature], 0, "float32")
        for signature, path in paths.items()
    }


def _in_bfloat16(paths: Paths, metadata: Mapping[str, dict]) -> dict[str, dict[str, Function]]:
    """What OpenVINO computes where nobody tells it a precision, on processors that have bfloat16."""
    import openvino

    from ascendvsr.restoration.runtimes import open_session

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return {}
    functions = {
        signature: open_session(path, "openvino", metadata[signature], 0, "bfloat16")
        for signature, path in paths.items()
    }
    return {"openvino in bfloat16": functions}


def _load_ascend(paths: Paths, metadata: Mapping[str, dict]) -> dict[str, Function]:
    """By ONNX Runtime, with ONNX's own deformable convolution in the place of Ascend's."""
    import onnx

    from ascendvsr.deployment.onnx_file import with_standard_nodes

    with tempfile.TemporaryDirectory() as folder:
        standard = {}
        for signature, path in paths.items():
            model = onnx.load(path)
            with_standard_nodes(model)
            standard[signature] = Path(folder) / path.name
            onnx.save(model, standard[signature])
        return _load_session(standard, metadata, "onnxruntime")


_ONNX = "ascendvsr.deployment.standard_operations:ONNX"
_ONNX_STANDARD = "ascendvsr.deployment.standard_operations:ONNX_STANDARD"
_OPENVINO = "ascendvsr.deployment.standard_operations:OPENVINO"
_ASCEND = "ascendvsr.deployment.standard_operations:ASCEND"
_LITERT = "ascendvsr.deployment.litert_file:OPERATIONS"
_HALVED, _ALL_PRECISIONS = ("float32", "float16"), ("float32", "float16", "int8")


_load_onnx = functools.partial(_load_session, runtime="onnxruntime")


def _onnx(name: str, mark: str, opset: int, load: Callable = _load_onnx, **fields: Any) -> Format:
    """A format of ONNX files, which ONNX Runtime computes."""
    return Format(
        name,
        name,
        mark,
        ".onnx",
        functools.partial(_write_onnx, opset=opset),
        load,
        libraries=("tf2onnx", "onnx", "onnxruntime"),
        extra="onnx",
        runtime="onnxruntime",
        **fields,
    )


_ALL = (
    Format("savedmodel", "saved_model", "_savedmodel", "", _write_saved_model, _load_saved_model),
    Format("pb", "frozen_graph", "", ".pb", _write_pb, _load_pb),
    _onnx("onnx", "", 17, operations=_ONNX, precisions=_HALVED),
    _onnx("onnx-standard", "_standard", 19, operations=_ONNX_STANDARD, precisions=_HALVED),
    Format(
        "openvino",
        "openvino",
        "",
        ".xml",
        _write_openvino,
        functools.partial(_load_session, runtime="openvino"),
        beside=_in_bfloat16,
        libraries=("openvino",),
        extra="openvino",
        runtime="openvino",
        operations=_OPENVINO,
        precisions=_ALL_PRECISIONS,
    ),
    Format(
        "litert",
        "litert",
        "",
        ".tflite",
        _write_litert,
        functools.partial(_load_session, runtime="litert"),
        libraries=("ai_edge_litert",),
        extra="litert",
        runtime="litert",
        operations=_LITERT,
        only_fixed=True,
        precisions=_ALL_PRECISIONS,
    ),
    _onnx("ascend", "_ascend", 17, operations=_ONNX, only_fixed=True),
    _onnx("ascend-deformable", "_ascend_deformable", 16, operations=_ASCEND, load=_load_ascend, only_fixed=True),
)

# name -> format, in the order of their telling
FORMATS = {each.name: each for each in _ALL}
