"""docs/coming-from.md: each command that it tells is run, in a folder where there is no data."""

import os
import re
import subprocess

import pytest

from ascendvsr import cli
from ascendvsr.config import load_config
from ascendvsr.config.schema import settings
from tests.docs_commands import commands
from tests.support import PROJECT

PAGE = PROJECT / "docs/coming-from.md"
# What is said where data, weights or the first stage of a recipe are missing, and nothing else is wrong.
MISSING = (
    r"there is no data set in|there is no checkpoint|cannot read the weights|is not here yet|there is no file|"
    r"there is no folder|holds no (training )?checkpoint|there is no .*outputs|first stage|no such file"
)


@pytest.mark.parametrize("words", commands(PAGE, "ascendvsr"), ids=" ".join)
def test_a_command_lacks_nothing_but_data_and_weights(words: list[str], tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for variable in ("DATASETS_HOME", "EXPERIMENTS_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    monkeypatch.setenv("ASCENDVSR_HOME", str(tmp_path / "home"))
    if "$" in " ".join(words):
        assert load_config(None, cli._parse(words[1:])[1].settings).data.data_dir.startswith(str(tmp_path))
    assert cli.main(words[1:]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(MISSING, error), error


def test_an_unset_variable_in_a_path_is_an_error(monkeypatch, capsys):
    monkeypatch.delenv("DATASETS_HOME", raising=False)
    assert cli.main(["train", "data.data_dir", "$DATASETS_HOME/gopro"]) == 2
    assert "$DATASETS_HOME is not set" in capsys.readouterr().err


@pytest.mark.parametrize("words", commands(PAGE, "(?:bash|python)"), ids=" ".join)
def test_a_script_is_there_and_takes_these_arguments(words: list[str], tmp_path):
    """With a Python that only shows what it is asked to do."""
    program, script, *arguments = words
    assert (PROJECT / script).is_file()
    if program == "bash":
        python = tmp_path / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
        python.chmod(0o755)
        (tmp_path / "scripts").symlink_to(PROJECT / "scripts")
        environment = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
        command = ["bash", str(tmp_path / script), *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr


def test_settings_that_are_named_are_settings():
    known = settings()
    for text in re.findall(r"`([^`]+)`", PAGE.read_text()):
        for key in re.findall(r"\b(?:solver|data|eval|model|inference|edvr)\.[a-z_.]+", text):
            assert key in known or key.endswith((".yaml", ".py")), key
