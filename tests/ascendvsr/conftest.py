"""Fixtures of restoration, evaluation and export."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import write_image
from tests.support import PROJECT, TINY_EDVR, command_line


@pytest.fixture(scope="session")
def tiny_edvr():
    """An untrained EDVR with 8 channels: x4, 5 frames."""
    import keras

    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model

    keras.utils.set_random_seed(0)
    return build_model(load_config(settings=TINY_EDVR))


@pytest.fixture
def reds_set(tmp_path: Path, photograph: np.ndarray) -> Path:
    """Two clips of three frames, 64x80 and 16x20, in REDS layout, as the set val.json."""
    folder = tmp_path / "reds"
    names = ("000", "011")
    for number, name in enumerate(names):
        for index in range(3):
            top, left = 100 + 150 * number + 2 * index, 180 + 3 * index
            truth = photograph[top : top + 64, left : left + 80]
            write_image(folder / "images" / name / "truth" / f"{index:08d}.png", truth)
            write_image(folder / "images" / name / "blur4" / f"{index:08d}.png", imresize(truth, 0.25))
    videos = [{"name": name, "gt_shape": [64, 80], "x4_shape": [16, 20], "nframes": 3} for name in names]
    description = {"prefix": False, "gt_folder": "truth", "x4_folder": "blur4", "videos": videos}
    (folder / "sets").mkdir()
    (folder / "sets/val.json").write_text(json.dumps(description))
    return folder


@pytest.fixture
def ascendvsr_process(tmp_path: Path):
    """Runs a command in a process, in the folder of the test; gives what it printed."""

    def run(*arguments: object, status: int = 0) -> str:
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        done = subprocess.run(
            command_line(*arguments), cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run
