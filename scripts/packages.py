"""Imported before all others by the scripts beside it: they find the clone, and say in one line what is missing."""

import sys
from pathlib import Path
from types import TracebackType

PROJECT = Path(__file__).resolve().parents[1]


def _say_in_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not isinstance(error, ModuleNotFoundError) or (error.name or "").startswith(("ascendcv", "ascendvsr")):
        sys.__excepthook__(kind, error, trace)
        return
    command = f"{sys.executable} -m pip install -e '{PROJECT}[test]'"
    print(f"{Path(sys.argv[0]).name}: the package {error.name} is not installed: {command}", file=sys.stderr)


sys.path.insert(1, str(PROJECT))
sys.excepthook = _say_in_one_line
