"""`restore`, `inference` and `eval` give the same on TensorFlow, JAX and PyTorch."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.image import read_image
from tests.support import BACKENDS, PROJECT


def frames(folder: Path) -> np.ndarray:
    return np.stack([read_image(path) for path in sorted(folder.rglob("*.png"))]).astype(int)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("command", ["restore", "inference"])
def test_restores_the_same_frames(
    command: str,
    backend: str,
    ascendvsr: Callable,
    frame_folder: Callable,
    tiny_edvr_checkpoint: Path,
    tmp_path: Path,
):
    clip, results = frame_folder(count=3), []
    for name in ("tensorflow", backend):
        output = tmp_path / name
        if command == "restore":
            arguments = [clip, output, "--checkpoint", tiny_edvr_checkpoint]
        else:
            arguments = ["--checkpoint", tiny_edvr_checkpoint, "inference.input", clip, "inference.output", output]
        run = ascendvsr(command, *arguments, env=os.environ | {"KERAS_BACKEND": name})
        assert run.returncode == 0, run.stderr
        results.append(frames(output))
    assert results[0].shape == (3, 128, 160, 3)
    assert np.abs(results[0] - results[1]).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_evaluates_to_the_same_scores(backend: str, ascendvsr: Callable, sample: Path, tiny_edvr_checkpoint: Path):
    scores = []
    for name in ("tensorflow", backend):
        arguments = ["--checkpoint", tiny_edvr_checkpoint, "data.data_dir", sample]
        run = ascendvsr("eval", *arguments, env=os.environ | {"KERAS_BACKEND": name})
        assert run.returncode == 0, run.stderr
        scores.append([float(number) for number in re.findall(r"\b\d+\.\d{3,}\b", run.stdout)])
    assert scores[0]
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-3)


@pytest.mark.parametrize("command", ["train", "freeze"])
def test_the_rest_is_tensorflows_and_says_so(
    command: str, ascendvsr: Callable, sample: Path, tiny_edvr_checkpoint: Path
):
    config = PROJECT / "ascendvsr/configs/edvr_sample.yaml"
    given = {
        "train": ["--config-file", config, "data.data_dir", sample],
        "freeze": ["--checkpoint", tiny_edvr_checkpoint],
    }
    run = ascendvsr(command, *given[command], env=os.environ | {"KERAS_BACKEND": "jax"})
    assert run.returncode == 2
    assert "KERAS_BACKEND is jax" in run.stderr
    assert "TensorFlow's: unset KERAS_BACKEND" in run.stderr
