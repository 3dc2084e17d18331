"""The commands in a page of docs/."""

import re
import shlex
from pathlib import Path


def commands(page: Path, begin: str) -> list[list[str]]:
    """What stands in backquotes, in the last column of the tables, and begins with a word: as words."""
    cells = [line.rsplit(" | ", 1)[-1] for line in page.read_text().splitlines() if line.startswith("| ")]
    return [shlex.split(text) for cell in cells for text in re.findall(rf"`({begin} [^`]+)`", cell)]
