"""What computes a case: {family: {subject: adapter}}.

An adapter takes a `Case` and returns its outputs, name -> full tensor in the source's layout; more names than the
case asks for do no harm. It imports what it adapts inside the function, so that what is not there fails its own
cases only.
"""

from collections.abc import Callable

from tests.golden.adapters import (
    basicvsr,
    cdvd_tsp,
    common,
    data,
    deblur_devil,
    edvr,
    flow,
    kernels,
    metrics,
    ops,
    pvdnet,
    runner,
    rvrt,
)
from tests.golden.case import Case

# A family's adapters may stand in several files.
_MODULES = (basicvsr, cdvd_tsp, common, data, deblur_devil, edvr, flow, kernels, metrics, ops, pvdnet, runner, rvrt)
ADAPTERS: dict[str, dict[str, Callable[[Case], dict]]] = {}
for _module in _MODULES:
    for _family, _subjects in _module.ADAPTERS.items():
        ADAPTERS.setdefault(_family, {}).update(_subjects)


def find(case: Case) -> Callable[[Case], dict] | None:
    """The adapter of the case's family and subject, or None."""
    return ADAPTERS.get(case.family, {}).get(case.subject)
