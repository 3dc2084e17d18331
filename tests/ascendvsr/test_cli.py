"""The command line: help, the words of old, and what is checked before TensorFlow is imported."""

import os
import subprocess
import sys

import pytest

from ascendvsr.cli import COMMANDS
from tests.support import PROJECT, command_line


def run(*command: str, **environment: str) -> subprocess.CompletedProcess:
    environment = os.environ | environment
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], *([command, "--help"] for command in COMMANDS)],
)
def test_help_is_printed_without_importing_tensorflow(arguments):
    script = (
        "import sys\n"
        "from ascendvsr.cli import main\n"
        "try:\n"
        f"    main({arguments})\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0\n"
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)\n"
    )
    result = run(sys.executable, "-c", script)
    assert result.returncode == 0, result.stderr
    assert "usage: ascendvsr" in result.stdout


def test_importing_the_packages_imports_only_the_standard_library():
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import ascendcv, ascendvsr\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "assert new <= set(sys.stdlib_module_names) | {'ascendcv', 'ascendvsr'}, new\n"
    )
    result = run(sys.executable, "-c", script)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "module",
    [
        "training.plan",
        "training.run",
        "evaluation.evaluate",
        "restoration.inference",
        "restoration.flow",
        "deployment.export",
    ],
)
def test_commands_can_check_what_they_are_given_without_tensorflow(module):
    script = f"import sys, ascendvsr.{module}; assert not {{'tensorflow', 'keras'}} & set(sys.modules)"
    result = run(sys.executable, "-c", script)
    assert result.returncode == 0, result.stderr


def test_the_key_mode_names_the_command():
    result = run(*command_line("--config-file", "configs/edvr.yaml", "mode", "eval"))
    assert result.returncode == 2
    assert "--checkpoint" in result.stderr


def test_missing_tensorflow_is_one_line_that_says_what_to_install(tmp_path, tiny_edvr_checkpoint):
    """None in sys.modules is how Python itself marks a module that is not there."""
    arguments = ["freeze", "--checkpoint", str(tiny_edvr_checkpoint), "output_dir", str(tmp_path)]
    script = (
        "import sys\n"
        "from ascendvsr.cli import main\n"
        "sys.modules['tensorflow'] = None\n"
        f"sys.exit(main({arguments}))\n"
    )
    result = run(sys.executable, "-c", script)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "ascendvsr[cpu]" in result.stderr


@pytest.mark.parametrize("script", sorted(path.name for path in (PROJECT / "scripts").glob("run_*.sh")))
def test_every_script_is_valid_bash_and_explains_itself(script):
    path = PROJECT / "scripts" / script
    assert run("bash", "-n", str(path)).returncode == 0
    assert path.read_text().startswith("#!/usr/bin/env bash\n# ")


@pytest.mark.parametrize("script", ["run_evaluation.sh", "run_inference.sh", "run_freeze.sh"])
def test_a_script_without_its_arguments_tells_its_usage(script):
    result = run("bash", f"scripts/{script}")
    assert result.returncode == 2
    assert f"usage: bash scripts/{script}" in result.stderr


def test_settings_are_searched_and_explained():
    result = run(*command_line("settings", "solver.keep_checkpoints"))
    assert result.stdout.startswith("solver.keep_checkpoints: 0\n")
    result = run(*command_line("settings", "keep_chekpoints"))
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "keep_checkpoints" in result.stderr


def test_a_command_that_there_is_not_names_those_that_there_are():
    result = run(*command_line("restor"))
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "restore" in result.stderr
