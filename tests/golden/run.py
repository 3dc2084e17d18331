"""Runs cases through their adapters."""

import contextlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.golden import adapters, left_out
from tests.golden.case import Case, CaseError
from tests.golden.compare import Difference, compare, compare_implementations
from tests.golden.precision import double_precision


@dataclass
class Result:
    """What became of a case.

    Attributes:
        name: family/case, or the path of a file that is no case.
        kind: model, op, loss, metric, schedule or train_step.
        differences: one for each output that is to be matched.
        complaints: all that is wrong apart from differences.
        trace: of the exception that the adapter raised, if it did.
        left_out: why this backend does not compute the case, if it does not.
    """

    name: str
    kind: str = "-"
    differences: list[Difference] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    trace: str = ""
    left_out: str = ""

    @property
    def passed(self) -> bool:
        return not self.complaints and all(difference.passed for difference in self.differences)

    @property
    def worst(self) -> Difference | None:
        """The output that is farthest off in units of its tolerance."""
        return max(self.differences, key=lambda difference: difference.ratio, default=None)

    def failures(self) -> list[str]:
        """One line for each thing that is wrong."""
        failed = [difference for difference in self.differences if not difference.passed]
        return self.complaints + [
            str(difference)
            if difference.complaint
            else f"{difference}: {difference.worst:.3g} off, {difference.tolerance:.3g} allowed"
            for difference in failed
        ]


def run_file(path: Path, impl: str | None = None) -> Result:
    """Rebuilds the case in the .json `path`, with the op implementation `impl` where ops have several.

    A case that is to be computed in float64, which compiled kernels refuse, is composed; by a kernel's name it runs
    in float32. A training step is run three times: composed in float64, composed in float32 and with the compiled
    kernels in float32; see `compare_implementations`.
    """
    try:
        case = Case(path)
    except (CaseError, OSError) as error:
        return Result(str(path), complaints=[str(error)])
    if reason := left_out.reason(case.name):
        return Result(case.name, case.kind, left_out=reason)
    result = Result(case.name, case.kind, complaints=case.complaints())
    adapter = adapters.find(case)
    if adapter is None:
        result.complaints.append(f"no adapter for {case.family}/{case.subject}")
    if not result.complaints:
        try:
            result.differences = _differences(case, adapter, impl)
        except Exception as error:  # whatever a network under test raises is a failure of its case
            result.complaints.append(f"{type(error).__name__}: {error}")
            result.trace = traceback.format_exc()
        if not result.differences and not result.complaints:
            result.complaints.append("nothing was compared")
    return result


def _differences(case: Case, adapter: Callable[[Case], dict], impl: str | None) -> list[Difference]:
    if case.kind != "train_step":
        if case.compute_in == "float64" and impl in (None, "auto", "tf"):
            with double_precision():
                return compare(case, adapter(case.in_double_precision()))
        with _implementation(impl):
            return compare(case, adapter(case))
    with double_precision():
        double = adapter(case.in_double_precision())
    found = {}
    for name in _implementations(impl):
        with _implementation(name):
            found[name] = adapter(case)
    # An array of the source's run in float64, such as grad64.NAME, is our grad.NAME in float64.
    doubled = {name: double.get(name, double.get(name.replace("64", "", 1))) for name in case.outputs}
    single = next(iter(found.values()))
    outputs = {name: single[name] for name in case.outputs if name in single}
    outputs |= {
        name: array for name, array in doubled.items() if array is not None and case.computed_in_double(name)
    }
    differences = compare(case, outputs)
    for name in found.keys() - {"tf"}:
        differences += compare_implementations(case, name, found[name], found["tf"], double)
    return differences


def _implementations(impl: str | None) -> list[str]:
    """Those that a training step runs with, the one whose outputs count first, the composed one last."""
    from ascendcv.ops import registry

    if impl in (None, "auto"):
        usable = registry.available("deform_conv2d")["fused"] is None
        return ["fused", "tf"] if usable else ["tf"]
    return [impl] if impl == "tf" else [impl, "tf"]


def _implementation(impl: str | None) -> contextlib.AbstractContextManager:
    if impl is None:
        return contextlib.nullcontext()
    from ascendcv.ops.registry import implementation

    return implementation(impl)
