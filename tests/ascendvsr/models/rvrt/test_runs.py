"""Short runs of RVRT on the sample: each task comes closer to the truth than what it is given."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.dataloader.image import read_image
from ascendvsr.config import load_config
from ascendvsr.datasets import training_clips
from ascendvsr.models.builder import build_model
from ascendvsr.weights import load_weights
from tests.ascendvsr.models.training_parts import training_of
from tests.support import PROJECT, command_line

BASELINE = {"sr": "psnr_bicubic", "deblur": "psnr_input", "denoise": "psnr_input"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("task", BASELINE)
def test_minutes_of_training_lower_the_loss_and_raise_psnr_on_the_held_out_clip(
    task: str, sample: Path, tmp_path: Path
):
    file = PROJECT / f"configs/rvrt/tiny_{task}.yaml"
    places = {"data.data_dir": str(sample), "output_dir": str(tmp_path)}
    noise = ["inference.sigma", 30] if task == "denoise" else []
    for command in (["train"], ["eval", "--checkpoint", tmp_path, *noise]):
        words = [word for pair in places.items() for word in pair]
        process = subprocess.run(
            command_line(*command, "--config-file", file, *words), cwd=PROJECT, capture_output=True, text=True
        )
        assert process.returncode == 0, process.stdout + process.stderr
    scores = json.loads((tmp_path / "result/metrics.json").read_text())["total"]
    assert scores["psnr"] > scores[BASELINE[task]] + 0.1

    config = load_config(file, settings=places)
    model = build_model(config)
    training_of(config).initialize(model)
    before = training_loss(config, model)
    load_weights(model, tmp_path)
    assert training_loss(config, model) < before


def training_loss(config, model) -> float:
    """The mean loss of four frames of each training clip, with noise where the task has it."""
    updates = training_of(config).updates()
    sigma = np.float32(30 / 255) if config.data.sigma else np.float32(0)
    rng = np.random.default_rng(0)
    losses = []
    for clip in training_clips(config):
        lq, gt = (
            np.stack([read_image(path) for path in paths[:4]])[np.newaxis].astype(np.float32) / 255
            for paths in (clip.lq, clip.gt)
        )
        lq = lq + sigma * rng.standard_normal(lq.shape, np.float32)
        batch = {"lq": lq, "gt": gt, "sigma": sigma[np.newaxis]}
        losses.append(float(updates.loss(model, batch, tf.constant(0), ())[0]))
    return float(np.mean(losses))
