"""The shell scripts work from wherever the user stands, and say what is not installed."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PROJECT


def run(script: str, *arguments: object, cwd: Path, path: str = "") -> subprocess.CompletedProcess:
    environment = os.environ | {"PATH": path or f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["/bin/bash", PROJECT / "scripts" / script, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("run_evaluation.sh", (0, "weights.h5", "data.data_dir", "frames")),
        ("run_inference.sh", (0, "weights.h5", "data.data_dir", "frames")),
    ],
)
def test_relative_paths_begin_where_the_user_stands(tmp_path, tiny_edvr_checkpoint, reds_set, script, arguments):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/weights.h5").symlink_to(tiny_edvr_checkpoint)
    (tmp_path / "here/frames").symlink_to(reds_set)
    done = run(script, *arguments, "output_dir", "results", cwd=tmp_path / "here")
    assert done.returncode == 0, done.stderr
    assert any((tmp_path / "here/results").iterdir())


def test_a_recipe_of_the_project_is_found_from_elsewhere(tmp_path):
    done = run("run_1p_train.sh", 0, 1, "data.data_dir", "nowhere", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "ascendvsr: there is no data set in nowhere: give its folder as data.data_dir\n"


@pytest.mark.parametrize("script", ["run_evaluation.sh", "run_1p_train.sh", "prepare_8p.sh"])
def test_without_what_is_needed_one_line_says_what_to_install(tmp_path, script):
    """A project without a .venv, and a Python without packages."""
    house = tmp_path / "house"
    for folder in ("scripts", "tools", "ascendvsr", "ascendcv", "configs"):
        house.mkdir(exist_ok=True)
        (house / folder).symlink_to(PROJECT / folder)
    (house / "scripts").unlink()
    subprocess.run(["cp", "-r", PROJECT / "scripts", house / "scripts"], check=True)
    python = tmp_path / "bin/python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", house / "scripts" / script, "0", "1"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{python.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"pip install -e '{house}[cpu]'" in done.stderr


def test_the_command_without_a_package_says_so_too():
    program = (
        "import sys; sys.modules['yacs'] = sys.modules['yacs.config'] = None\n"
        "from ascendvsr.cli import main; sys.exit(main(['eval']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=PROJECT)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "the package yacs" in done.stderr
    assert "pip install 'ascendvsr[cpu]'" in done.stderr


@pytest.mark.parametrize("script", sorted(PROJECT.glob("scripts/*.py")), ids=lambda path: path.stem)
def test_a_python_script_names_the_package_that_is_missing(tmp_path, script):
    command = [sys.executable, "-S", script, "--help"]  # without the environment's packages
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    if "not installed" in done.stderr:
        line = rf"{script.name}: the package (\w+) is not installed: .+ -m pip install .+\n"
        found = re.fullmatch(line, done.stderr)
        assert found, done.stderr
        assert importlib.util.find_spec(found[1])
