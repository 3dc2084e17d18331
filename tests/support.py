"""Names that tests share beside the fixtures of conftest.py."""

import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent

# Settings of an EDVR small enough for a test: x4, 5 frames, with TSA, 8 channels.
TINY_EDVR = {
    "edvr.mid_channels": 8,
    "edvr.num_deform_groups": 2,
    "edvr.num_blocks_extraction": 1,
    "edvr.num_blocks_reconstruction": 1,
}


def command_line(*arguments: object) -> list[str]:
    """`ascendvsr ARGUMENTS` as a list for a new process of this Python."""
    return [sys.executable, str(PROJECT / "tools/main.py"), *map(str, arguments)]
