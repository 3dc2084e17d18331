"""Parameter groups: which weights learn faster, slower or later, chosen by their official names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ascendcv.utils.errors import InputError

_KEYS = {"pattern", "lr_mult", "freeze_until"}


@dataclass(frozen=True)
class Groups:
    """For each weight the factor of its learning rate and the iteration (from 1) that it begins to learn in.

    The iteration is infinite for a weight that never learns.
    """

    lr_factors: list[float]
    freeze_until: list[float]

    def active(self, step: int) -> tuple[int, ...]:
        """Positions of the weights that update `step` (from 0) changes: that update is iteration step + 1."""
        return tuple(index for index, begin in enumerate(self.freeze_until) if step + 1 >= begin)


def make_groups(
    names: Sequence[str], param_groups: Sequence[Mapping[str, Any]], train_only: tuple[str, int] = ("", 0)
) -> Groups:
    """The groups of a configuration for weights of these official names.

    Args:
        names: of all weights.
        param_groups: `solver.param_groups`: [{pattern: REGEX, lr_mult: 1.0, freeze_until: 0}, ...]. A weight
            is in the first group whose pattern is found in its name; without one it learns at the plain rate.
            A weight with freeze_until `.inf` never learns.
        train_only: pattern and iteration: until then only names that contain the pattern learn. EDVR's second
            stage is ('fusion', 50000): nothing but the fusion learns in iterations 1 to 49,999.
    Raises:
        InputError: an impossible group, or a pattern that no name contains.
    """
    check_groups(param_groups, train_only)
    factors, freeze_until = [1.0] * len(names), [0.0] * len(names)
    for index, name in enumerate(names):
        group = next((group for group in param_groups if re.search(group["pattern"], name)), {})
        factors[index] = float(group.get("lr_mult", 1.0))
        freeze_until[index] = float(group.get("freeze_until", 0))
        if train_only[0] and not re.search(train_only[0], name):
            freeze_until[index] = max(freeze_until[index], train_only[1])
    for pattern in [group["pattern"] for group in param_groups] + [train_only[0]]:
        if not any(re.search(pattern, name) for name in names):
            raise InputError(f"the pattern {pattern!r} in solver matches no weight; there are {names[0]}, ...")
    if min(freeze_until) > 1:
        raise InputError(f"solver.param_groups and train_only freeze all weights until step {min(freeze_until):g}")
    return Groups(factors, freeze_until)


def check_groups(param_groups: Sequence[Mapping[str, Any]], train_only: tuple[str, int]) -> None:
    """Raises `InputError` for groups that no network could have."""
    for group in param_groups:
        if not isinstance(group, Mapping) or not isinstance(group.get("pattern"), str) or group.keys() - _KEYS:
            raise InputError(
                f"solver.param_groups lists {{pattern: REGEX, lr_mult: 1.0, freeze_until: 0}}, not {group}"
            )
        for key in ("lr_mult", "freeze_until"):
            value = group.get(key, 0)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise InputError(f"{key} in solver.param_groups should be a number from 0, not {value!r}")
    for pattern in [group["pattern"] for group in param_groups] + [train_only[0]]:
        try:
            re.compile(pattern)
        except re.error as error:
            raise InputError(f"the pattern {pattern!r} in solver is no regular expression: {error}") from error
