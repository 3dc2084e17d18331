"""Packages whose names are imported when they are first used: importing the package loads nothing else."""

import importlib
import sys
import types
from collections.abc import Callable, Mapping


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], list[str]]:
    """`__getattr__` and `__all__` of a package.

    A name may also be that of the module in the package which defines it: `package.name` is then what the module
    defines, and the module itself is reached by `from package.name import ...`.

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

    namesakes = {name for name, module in modules.items() if module == f"{package}.{name}"}
    if namesakes:
        sys.modules[package].__class__ = _without_namesakes(namesakes)
    return get, sorted(modules)


def _without_namesakes(names: set[str]) -> type[types.ModuleType]:
    """A class of packages that do not keep their modules of these names, which importing a module would do."""

    class Package(types.ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            if not (name in names and isinstance(value, types.ModuleType)):
                super().__setattr__(name, value)

    return Package
