"""Exported networks as runners: sessions of ONNX Runtime, OpenVINO or LiteRT, without TensorFlow and Keras.

What `ascendvsr export` writes says of itself how it eats time (`ascendvsr.deployment.metadata`), so that
restoration drives a session as it drives a Keras model: the same windows, tiles, chunks, videos and reports.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.pixels import Levels, check_finite, is_float, quantize, to_unit
from ascendcv.utils.errors import InputError
from ascendcv.utils.quiet import silent_libraries
from ascendvsr.config.changes import changed
from ascendvsr.config.schema import settings as all_settings
from ascendvsr.deployment.metadata import read_metadata
from ascendvsr.models import CARDS, card_named
from ascendvsr.models.card import Card
from ascendvsr.restoration.settings import Settings

Arrays = Mapping[str, np.ndarray]
Session = Callable[[Arrays], Arrays]
Shape = Sequence[int | None]  # None: free

# runtime -> what its files end in, the module that it is, and the extra that installs it
RUNTIMES = {
    "onnxruntime": (".onnx", "onnxruntime", "onnx"),
    "openvino": (".xml", "openvino", "openvino"),
    "litert": (".tflite", "ai_edge_litert", "litert"),
}

# In the texts of what the runtimes raise where memory runs out.
_OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "failed to allocate", "out of memory")


@dataclass(frozen=True)
class Exported:
    """An exported network, read and checked as far as its file tells, not yet loaded by its runtime.

    Attributes:
        path: the file.
        runtime: a name of `RUNTIMES`.
        metadata: what the file says of itself (`ascendvsr.deployment.metadata`).
        size: (height, width) of the only frames that it takes; None: any.
        num_frames: of a network of whole clips: frames that a call takes.
    """

    path: Path
    runtime: str
    metadata: dict
    size: tuple[int, int] | None
    num_frames: int

    @property
    def card(self) -> Card:
        """Of its network."""
        return card_named(self.metadata["network"])

    def configured(self, cfg: CfgNode) -> CfgNode:
        """`cfg` with the settings that make the network. Raises `InputError` where there are no such settings."""
        told = {"model.name": self.metadata["network"]} | self.metadata["settings"]
        if unknown := [key for key in told if key not in all_settings()]:
            raise InputError(f"{self.path}: its network is made by the setting {unknown[0]}, which is unknown here")
        try:
            cfg = changed(cfg, told | {"checkpoint": str(self.path)})
        except InputError as error:
            raise InputError(f"{self.path}: what it says of its network is damaged: {error}") from error
        if self.card.channels(cfg) != self.metadata["channels"]:
            raise InputError(
                f"{self.path}: its settings do not make a network of {self.metadata['channels']} channels"
            )
        return cfg

    def fitted(self, settings: Settings) -> Settings:
        """The settings with tiles of the size and chunks of the length that the file takes.

        Raises `InputError` where they ask for others.
        """
        if self.size is not None:
            if settings.adapts or settings.tile not in (None, self.size):
                raise InputError(
                    f"{self._takes(self.size)}: leave --tile out, or export the network with free sizes"
                )
            overlap = settings.tile_overlap
            rows, columns = (overlap, overlap) if isinstance(overlap, int) else overlap
            rows, columns = min(rows, self.size[0] // 2), min(columns, self.size[1] // 2)
            settings = replace(settings, tile=self.size, tile_overlap=(rows, columns))
        if self.metadata["kind"] == "clip":
            overlap = min(settings.tile_frames_overlap, self.num_frames // 4)
            settings = replace(settings, tile_frames=self.num_frames, tile_frames_overlap=overlap)
        return settings

    def check_size(self, name: str, height: int, width: int) -> None:
        """Raises `InputError` for frames of the clip `name` that are smaller than the file takes."""
        if self.size is not None and (height < self.size[0] or width < self.size[1]):
            raise InputError(
                f"{self._takes(self.size)}, and those of {name} have {width}x{height}: export the network for that "
                "size or with free sizes"
            )

    def _takes(self, size: tuple[int, int]) -> str:
        height, width = size
        return f"{self.path} takes frames of {width}x{height} pixels"

    def runner(self, *, threads: int = 0, precision: str = "float32") -> "SessionRunner":
        """The network, loaded by its runtime.

        Args:
            threads: that compute; 0: as many as there are processors.
            precision: float32; with OpenVINO also bfloat16 and float16, where the processor has them.
        Raises:
            InputError: the runtime is not installed or refuses the file, or a precision that it does not have.
        """
        return SessionRunner(self, threads, precision)


def read_exported(path: str | Path, runtime: str) -> Exported:
    """What the file at `path` says of itself, for the runtime of this name.

    Raises `InputError` for a file that is missing, damaged, of another runtime or no export of this project, and
    for the graph of a recurrent network's first frames, which is loaded with that of all others.
    """
    path = Path(path)
    if runtime not in RUNTIMES:
        raise InputError(f"there is no runtime {runtime!r}; there are {', '.join(RUNTIMES)}")
    suffix = RUNTIMES[runtime][0]
    if path.suffix.lower() != suffix:
        raise InputError(f"--runtime {runtime} takes files that end in {suffix}, not {path}")
    metadata = read_metadata(path)
    if metadata["network"] not in (card.name for card in CARDS):
        raise InputError(f"{path} is of the network {metadata['network']!r}, which is unknown here")
    if metadata["step"] == "first":
        raise InputError(f"{path} is for the first frame of a video only: name the file of all others, beside it")
    frames = metadata["inputs"][0]
    numbers = [metadata["num_frames"], metadata["scale"], metadata["channels"], *metadata["multiple_of"]]
    if (
        len(numbers) != 5
        or any(type(number) is not int or number < 1 for number in numbers)
        or len(frames["shape"]) != len(_LAYOUTS.get(frames["layout"], ()))
        or frames["dtype"] not in ("float32", "float16", "uint8")
    ):
        raise InputError(f"{path}: what it says of its network is damaged")
    axes = dict(zip(_LAYOUTS[frames["layout"]], frames["shape"], strict=True))
    fixed = [axes["H"], axes["W"]]
    if (fixed[0] is None) != (fixed[1] is None):
        raise InputError(f"{path}: one of height and width is free, the other is not: export it with both free")
    size = None if fixed[0] is None else (fixed[0], fixed[1])
    return Exported(path, runtime, metadata, size, metadata["num_frames"])


# Of the input `frames`: its axes.
_LAYOUTS = {"NTHWC": ("N", "T", "H", "W", "C"), "(NT)HWC": ("NT", "H", "W", "C")}


class SessionRunner:
    """An exported network as an `ascendvsr.restoration.runner.Runner`.

    Frames [N, T, H, W, C] go in and come out as a `Runner` has them, whatever the file takes: its own pixels are
    not touched, others scaled, batches are cut to its size and filled up to it, clips shorter than its own are
    mirrored at the end.
    Raises `InputError` for a size that it does not take, MemoryError where memory runs out.
    """

    def __init__(self, exported: Exported, threads: int = 0, precision: str = "float32"):
        metadata = exported.metadata
        self._exported = exported
        self.name = metadata["network"]
        self.kind = metadata["kind"]
        self.scale = metadata["scale"]
        self.window = 0 if self.kind == "clip" else metadata["num_frames"]
        self.center = metadata["center"]
        self.channels = metadata["channels"]
        self.shares_frames = False
        self._frames, self._restored = metadata["inputs"][0], metadata["outputs"][0]
        self._batch = _fixed_batch(metadata)
        self._next = open_session(exported.path, exported.runtime, metadata, threads, precision)
        self._first = None
        if metadata["first"]:
            path = exported.path.with_name(metadata["first"])
            first = read_metadata(path)
            if first["step"] != "first" or first["checkpoint"] != metadata["checkpoint"]:
                raise InputError(f"{path} is not the first step of {exported.path}: export the network again")
            self._first = open_session(path, exported.runtime, first, threads, precision)
        elif metadata["states"]:
            raise InputError(f"{exported.path} needs a file for the first frame of a video, and names none")
        self.dtype = precision if metadata["precision"] == "float32" else metadata["precision"]

    def __call__(self, frames: np.ndarray, state: Any = None, levels: Levels = None) -> tuple[np.ndarray, Any]:
        """See `Runner`; the state is that of the network alone."""
        self._check(frames)
        number, length = frames.shape[:2]
        if self.kind == "clip" and length < self._exported.num_frames:
            missing = self._exported.num_frames - length
            frames = np.pad(frames, ((0, 0), (0, missing), *[(0, 0)] * 3), mode="symmetric")
        batch = self._batch or number
        parts = []
        for start in range(0, number, batch):
            part = frames[start : start + batch]
            part = np.pad(part, ((0, batch - len(part)), *[(0, 0)] * 4), mode="edge")
            outputs = self._computed(part, state)
            parts.append(self._as_frames(outputs[self._restored["name"]], levels))
        restored = np.concatenate(parts)[:number]
        if self.kind == "clip":
            restored = restored[:, :length]
        height, width = frames.shape[2] * self.scale, frames.shape[3] * self.scale
        restored = restored[..., :height, :width, :]
        if restored.shape[-3:-1] != (height, width):
            raise InputError(
                f"{self._exported.path} is damaged: it says that it restores by {self.scale}, and makes "
                f"{restored.shape[-2]}x{restored.shape[-3]} of {frames.shape[3]}x{frames.shape[2]} pixels"
            )
        if levels is not None and is_float(restored):
            check_finite(np.isfinite(restored).all(axis=tuple(range(1, restored.ndim))))
            restored = quantize(restored, levels)
        if self.kind != "recurrent":
            return restored, None
        return restored, {before: outputs[after] for before, after in self._exported.metadata["states"]}

    def _check(self, frames: np.ndarray) -> None:
        _, length, height, width, channels = frames.shape
        path, size = self._exported.path, self._exported.size
        if channels != self.channels:
            raise InputError(f"{path} takes frames with {self.channels} channels, not {channels}")
        if size is not None and (height, width) != size:
            raise InputError(f"{path} takes frames of {size[1]}x{size[0]} pixels, not {width}x{height}")
        if length > self._exported.num_frames or (self.kind != "clip" and length < self._exported.num_frames):
            raise InputError(f"{path} takes {self._exported.num_frames} frames at once, not {length}")

    def _computed(self, frames: np.ndarray, state: Arrays | None) -> Arrays:
        """What the session gives for frames of its own length and batch; sides that it cannot take are padded."""
        height, width = frames.shape[2:4]
        rows, columns = self._exported.metadata["multiple_of"]
        missing = (0, -height % rows), (0, -width % columns)
        if any(after for _, after in missing):
            frames = np.pad(frames, ((0, 0), (0, 0), *missing, (0, 0)), mode="edge")
        session = self._next if state is not None or self._first is None else self._first
        try:
            return session({self._frames["name"]: self._as_input(frames), **(state or {})})
        except Exception as error:
            if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
                raise MemoryError(f"{self.name} on {frames.shape}: {_reason(error)}") from error
            path, runtime = self._exported.path, self._exported.runtime
            raise InputError(
                f"{path}: {runtime} cannot compute frames of {width}x{height} pixels: {_reason(error)}"
            ) from error

    def _as_input(self, frames: np.ndarray) -> np.ndarray:
        """[N, T, H, W, C], pixels or in [0, 1] -> what the file takes."""
        dtype = np.dtype(self._frames["dtype"])
        if dtype == np.uint8:
            frames = frames if frames.dtype == np.uint8 else quantize(to_unit(frames), np.uint8)
        elif self._frames["range"] == [0, 255]:
            frames = to_unit(frames) * np.float32(255)
        else:
            frames = to_unit(frames)
        frames = np.ascontiguousarray(frames, dtype)
        return frames.reshape(-1, *frames.shape[2:]) if self._frames["layout"] == "(NT)HWC" else frames

    def _as_frames(self, restored: np.ndarray, levels: Levels) -> np.ndarray:
        """What comes of the file: pixels where its levels are these, else float32 in [0, 1], or flow in pixels."""
        if levels is not None and restored.dtype == levels:
            return restored
        restored = restored.astype(np.float32, copy=False)
        return restored / np.float32(255) if self._restored["range"] == [0, 255] else restored


def _fixed_batch(metadata: dict) -> int | None:
    """How many windows a call takes; None: any number."""
    frames = metadata["inputs"][0]
    first = frames["shape"][0]
    if first is None:
        return None
    return first // metadata["num_frames"] if frames["layout"] == "(NT)HWC" else first


def _reason(error: Exception) -> str:
    """What a runtime says, in one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception from ")]
    return (lines[0] if lines else type(error).__name__)[:300]


def open_session(path: Path, runtime: str, metadata: dict, threads: int, precision: str) -> Session:
    """A session that computes the file at `path`: inputs by name -> outputs by name."""
    if precision != "float32" and runtime != "openvino":
        raise InputError(
            f"--precision {precision} is for --runtime openvino: {runtime} computes {path} as it was exported, in "
            f"{metadata['precision']}"
        )
    _, module, extra = RUNTIMES[runtime]
    try:
        importlib.import_module(module)
    except ImportError:
        raise InputError(f"{module} is not installed: pip install 'ascendvsr[{extra}]'") from None
    try:
        with silent_libraries():
            session, inputs, outputs = _SESSIONS[runtime](path, metadata, threads, precision)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: {runtime} cannot load it: {_reason(error)}") from error
    for side, found in (("inputs", inputs), ("outputs", outputs)):
        told = {tensor["name"]: tensor["shape"] for tensor in metadata[side]}
        if set(found) != set(told):
            raise InputError(
                f"{path} is damaged: it says that its {side} are {', '.join(sorted(told))}, and they are "
                f"{', '.join(sorted(found))}"
            )
        for name, shape in found.items():
            if shape is not None and not _agree(told[name], shape):
                raise InputError(
                    f"{path} is damaged: it says that {name} has the shape {told[name]}, and it has {list(shape)}"
                )
    return session


def _agree(told: Shape, found: Shape) -> bool:
    """Whether two shapes can be of one tensor."""
    pairs = zip(told, found, strict=False)
    return len(told) == len(found) and all(one is None or other is None or one == other for one, other in pairs)


def _onnxruntime_session(path: Path, metadata: dict, threads: int, precision: str):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def compute(arrays: Arrays) -> Arrays:
        return dict(zip(names, session.run(names, dict(arrays)), strict=True))

    def shapes(values: list) -> dict[str, Shape]:
        return {v.name: [size if isinstance(size, int) else None for size in v.shape] for v in values}

    # The shape of an output may be unknown, and is then told as one without axes.
    outputs = {name: shape or None for name, shape in shapes(session.get_outputs()).items()}
    return compute, shapes(session.get_inputs()), outputs


def _openvino_session(path: Path, metadata: dict, threads: int, precision: str):
    """OpenVINO computes wrong results, other ones each time, where sizes are free: it gets them one by one."""
    import openvino

    core = openvino.Core()
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _OPENVINO_TYPES[precision],
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    inputs = [tensor["name"] for tensor in metadata["inputs"]]
    outputs = [tensor["name"] for tensor in metadata["outputs"]]
    model = core.read_model(path)
    compiled: dict[tuple, object] = {}

    def request_for(shapes: tuple):
        if shapes not in compiled:
            while len(compiled) >= _SIZES_KEPT:
                del compiled[next(iter(compiled))]
            fixed = model.clone()
            fixed.reshape({name: list(shape) for name, shape in zip(inputs, shapes, strict=True)})
            # Where a shape depends on values, what is kept of others must not be taken for it.
            free = {"CPU_RUNTIME_CACHE_CAPACITY": 0} if _has_free_shapes(fixed) else {}
            network = core.compile_model(fixed, "CPU", settings | free)
            _check_precision(network, precision)
            compiled[shapes] = network.create_infer_request()
        return compiled[shapes]

    def compute(arrays: Arrays) -> Arrays:
        request = request_for(tuple(arrays[name].shape for name in inputs))
        request.infer({name: openvino.Tensor(np.ascontiguousarray(arrays[name])) for name in inputs})
        return {name: np.array(request.get_tensor(name).data) for name in outputs}

    return compute, _shapes(model.inputs, inputs), _shapes(model.outputs, outputs)


_OPENVINO_TYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_SIZES_KEPT = 4  # compiled at a time


def _shapes(ports: list, told: list[str]) -> dict[str, Shape | None]:
    """The shape of each port by its name: of several, the one that the file's metadata tells."""
    shapes: dict[str, Shape | None] = {}
    for port in ports:
        names, shape = port.get_names(), port.get_partial_shape()
        name = next((name for name in told if name in names), min(names, default=""))
        free = shape.rank.is_dynamic
        shapes[name] = None if free else [None if size.is_dynamic else size.get_length() for size in shape]
    return shapes


def _has_free_shapes(model) -> bool:
    return any(port.get_partial_shape().is_dynamic for node in model.get_ordered_ops() for port in node.outputs())


def _check_precision(network, precision: str) -> None:
    has = network.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if has != _OPENVINO_TYPES[precision]:
        raise InputError(f"--precision {precision}: this processor has none; OpenVINO would compute in {has}")


def _litert_session(path: Path, metadata: dict, threads: int, precision: str):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads or None)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()

    def compute(arrays: Arrays) -> Arrays:
        return runner(**arrays)

    def shapes(details: dict) -> dict[str, Shape]:
        return {name: list(map(int, tensor["shape"])) for name, tensor in details.items()}

    return compute, shapes(runner.get_input_details()), shapes(runner.get_output_details())


_SESSIONS = {
    "onnxruntime": _onnxruntime_session,
    "openvino": _openvino_session,
    "litert": _litert_session,
}
