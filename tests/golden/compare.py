"""How far the arrays of an adapter are from a case's."""

import math
import re
from dataclasses import dataclass

import numpy as np

from tests.golden.case import Case


@dataclass(frozen=True)
class Difference:
    """The worst place of an output.

    Attributes:
        array: its name.
        worst: the largest absolute difference, not counting allowed outliers; NaN if there is a NaN.
        tolerance: the largest one allowed.
        index: where it is, in what the case stores.
        complaint: why the array fails although no element was compared.
    """

    array: str
    worst: float = math.nan
    tolerance: float = math.nan
    index: tuple[int, ...] = ()
    complaint: str = ""

    @property
    def ratio(self) -> float:
        """The difference in units of its tolerance; inf for anything that cannot be compared."""
        if math.isnan(self.worst):
            return math.inf
        if self.tolerance == 0:
            return math.inf if self.worst else 0.0
        return self.worst / self.tolerance

    @property
    def passed(self) -> bool:
        return self.ratio <= 1

    def __str__(self) -> str:
        if self.complaint:
            return f"{self.array}: {self.complaint}"
        place = f"[{','.join(map(str, self.index))}]" if self.index else ""
        return f"{self.array}{place}"


def compare(case: Case, outputs: dict[str, object]) -> list[Difference]:
    """One difference for each output of the case that is to be matched, in the case's order.

    `outputs` holds full tensors in the source's layout. Where the source has a mask `NAME_valid` beside an
    array NAME, only the places where the case's mask is not 0 count (and NaN anywhere).
    """
    return [_compare(case, name, outputs) for name in case.outputs if name not in case.information]


def compare_implementations(
    case: Case, impl: str, outputs: dict[str, object], composed: dict[str, object], double: dict[str, object]
) -> list[Difference]:
    """One difference for each output of the case that two implementations of operations computed in float32.

    They may be as far from each other as from the case, or three times as far as the composed one is from itself
    in float64: where gradients are noise in part, no tolerance that was measured elsewhere says how much of it
    there is on this processor. Arrays of one kind, gradnorm.NAME for instance, count together there, in units of
    their tolerances, as the rows of one array do: a single number can be near by chance. Gradients of a subject in
    `_FLIPPED` may differ by that share of the largest value of the array: a ReLU whose input is within rounding of
    0 falls to either side, in the composed implementation as well, which shows in its distance from float64 only
    if it happens there. Norms of gradients should be within 1 % of those in float64 besides.

    Args:
        impl: the name of the implementation that gave `outputs`.
        composed: what the composed implementation gave in float32.
        double: what it gave in float64.
    """
    names = [name for name in case.outputs if name in composed and name not in case.information]

    def difference(name: str, label: str, one: dict, other: dict, limit: float) -> Difference:
        distance = _distance(case, name, _part(case, name, one), _part(case, name, other))
        return _worst(label, distance, limit, case.outliers(name))

    own: dict[str, float] = {}  # kind -> how far the composed one is from itself, in units of the tolerance
    for name in names:
        ratio = difference(name, name, composed, double, case.tolerance(name)).ratio
        if math.isfinite(ratio):  # what is not is not what noise explains
            own[_kind(name)] = max(own.get(_kind(name), 0.0), ratio)
    differences = []
    for name in names:
        limit = case.tolerance(name) * max(1.0, 3 * own.get(_kind(name), 0.0))
        if name.startswith("grad") and case.subject in _FLIPPED:
            largest = np.max(np.abs(_part(case, name, double)), initial=0)
            if math.isfinite(largest):
                limit = max(limit, _FLIPPED[case.subject] * float(largest))
        differences.append(difference(name, f"{name} ({impl}, tf)", outputs, composed, limit))
        if _NORMS.match(name):
            ours, exact = (_part(case, name, found) for found in (outputs, double))
            allowed = np.maximum(0.01 * np.abs(exact), case.tolerance(name))
            differences.append(_worst(f"{name} ({impl}, float64)", np.abs(ours - exact) / allowed, 1.0, 0.0))
    return differences


def _kind(name: str) -> str:
    return name.partition(".")[0]


# Subject -> what flipped ReLUs change, in the rounding of Winograd's convolution: at most 5e-4 was seen in
# FlowNet1S, 2e-3 in FlowDBN. All other training steps pass without it.
_FLIPPED = {"flow_train_step": 1e-3, "DBN_train_step": 3e-3}
_NORMS = re.compile(r"gradnorm|grad_norm|grad_l2|grad_total_norm|total_grad_norm")


def _compare(case: Case, name: str, outputs: dict[str, object]) -> Difference:
    if name not in outputs:
        return Difference(name, complaint="not computed")
    expected = case.array(name).astype(np.float64)
    try:
        actual = _part(case, name, outputs)
    except IndexError:
        return Difference(name, complaint=f"shape {np.shape(outputs[name])} has no part {case.view(name)}")
    if actual.shape != expected.shape:
        return Difference(name, complaint=f"shape {actual.shape} instead of {expected.shape}")
    return _worst(name, _distance(case, name, actual, expected), case.tolerance(name), case.outliers(name))


def _part(case: Case, name: str, outputs: dict[str, object]) -> np.ndarray:
    """What the case stores of the full tensor `name`, in float64."""
    return np.asarray(outputs[name])[case.view(name)].astype(np.float64)


def _distance(case: Case, name: str, actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """|actual - expected|, 0 where the case's mask of the array, if it has one, is 0."""
    distance = np.zeros(expected.shape)
    unequal = actual != expected  # equal infinities are at no distance
    distance[unequal] = np.abs(actual[unequal] - expected[unequal])
    if f"{name}_valid" in case.outputs:
        distance[(case.array(f"{name}_valid") == 0) & ~np.isnan(distance)] = 0
    return distance


def _worst(name: str, distance: np.ndarray, tolerance: float, outliers: float) -> Difference:
    """The largest distance that is not among the allowed outliers. NaN is never allowed."""
    if distance.size == 0:
        return Difference(name, 0.0, tolerance)
    order = np.argsort(distance, axis=None)  # NaN last
    position = order[-1]
    if not np.isnan(distance.flat[position]):
        position = order[-1 - min(int(outliers * distance.size), distance.size - 1)]
    index = tuple(int(i) for i in np.unravel_index(position, distance.shape))
    return Difference(name, float(distance.flat[position]), tolerance, index)
