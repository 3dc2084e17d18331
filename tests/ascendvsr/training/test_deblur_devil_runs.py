"""Short runs on the blurred sample: DBN and FlowDBN come closer to the truth than what they are given."""

import json
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.weights import save_weights
from tests.support import PROJECT, command_line


@pytest.fixture(scope="module")
def still_flowdbn(tmp_path_factory) -> Path:
    """A FlowDBN that sees no motion, for want of a trained flow network, and adds nothing to the middle frame."""
    keras.utils.set_random_seed(0)
    model = build_model(load_config(PROJECT / "configs/deblur_devil/tiny_flowdbn.yaml"))
    _, norm = model.dbn_net.f15
    for weight in (*model.flow_network.predict_flow["2"].weights, norm.gamma, norm.beta):
        weight.assign(np.zeros(weight.shape))
    path = tmp_path_factory.mktemp("start") / "flowdbn.weights.h5"
    save_weights(model, path)
    return path


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("network", ["dbn", "flowdbn"])
def test_a_short_run_raises_psnr(network: str, sample: Path, still_flowdbn: Path, tmp_path: Path):
    config = ["--config-file", PROJECT / f"configs/deblur_devil/tiny_{network}.yaml"]
    settings = ["data.data_dir", sample, "output_dir", tmp_path / "run"]
    if network == "flowdbn":
        settings += ["deblur_devil.flow_checkpoint", "", "init_from", still_flowdbn]
    for command in (["train"], ["eval", "--checkpoint", tmp_path / "run"]):
        process = subprocess.run(
            command_line(*command, *config, *settings), cwd=PROJECT, capture_output=True, text=True
        )
        assert process.returncode == 0, process.stdout + process.stderr
    scores = json.loads((tmp_path / "run/result/metrics.json").read_text())["total"]
    assert scores["psnr"] > scores["psnr_input"] + 0.1
