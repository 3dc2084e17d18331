"""Packages whose names are imported when they are first used: importing the package loads nothing else."""

import importlib
from collections.abc import Callable, Mapping


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], list[str]]:
    """`__getattr__` and `__all__` of a package.

    Args:
        package: its name, `__name__`.
        modules: public name -> the module that defines it, as an absolute name.

    >>> __getattr__, __all__ = lazy_names("shapes", {"sqrt": "math"})
    >>> __getattr__("sqrt")(9.0)
    3.0
    """

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    return get, sorted(modules)
