"""The commands and files that docs/deploy.md names are there."""

import re
import shlex

import pytest

from ascendvsr.cli import _parse
from ascendvsr.deployment.formats import FORMATS
from ascendvsr.deployment.operators import operator_table
from tests.support import PROJECT

PAGE = (PROJECT / "docs/deploy.md").read_text()
COMMANDS = [line.strip() for line in PAGE.splitlines() if line.startswith("    ascendvsr ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_understood(line):
    name, *words = shlex.split(line)
    command, _ = _parse(words)
    assert (name, command) == ("ascendvsr", words[0])


def test_every_format_is_told_of():
    rows = [line for line in PAGE.split("## Which format")[1].splitlines() if line.startswith("| `")]
    assert set(FORMATS) <= {name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}


def test_programs_are_those_of_the_folder():
    section = PAGE.split("## In your own program")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+\.\w+)`", row.split("|")[1])}
    assert named | {"frames.h"} == {path.name for path in (PROJECT / "examples/deploy").iterdir() if path.is_file()}


def test_the_number_of_operations_is_that_of_the_list():
    assert f"({len(operator_table('ascend')['operations'])}\noperations of ONNX" in PAGE
