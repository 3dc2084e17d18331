"""The short examples and the notebooks, run as they stand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.frame_source import open_source
from tests.ascendcv.dataloader.made_videos import make_video
from tests.support import PROJECT

EXAMPLES = PROJECT / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def run(*command: object) -> str:
    environment = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, *map(str, command)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_clip_is_restored_by_a_few_lines(tmp_path: Path, photograph: np.ndarray):
    frames = np.stack([photograph[100 + 2 * t : 124 + 2 * t, 180:212] for t in range(5)])
    make_video(tmp_path / "clip.mp4", frames)
    assert "5 frames restored" in run(
        EXAMPLES / "restore_clip.py", tmp_path / "clip.mp4", tmp_path / "restored.mp4"
    )
    footage = open_source(tmp_path / "restored.mp4").footage
    assert (footage.height, footage.width) == (96, 128)


@pytest.mark.slow
def test_a_deformable_convolution_learns_what_a_plain_one_cannot():
    plain, deformable = (float(line.split()[-1]) for line in run(EXAMPLES / "deformable_layer.py").splitlines())
    assert deformable < 0.6 * plain


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cells_of_a_notebook_run_in_their_order(path: Path, tmp_path: Path):
    notebook = json.loads(path.read_text())
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in cells)  # they are committed without what they print
    script = tmp_path / "cells.py"
    script.write_text("\n".join("".join(cell["source"]) for cell in cells))
    run("-c", f"import os; os.chdir({str(PROJECT)!r}); exec(open({str(script)!r}).read())")
