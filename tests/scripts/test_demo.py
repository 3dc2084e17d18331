"""README's first command, in a fresh clone."""

import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.support import PROJECT


@pytest.mark.slow
def test_the_demo_makes_everything_and_a_second_run_reuses_it(tmp_path: Path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", PROJECT, clone], check=True)
    first = subprocess.run(["bash", "scripts/demo.sh"], cwd=clone, capture_output=True, text=True)
    assert first.returncode == 0, first.stdout + first.stderr
    outputs = clone / "outputs" / "sample"
    assert (outputs / "restored.mp4").stat().st_size > 0
    assert (outputs / "EDVR.pb").exists()
    assert (outputs / "EDVR_savedmodel" / "saved_model.pb").exists()
    assert Image.open(outputs / "side_by_side.png").width > 700
    frames = {path: path.stat().st_mtime_ns for path in (outputs / "restored").iterdir()}

    second = subprocess.run(["bash", "scripts/demo.sh"], cwd=clone, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert "ascendvsr train" not in second.stdout
    assert {path: path.stat().st_mtime_ns for path in frames} == frames
