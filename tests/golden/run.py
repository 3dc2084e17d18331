"""Runs cases through their adapters."""

import contextlib
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from tests.golden import adapters
from tests.golden.case import Case, CaseError
from tests.golden.compare import Difference, compare


@dataclass
class Result:
    """What became of a case.

    Attributes:
        name: family/case, or the path of a file that is no case.
        kind: model, op, loss, metric, schedule or train_step.
        differences: one for each output that is to be matched.
        complaints: all that is wrong apart from differences.
        trace: of the exception that the adapter raised, if it did.
    """

    name: str
    kind: str = "-"
    differences: list[Difference] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    trace: str = ""

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
    """Rebuilds the case in the .json `path`, with the op implementation `impl` where ops have several."""
    try:
        case = Case(path)
    except (CaseError, OSError) as error:
        return Result(str(path), complaints=[str(error)])
    result = Result(case.name, case.kind, complaints=case.complaints())
    adapter = adapters.find(case)
    if adapter is None:
        result.complaints.append(f"no adapter for {case.family}/{case.subject}")
    if not result.complaints:
        try:
            with _implementation(impl):
                result.differences = compare(case, adapter(case))
        except Exception as error:  # whatever a network under test raises is a failure of its case
            result.complaints.append(f"{type(error).__name__}: {error}")
            result.trace = traceback.format_exc()
        if not result.differences and not result.complaints:
            result.complaints.append("nothing was compared")
    return result


def _implementation(impl: str | None) -> contextlib.AbstractContextManager:
    if impl is None:
        return contextlib.nullcontext()
    from ascendcv.ops.registry import implementation

    return implementation(impl)
