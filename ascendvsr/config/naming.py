"""Messages of `ascendcv`, which name arguments, in the words of a configuration, whose keys a user knows."""

import contextlib
import re
from collections.abc import Iterator

from ascendcv.utils.errors import InputError


@contextlib.contextmanager
def naming_keys(section: str = "", **keys: str) -> Iterator[None]:
    """Inside the block, an `InputError` that names an argument in backquotes names the key that gives it instead.

    Args:
        section: for arguments that are called as their keys in this section are.
        keys: argument=key for others.

    >>> with naming_keys("solver.lr_schedule", margin="data.train_margin"):
    ...     raise InputError("`margin` and `total_steps` do not go together")
    Traceback (most recent call last):
    ascendcv.utils.errors.InputError: data.train_margin and solver.lr_schedule.total_steps do not go together
    """

    def key(found: re.Match) -> str:
        name = found[1]
        if name in keys:
            return keys[name]
        return f"{section}.{name}" if section else found[0]

    try:
        yield
    except InputError as error:
        raise InputError(re.sub(r"`(\w+)`", key, str(error))) from error
