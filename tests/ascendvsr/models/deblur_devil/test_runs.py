"""Short runs on the blurred sample: DBN and FlowDBN come closer to the truth than what they are given."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ascendvsr.models.flow.flownet1s import FlowNet1S
from ascendvsr.weights import save_weights
from tests.support import PROJECT, command_line


@pytest.fixture(scope="module")
def still_flownet(tmp_path_factory) -> Path:
    """A FlowNet1S that sees no motion, for want of a trained one."""
    model = FlowNet1S()
    for weight in model.predict_flow["2"].weights:
        weight.assign(np.zeros(weight.shape))
    path = tmp_path_factory.mktemp("flow") / "flownet1s.weights.h5"
    save_weights(model, path)
    return path


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("network", ["dbn", "flowdbn"])
def test_a_short_run_raises_psnr(network: str, sample: Path, still_flownet: Path, tmp_path: Path):
    config = ["--config-file", PROJECT / f"configs/deblur_devil/tiny_{network}.yaml"]
    settings = ["data.data_dir", sample, "output_dir", tmp_path / "run"]
    if network == "flowdbn":
        settings += ["deblur_devil.flow_checkpoint", still_flownet]
    for command in (["train"], ["eval", "--checkpoint", tmp_path / "run"]):
        process = subprocess.run(
            command_line(*command, *config, *settings), cwd=PROJECT, capture_output=True, text=True
        )
        assert process.returncode == 0, process.stdout + process.stderr
    scores = json.loads((tmp_path / "run/result/metrics.json").read_text())["total"]
    assert scores["psnr"] > scores["psnr_input"] + 0.5
