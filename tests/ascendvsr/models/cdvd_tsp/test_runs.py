"""CDVD-TSP on the blurred sample: what each recipe learns in a short run, and going on as if nothing had been."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.cdvd_tsp.network import ResBlock
from ascendvsr.weights import load_checkpoint, save_weights
from tests.support import PROJECT, command_line

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def ascendvsr(command: str, recipe: str, sample: Path, settings: dict[str, object]) -> subprocess.CompletedProcess:
    places = {"device": "cpu", "data.data_dir": sample}
    words = [str(word) for pair in (places | settings).items() for word in pair]
    config = PROJECT / f"configs/cdvd_tsp/{recipe}.yaml"
    return subprocess.run(
        command_line(command, "--config-file", config, *words), cwd=PROJECT, capture_output=True, text=True
    )


def succeed(*arguments: object) -> None:
    process = ascendvsr(*arguments)
    assert process.returncode == 0, process.stdout + process.stderr


def write_pass_through(path: Path) -> None:
    """Weights that give the middle frame as it is: from scratch, a network needs long to learn that much.

    The first three channels carry the frame; the others are random and count for nothing yet.
    """
    model = build_model(load_config(PROJECT / "configs/cdvd_tsp/tiny_l1_hem.yaml"))
    net, colors = model.recons_net, np.arange(3)
    for block in net._flatten_layers():
        if isinstance(block, ResBlock):
            block.conv2.kernel.assign(0 * block.conv2.kernel)
            block.conv2.bias.assign(0 * block.conv2.bias)
    first, upsampling, last = net.inBlock[0], net.decoder_first[-1], net.outBlock[-1]
    kernel = first.kernel.numpy()
    kernel[..., colors] = 0
    kernel[2, 2, 3 + colors, colors] = 1  # the middle frame follows the three channels of the previous one
    first.kernel.assign(kernel)
    first.bias.assign(0 * first.bias)
    kernel = upsampling.kernel.numpy()
    kernel[:, :, colors] = 0
    upsampling.kernel.assign(kernel)
    upsampling.bias.assign(0 * upsampling.bias)
    kernel = np.zeros(last.kernel.shape, np.float32)
    kernel[2, 2, colors, colors] = 1
    last.kernel.assign(kernel)
    last.bias.assign(0 * last.bias)
    save_weights(model, path)


@pytest.mark.parametrize("recipe", ["tiny_l1_hem", "tiny_one_cycle"])
def test_a_short_run_raises_psnr_over_the_blurred_input(recipe, sample, tmp_path):
    start = tmp_path / "start.weights.h5"
    write_pass_through(start)
    places = {"output_dir": tmp_path / "run"}
    succeed("eval", recipe, sample, places | {"checkpoint": start})
    before = scores(tmp_path / "run")
    assert before["psnr"] == pytest.approx(before["psnr_input"], abs=0.01)
    succeed("train", recipe, sample, places | {"init_from": start})
    succeed("eval", recipe, sample, places | {"checkpoint": tmp_path / "run"})
    assert scores(tmp_path / "run")["psnr"] > before["psnr_input"] + 0.2


def scores(run: Path) -> dict[str, float]:
    """What the last evaluation found, over all frames."""
    return json.loads((run / "result/metrics.json").read_text())["total"]


def test_a_run_that_stops_goes_on_with_the_same_random_pixels(sample, tmp_path):
    short = {
        "model.num_frames": 5,
        "solver.lr_schedule.total_steps": [4],
        "solver.checkpoint_interval": 2,
        "solver.keep_checkpoints": 0,
        "data.train_batch_size": 1,
    }
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    succeed("train", "tiny_l1_hem", sample, short | {"output_dir": whole})
    shutil.copytree(whole, parts)
    shutil.rmtree(parts / "CDVDTSP-4")
    succeed("train", "tiny_l1_hem", sample, short | {"output_dir": parts, "continue_training": True})
    first, second = (load_checkpoint(folder / "CDVDTSP-4") for folder in (whole, parts))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data.train_in_size": [160, 164]}, "at least 161 pixels a side"),
        ({"data.train_in_size": [256, 256]}, "smaller than the crop"),
        ({"model.num_frames": 4}, "should be 3, 5 or 7, not 4"),
        ({"model.num_frames": 5, "data.n_frames_per_video": 4}, "needs 5"),
        ({"solver.lr_schedule.max_lr": 1e-5}, "max_lr"),
    ],
)
def test_bad_input_is_one_line(settings, message, sample, tmp_path):
    process = ascendvsr("train", "tiny_one_cycle", sample, settings | {"output_dir": tmp_path / "run"})
    assert process.returncode == 2, process.stderr
    assert message in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
    assert not list(tmp_path.glob("run/CDVDTSP-*"))
