"""What the code asks of the system: nothing that Windows lacks is needed for importing it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PROJECT

# The import of these fails on Windows; os has no such functions there.
_MODULES = ("fcntl", "grp", "pwd", "resource", "termios")
_FUNCTIONS = ("fork", "getuid", "geteuid", "killpg", "setsid", "statvfs")
_SIGNALS = ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2")

PREPARATION = f"""
import os, signal, subprocess, sys
sys.path.insert(0, {str(PROJECT)!r})
import importlib.util, tempfile, pathlib, shutil, socket, threading, multiprocessing
IMPORT
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name in {_MODULES!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refused())
for name in {_MODULES!r}:
    sys.modules.pop(name, None)
for name in {_FUNCTIONS!r}:
    if hasattr(os, name):
        delattr(os, name)
for name in {_SIGNALS!r}:
    delattr(signal, name)
"""


def modules_of(package: str) -> list[str]:
    """All modules of a package by name, those apart that start a program when they are imported."""
    names = []
    for path in sorted((PROJECT / package).rglob("*.py")):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        if parts[-1] != "__main__" and "configs" not in parts:
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def test_every_module_can_be_imported_without_what_windows_lacks(tmp_path):
    names = modules_of("ascendcv") + modules_of("ascendvsr")
    assert len(names) > 150
    # Libraries that the project uses look for these modules themselves, in ways of their own.
    code = (
        PREPARATION.replace("IMPORT", "import av, h5py, keras, numpy, PIL.Image, tensorflow, tifffile, tqdm, yaml")
        + f"""
failed = []
for name in {names!r}:
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        if error.name in {_MODULES!r}:
            failed.append(f"{{name}} imports {{error.name}}")
    except AttributeError as error:
        failed.append(f"{{name}}: {{error}}")
print(*failed, sep="\\n")
"""
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split("\n") == ["", ""]


@pytest.mark.parametrize("command", [["--help"], ["settings", "num_threads"], ["models"], ["join", "none.mkv"]])
def test_commands_run_without_what_windows_lacks(tmp_path: Path, command: list[str]):
    code = (
        PREPARATION.replace("IMPORT", "")
        + f"""
from ascendvsr.cli import main
sys.exit(main({command!r}))
"""
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert found.returncode == (2 if command[0] == "join" else 0), found.stderr
    assert "Traceback" not in found.stderr


def test_only_scripts_need_bash():
    """No module starts a shell script."""
    for folder in ("ascendcv", "ascendvsr", "tools"):
        for path in (PROJECT / folder).rglob("*.py"):
            text = path.read_text()
            assert '"bash"' not in text, path
            assert "/bin/sh" not in text, path
    assert os.path.isdir(PROJECT / "scripts")
