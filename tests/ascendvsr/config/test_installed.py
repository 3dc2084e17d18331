"""The project's own configurations in an installed package, far from the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ascendvsr.config.files import own_names
from tests.support import PROJECT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed: built as a wheel from a copy of the checkout, then unpacked."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "target"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    for name in ("ascendcv", "ascendvsr", "configs"):
        shutil.copytree(PROJECT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", ".", "--no-build-isolation", "--no-deps", "--no-index", "-w", str(wheels)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    shutil.unpack_archive(wheel, target, "zip")
    return target


def python(installed: Path, folder: Path, code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def test_a_wheel_has_all_configurations_and_finds_them_by_name(installed, tmp_path):
    code = """
import ascendvsr
from ascendvsr.config import load_config
from ascendvsr.config.files import own_names
print(ascendvsr.__file__, *own_names())
for name in own_names():
    load_config(name)
"""
    file, *names = python(installed, tmp_path, code).split()
    assert Path(file).is_relative_to(installed)
    assert names == own_names()
    assert "edvr/edvr_m_x4_sr_reds" in names


def test_a_wrong_name_leads_to_near_ones_there_too(installed, tmp_path):
    code = """
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
try:
    load_config("edvr_m_x4_reds.yaml")
except InputError as error:
    print(error)
"""
    said = python(installed, tmp_path, code)
    assert said.startswith(
        "no configuration file edvr_m_x4_reds.yaml; the project's own that are nearest: edvr/edvr_m"
    )
