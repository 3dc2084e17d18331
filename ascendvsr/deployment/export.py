"""From a network to files that other programs run, each proven equal to the Keras model before it has its name.

`ascendvsr.deployment.formats` lists the formats, `ascendvsr.deployment.serving` says what goes in and comes out,
`ascendvsr.deployment.metadata` what a file says of itself.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_folder, atomic_path, user_id
from ascendcv.utils.quiet import silent_libraries
from ascendvsr import __version__
from ascendvsr.config.schema import settings as all_settings
from ascendvsr.deployment.formats import Format, Traced, format_named
from ascendvsr.deployment.metadata import NAME, VERSION, read_metadata, write_metadata
from ascendvsr.deployment.parity import Candidate, Tolerance, noise, pictures, prove, samples
from ascendvsr.deployment.serving import (
    FIRST,
    FLOW,
    FRAMES,
    RESTORED,
    STEP,
    Served,
    frames_of_a_call,
    input_shape,
    serving_functions,
    state_for,
)
from ascendvsr.deployment.tensorflow_files import load_frozen_graph, load_saved_model
from ascendvsr.models import CARDS, card_of
from ascendvsr.models.card import Card, imported
from ascendvsr.weights.cache import sha256_of

__all__ = ["Origin", "export_files", "export_model", "freeze", "load_frozen_graph", "load_saved_model", "origin_of"]

REPORT = "export_report.json"

# By precision: how much may be lost.
TOLERANCES = {
    "float32": Tolerance(),
    "float16": Tolerance(floats=1e-2, levels=3, psnr=50.0),
    "int8": Tolerance(floats=None, levels=None, psnr=30.0),
}


_ANY = Tolerance(floats=None, levels=None)


@dataclass(frozen=True)
class Origin:
    """Where an exported network is from, and frames to prove it with.

    Attributes:
        checkpoint: its file, sha256 and license; '' where unknown.
        settings: key -> value: what makes the network in a configuration.
        frames: [H, W, 3] float32 in [0, 1] each.
        content: what they are.
    """

    checkpoint: Mapping[str, str] = field(default_factory=lambda: {"file": "", "sha256": "", "license": ""})
    settings: Mapping[str, Any] = field(default_factory=dict)
    frames: Sequence[np.ndarray] = field(default_factory=lambda: [noise()])
    content: str = "1/f noise"


def origin_of(cfg: CfgNode, card: Card) -> Origin:
    """That of the network which a configuration makes, and whose weights its `checkpoint` has."""
    path = Path(cfg.checkpoint)
    sha256 = _hash(path) if cfg.checkpoint and path.exists() else ""
    licenses = {record.license for record in card.zoo if record.file == path.name}
    checkpoint = {"file": path.name, "sha256": sha256, "license": licenses.pop() if len(licenses) == 1 else ""}
    return Origin(checkpoint, _network_settings(cfg), *pictures(cfg))


def _network_settings(cfg: CfgNode) -> dict[str, Any]:
    """What a configuration says of its network, where it is not what all begin with."""
    sections = {"model", *(section for each in CARDS for section in each.settings)}
    told = {}
    for key, setting in all_settings().items():
        section, _, name = key.partition(".")
        if section in sections and name in cfg[section] and not setting.is_path and key != "model.name":
            value = cfg[section][name]
            if value != setting.default:
                told[key] = value
    return told


def _hash(path: Path) -> str:
    """The SHA-256 of a file; of a folder that of the names and hashes of its files."""
    if path.is_file():
        return sha256_of(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = "".join(f"{sha256_of(file)}  {file.relative_to(path)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def freeze(cfg: CfgNode, card: Card, network: Callable[[], object]) -> dict:
    """The command `freeze`: writes output_dir/NAME.pb and NAME_savedmodel/ (NAME is `model.name`).

    A recurrent network has a second graph, NAME_first.pb, for the first frame of a video.
    `data.eval_batch_size` -1 leaves the number of windows free, a -1 in `data.eval_in_size` height or width.
    NAME.json tells names, shapes and meaning of input and output, NAME.parity.json the largest differences
    from the Keras model over pictures of several sizes. Returns what NAME.parity.json holds.
    Raises:
        InputError: a size or batch size that means nothing.
        RuntimeError: a difference larger than accepted.
    """
    batch, height, width = input_shape(cfg)
    model = network()
    served = Served(
        card,
        model,
        frames_of_a_call(cfg, card, model),
        batch,
        height,
        width,
        folded=cfg.model.input_format_dimension == 4,
        output_dtype="uint8" if cfg.model.convert_output_to_uint8 else "float32",
    )
    formats = [format_named("pb"), format_named("savedmodel")]
    output, origin = Path(cfg.output_dir), origin_of(cfg, card)
    with staged(output) as stage:
        reports = _exported(served, formats, stage, output, "float32", origin)
        cases = [
            {key: value for key, value in case.items() if key not in ("difference", "psnr")}
            | {
                each.title: report["cases"][number]["difference"]
                for each, report in zip(formats, reports, strict=True)
            }
            for number, case in enumerate(reports[0]["cases"])
        ]
        parity = {
            **{each.title: report["largest_difference"] for each, report in zip(formats, reports, strict=True)},
            "unit": reports[0]["unit"],
            "content": origin.content,
            "cases": cases,
        }
        (stage / f"{card.name}.parity.json").write_text(json.dumps(parity, indent=1) + "\n")
    return parity


def export_model(
    model: Any,
    path: str | os.PathLike,
    format: str,
    *,
    size: tuple[int, int] | None = None,
    batch: int | None = 1,
    num_frames: int | None = None,
    folded: bool = False,
    input_dtype: str = "float32",
    output_dtype: str = "float32",
    precision: str = "float32",
    origin: Origin | None = None,
) -> dict:
    """Writes a Keras model of this project to `path`, once it is proven there to give the model's values.

    Args:
        path: the file, or the folder of a SavedModel. A recurrent network has a second one, NAME_first, beside it.
        format: a name of `ascendvsr.deployment.formats.FORMATS`.
        size: (height, width) of the frames; None: any.
        batch: windows of a call; None: any number.
        num_frames: of a network of whole clips: frames of a call.
        folded, input_dtype, output_dtype: see `ascendvsr.deployment.serving.Served`.
        precision: float32; float16 of the weights alone; int8 of fixed sizes, fitted to the frames of `origin`.
        origin: what the file says of where the network is from.

    Returns the report, as `export_files` does, and raises what that raises.
    """
    card, path, kind = card_of(model), Path(path), format_named(format)
    known = {"window": "num_frame", "recurrent": "num_frame"}.get(card.kind)
    length = getattr(model, known) if known else 2 if card.kind == "flow" else num_frames
    if not length:
        raise InputError(f"{card.name} takes clips of any length: say by num_frames how many frames a call has")
    if kind.suffix and path.suffix != kind.suffix:
        raise InputError(f"{path} should end in {kind.suffix} for the format {format}")
    height, width = size or (None, None)
    served = Served(card, model, length, batch, height, width, folded, input_dtype, output_dtype)
    stem = path.name.removesuffix(kind.suffix) if kind.suffix else path.name
    (report,) = export_files(served, [kind], path.parent, precision, origin or Origin(), stem)
    return report


def export_files(
    served: Served,
    formats: Sequence[Format],
    output: Path,
    precision: str = "float32",
    origin: Origin | None = None,
    stem: str = "",
) -> list[dict]:
    """Writes a network in several formats into the folder `output`, with `export_report.json`.

    All files appear together, once each has given the Keras model's values in its runtime. The report of a file
    that an earlier export wrote stays in `export_report.json`.

    Args:
        stem: what the files' names begin with; '': the network's name and the format's mark.

    Returns a report of each format: format, files (name -> bytes), metadata, largest_difference, unit, psnr (the
    lowest of restored frames, in dB; null: no difference), content (of the frames), cases, seconds, and beside (the
    differences in what the runtime may compute in else).
    Raises:
        InputError: what a format does not take, or a library that is missing.
        RuntimeError: a difference larger than accepted, or an operation without a counterpart.
        OSError: the files cannot be written.
    """
    for each in formats:
        each.check(served.shape, precision)
    if precision == "int8" and served.card.kind not in ("window", "clip"):
        raise InputError(f"{served.card.name} cannot be computed in int8: only networks of windows and clips can")
    with staged(output) as stage:
        reports = _exported(served, formats, stage, output, precision, origin or Origin(), stem)
        (stage / REPORT).write_text(json.dumps({next(reversed(each["files"])): each for each in reports}, indent=1))
    return reports


def _exported(
    served: Served,
    formats: Sequence[Format],
    stage: Path,
    output: Path,
    precision: str,
    origin: Origin,
    stem: str = "",
) -> list[dict]:
    """Writes all files into the folder `stage`, proves them and tells of it; returns the reports."""
    traced: dict[str, list[Traced]] = {}
    candidates: list[Candidate] = []
    beside: list[Candidate] = []
    reports: list[dict[str, Any]] = []
    for each in formats:
        start = time.perf_counter()
        if each.operations not in traced:
            by_signature = serving_functions(served, imported(each.operations) if each.operations else None)
            traced[each.operations] = [
                Traced(function, served.model, key) for key, function in by_signature.items()
            ]
        functions, beginning = traced[each.operations], stem or f"{served.card.name}{each.mark}"
        names = {part.signature: each.file(beginning, part.signature) for part in functions}
        paths = {signature: stage / name for signature, name in names.items()}
        with _told_of(output / names[STEP]), silent_libraries():
            each.write(functions, paths, precision, functools.partial(samples, served, origin.frames))
        facts = {part.signature: metadata(served, part, each, names, precision, origin) for part in functions}
        for signature, path in paths.items():
            if each.runtime:
                write_metadata(path, facts[signature])
        if each.name == "pb":
            described = describe(served, functions, names, origin) | {NAME: facts[STEP]}
            paths[STEP].with_suffix(".json").write_text(json.dumps(described, indent=1) + "\n")
        candidates.append(Candidate(each.title, each.load(paths, facts), TOLERANCES[precision]))
        if precision == "float32":
            others = each.beside(paths, facts).items()
            beside += [Candidate(name, functions, _ANY) for name, functions in others]
        files = [file for signature in reversed(names) for file in each.files(beginning, signature)]
        reports.append(
            {
                "format": each.name,
                "files": {file: _bytes(stage / file) for file in dict.fromkeys(files)},
                "metadata": facts[STEP],
                "seconds": round(time.perf_counter() - start, 1),
            }
        )
    cases = prove(served, candidates + beside, origin.frames[: served.num_frames])
    for report, candidate in zip(reports, candidates, strict=True):
        report |= _result(served, candidate, cases, origin)
        report["beside"] = {
            each.name: {key: _result(served, each, cases, origin)[key] for key in ("largest_difference", "psnr")}
            for each in beside
            if each.name.startswith(f"{candidate.name} ")
        }
        place = output / next(reversed(report["files"]))
        psnr = report["psnr"]
        told = f" (PSNR {psnr:.1f} dB)" if psnr is not None else ""
        told += "".join(
            f", {name} by {found['largest_difference']:.2e}" for name, found in report["beside"].items()
        )
        print(
            f"{place}: differs from the Keras model by {report['largest_difference']:.2e} {report['unit']} at "
            f"most{told}; frames {_size_told(served)}"
        )
        if report["unsaturated"] < _FEWEST_UNSATURATED:
            print(
                f"{place}: nearly all restored values are 0 or 1, so the comparison says little: are these trained "
                "weights?"
            )
    return reports


def compared(path: Path, metadata: dict, card: Card, model: Any, origin: Origin) -> dict:
    """The report of a file that was exported before, which says `metadata` of itself, anew.

    Raises `RuntimeError` where it differs from `model` by more than its precision allows.
    """
    kind = format_named(metadata["format"])
    kind.check((), metadata["precision"])
    frames, restored = metadata["inputs"][0], metadata["outputs"][0]
    folded = frames["layout"] == "(NT)HWC"
    batch = frames["shape"][0]
    batch = batch // metadata["num_frames"] if folded and batch else batch
    height, width = frames["shape"][-3:-1]
    served = Served(
        card,
        model,
        metadata["num_frames"],
        batch,
        height,
        width,
        folded=folded,
        input_dtype=frames["dtype"],
        output_dtype=restored["dtype"],
    )
    paths, facts = {STEP: path}, {STEP: metadata}
    if metadata["first"]:
        paths[FIRST] = path.with_name(metadata["first"])
        facts[FIRST] = read_metadata(paths[FIRST]) if kind.runtime else metadata
    candidate = Candidate(kind.title, kind.load(paths, facts), TOLERANCES[metadata["precision"]])
    cases = prove(served, [candidate], origin.frames[: served.num_frames])
    return {"file": str(path), "metadata": metadata} | _result(served, candidate, cases, origin)


@contextlib.contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Lets what goes wrong while `path` is written name it."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{path} could not be written: {error.strerror or error}") from error
    except RuntimeError as error:
        raise RuntimeError(f"{path}: {error}") from error


# Share of values between 0 and 1 below which a comparison of restored frames says little.
_FEWEST_UNSATURATED = 0.01


def _result(served: Served, candidate: Candidate, cases: Sequence[dict], origin: Origin) -> dict:
    """What `prove` found of one candidate."""
    own = [
        {key: value for key, value in case.items() if key not in ("differences", "accepted", "psnr")}
        | {
            "difference": case["differences"][candidate.name],
            "accepted": case["accepted"][candidate.name],
            "psnr": case["psnr"].get(candidate.name),
        }
        for case in cases
    ]
    main = [case for case in own if case["output"] in (RESTORED, FLOW)]
    told = [case["psnr"] for case in main if case["psnr"] is not None]
    return {
        "largest_difference": max(case["difference"] for case in main),
        "unit": served.unit,
        "psnr": min(told, default=None),
        "unsaturated": min(case.get("unsaturated", 1.0) for case in main),
        "content": origin.content,
        "cases": own,
    }


def _size_told(served: Served) -> str:
    height, width = served.height, served.width
    size = "of any size" if height is width is None else f"{height or 'any'}x{width or 'any'} (height x width)"
    return f"{size}, {'any number of windows' if served.batch is None else served.batch} at once"


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")))


@contextlib.contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Gives a folder whose files and folders go to `output`, in order of their making, when the block ends well.

    What two programs write at the same time is never mixed: the last one's files stay, all of them.
    """
    output.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=".tmp-export-", dir=output))
    try:
        yield stage
        with FileLock(_lock_of(output)):
            _keep_reports(stage / REPORT, output / REPORT)
            for entry in sorted(stage.iterdir(), key=lambda entry: entry.stat().st_mtime_ns):
                if entry.is_dir():
                    with atomic_folder(output / entry.name) as temporary:
                        temporary.rmdir()
                        entry.rename(temporary)
                else:
                    with atomic_path(output / entry.name) as temporary:
                        entry.rename(temporary)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _lock_of(folder: Path) -> Path:
    """A lock file for a folder, elsewhere: what is exported holds nothing else."""
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"ascendvsr-export-{user_id()}-{name}.lock"


def _keep_reports(new: Path, old: Path) -> None:
    """Enters into the report `new` what `old` tells of other files that are still there."""
    if not new.exists():
        return
    reports = json.loads(new.read_text())
    with contextlib.suppress(OSError, ValueError, AttributeError):
        before = json.loads(old.read_text()).items()
        reports = {file: each for file, each in before if (old.parent / file).exists()} | reports
    new.write_text(json.dumps(reports, indent=1) + "\n")


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
