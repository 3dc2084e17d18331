"""`restore`, `inference` and `eval` give the same on TensorFlow, JAX and PyTorch, whatever the network."""

import functools
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.image import read_image, write_image
from tests.support import BACKENDS, PROJECT, TINY_CDVD_TSP, TINY_EDVR, TINY_PVDNET, TINY_RVRT, command_line

_DEBLUR = {"model.scale": 1, "deblur_devil.num_feat": 8}

# name -> settings of a small one
NETWORKS = {
    "EDVR": {"model.name": "EDVR"} | TINY_EDVR,
    "RVRT": TINY_RVRT,
    "CDVDTSP": TINY_CDVD_TSP,
    "PVDNet": TINY_PVDNET,
    "DBN": {"model.name": "DBN"} | _DEBLUR,
    "FlowDBN": {"model.name": "FlowDBN"} | _DEBLUR,
    "BasicVSR": {"model.name": "BasicVSR", "basicvsr.num_feat": 8, "basicvsr.num_block": 1},
}
SCALES = {"EDVR": 4, "RVRT": 4, "BasicVSR": 4}

Weights = Callable[[str], Path]
Restored = Callable[[str, str, str], np.ndarray]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Writes weights of a network of `NETWORKS`, none of them 0: frames are moved and changed."""
    import keras

    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model
    from ascendvsr.weights import save_weights
    from ascendvsr.weights.names import named_variables

    folder = tmp_path_factory.mktemp("weights")

    def write(name: str) -> Path:
        path = folder / f"{name}.weights.h5"
        if not path.exists():
            keras.utils.set_random_seed(0)
            model = build_model(load_config(settings=NETWORKS[name]))
            noise = np.random.default_rng(0)
            for weight in model.trainable_weights:
                weight.assign(weight + 0.02 * noise.standard_normal(weight.shape).astype("float32"))
            if name == "CDVDTSP":  # the one that adds nothing to its input: half of what it gives is below 0
                variables = {entry.name: entry.variable for entry in named_variables(model)}
                variables["recons_net.outBlock.1.bias"].assign([0.3, 0.3, 0.3])
            save_weights(model, path)
        return path

    return write


def run(backend: str, *arguments: object) -> subprocess.CompletedProcess:
    environment = os.environ | {"KERAS_BACKEND": backend}
    return subprocess.run(command_line(*arguments), cwd=PROJECT, capture_output=True, text=True, env=environment)


def succeed(backend: str, *arguments: object) -> str:
    process = run(backend, *arguments)
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def restored(weights: Weights, photograph: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Restored:
    """Restores three frames by a command, a network and a backend; gives them as [3, H, W, 3] integers."""
    folder = tmp_path_factory.mktemp("restored")
    for index in range(3):
        top, left = 100 + 2 * index, 180 + 3 * index
        write_image(folder / f"clip/{index:08d}.png", photograph[top : top + 32, left : left + 40])

    @functools.cache
    def restore(command: str, name: str, backend: str) -> np.ndarray:
        output = folder / command / name / backend
        places = [folder / "clip", "--output", output]
        if command == "inference":
            places = ["--input", *places, "output_dir", folder / "inference"]
        succeed(backend, command, "--checkpoint", weights(name), *places)
        return np.stack([read_image(path) for path in sorted(output.rglob("*.png"))]).astype(int)

    return restore


def assert_same_frames(restored: Restored, command: str, name: str, backend: str) -> None:
    expected, found = restored(command, name, "tensorflow"), restored(command, name, backend)
    scale = SCALES.get(name, 1)
    assert expected.shape == (3, 32 * scale, 40 * scale, 3)
    assert expected.std() > 10
    difference = np.abs(expected - found)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.005


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_restores_the_same_frames(name: str, backend: str, restored: Restored):
    assert_same_frames(restored, "restore", name, backend)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("backend", BACKENDS)
def test_inference_does_too(backend: str, restored: Restored):
    assert_same_frames(restored, "inference", "EDVR", backend)


@pytest.fixture(scope="module")
def scores(weights: Weights, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """What `eval` prints of a network on a backend, as numbers."""
    output_dir = tmp_path_factory.mktemp("eval")
    settings = {"PVDNet": ["pvdnet.num_blocks", 1, "pvdnet.channels", 8]}
    configs = {"PVDNet": ["--config-file", PROJECT / "configs/pvdnet/tiny_pvdnet.yaml"]}

    @functools.cache
    def evaluate(name: str, backend: str) -> list[float]:
        places = ["data.data_dir", sample, "output_dir", output_dir / name / backend]
        arguments = [*configs.get(name, []), "--checkpoint", weights(name), *settings.get(name, []), *places]
        printed = succeed(backend, "eval", *arguments)
        return [float(number) for number in re.findall(r"\b\d+\.\d{3,}\b", printed)]

    return evaluate


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["EDVR", "BasicVSR", "PVDNet"])
def test_evaluates_to_the_same_scores(name: str, backend: str, scores: Callable):
    """A network of each kind."""
    expected = scores(name, "tensorflow")
    assert expected
    np.testing.assert_allclose(scores(name, backend), expected, rtol=1e-3)


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("command", ["train", "freeze"])
def test_the_rest_is_tensorflows_and_says_so(
    command: str, backend: str, sample: Path, tiny_edvr_checkpoint: Path, tmp_path: Path
):
    config = PROJECT / "ascendvsr/configs/edvr_sample.yaml"
    given = {
        "train": ["--config-file", config, "data.data_dir", sample],
        "freeze": ["--checkpoint", tiny_edvr_checkpoint],
    }
    process = run(backend, command, *given[command], "output_dir", tmp_path)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert f"KERAS_BACKEND is {backend}" in line
    assert "TensorFlow's: unset KERAS_BACKEND" in line
