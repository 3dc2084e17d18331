"""From a network to files that other programs run, each proven equal to the Keras model before it has its name.

`ascendvsr.deployment.formats` lists the formats, `ascendvsr.deployment.serving` says what goes in and comes out,
`ascendvsr.deployment.metadata` what a file says of itself.
"""

import contextlib
import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.quiet import silent_libraries
from ascendvsr.deployment.description import describe, metadata
from ascendvsr.deployment.formats import Format, Traced, format_named
from ascendvsr.deployment.metadata import NAME, read_metadata, write_metadata
from ascendvsr.deployment.origin import Origin, origin_of
from ascendvsr.deployment.parity import TOLERANCES, Candidate, Tolerance, prove, samples
from ascendvsr.deployment.serving import (
    FIRST,
    FLOW,
    RESTORED,
    STEP,
    Served,
    frames_of_a_call,
    input_shape,
    serving_functions,
)
from ascendvsr.deployment.staging import REPORT, staged
from ascendvsr.models import card_of
from ascendvsr.models.card import Card, imported

_ANY = Tolerance(floats=None, levels=None)


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
