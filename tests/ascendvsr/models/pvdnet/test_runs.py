"""Both stages of PVDNet on the blurred sample: what they learn, on one device and on two, and going on."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ascendvsr.config import load_config
from ascendvsr.datasets import evaluation_clips
from ascendvsr.weights import load_checkpoint
from tests.support import PROJECT, command_line

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

# A second stage of two batches of two updates, on a flow network that has learned nothing.
SHORT = {
    "pvdnet.bimnet_checkpoint": "",
    "pvdnet.allow_untrained_bimnet": True,
    "model.num_frames": 4,
    "data.train_stride": 2,
    "solver.lr_schedule.total_steps": [4],
    "solver.checkpoint_interval": 2,
    "solver.keep_checkpoints": 0,
    "solver.print_interval": 1,
    "device": "cpu",
}


def ascendvsr(command: str, stage: str, sample: Path, **changes: object) -> subprocess.CompletedProcess:
    settings = {"data.data_dir": sample} | {key.replace("__", "."): value for key, value in changes.items()}
    words = [str(word) for pair in settings.items() for word in pair]
    config = PROJECT / f"configs/pvdnet/tiny_{stage}.yaml"
    return subprocess.run(
        command_line(command, "--config-file", config, *words), cwd=PROJECT, capture_output=True, text=True
    )


def succeed(*arguments: object, **changes: object) -> None:
    process = ascendvsr(*arguments, **changes)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.fixture(scope="module")
def first_stage(sample, tmp_path_factory) -> Path:
    output_dir = tmp_path_factory.mktemp("stages") / "bimnet"
    succeed("train", "bimnet", sample, output_dir=output_dir)
    return output_dir


def warping_error(weights: dict | None, sample: Path) -> float:
    """Of the blurred pairs of the held-out clip; None: of a fresh BIMNet."""
    import keras

    from ascendcv.dataloader.image import read_image
    from ascendvsr.models.flow.bimnet_training import pairs, warped_sharp, warping_errors
    from ascendvsr.models.flow.liteflownet import LiteFlowNet
    from ascendvsr.weights import load_state_dict

    cfg = load_config(PROJECT / "configs/pvdnet/tiny_bimnet.yaml", settings={"data.data_dir": str(sample)})
    (clip,) = evaluation_clips(cfg)
    frames = [
        np.stack([read_image(path) for path in paths])[None] / np.float32(255) for paths in (clip.lq, clip.gt)
    ]
    blurred, sharp = (pairs(array.astype(np.float32)) for array in frames)
    keras.utils.set_random_seed(cfg.random_seed)
    model = LiteFlowNet()
    if weights is not None:
        load_state_dict(model, weights)
    return float(warping_errors(*warped_sharp(model, blurred, sharp), sharp[1])[0])


def test_a_run_that_stops_goes_on_as_if_it_had_not(sample, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    succeed("train", "pvdnet", sample, **SHORT, output_dir=whole)
    shutil.copytree(whole, parts)
    shutil.rmtree(parts / "PVDNet-4")
    again = {"output_dir": parts, "continue_training": True}
    refused = ascendvsr("train", "pvdnet", sample, **SHORT | {"model.num_frames": 5}, **again)
    assert refused.returncode == 2
    assert "model.num_frames 4" in refused.stderr
    succeed("train", "pvdnet", sample, **SHORT, **again)
    first, second = (load_checkpoint(folder / "PVDNet-4") for folder in (whole, parts))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_two_devices_make_the_same_updates_as_one(sample, tmp_path, monkeypatch):
    """By composed operations: the kernels round a gradient that is nearly 0 otherwise for other batches."""
    monkeypatch.setenv("ASCENDCV_IMPL", "tf")
    outputs = {}
    for rank_size, batch_size in ((1, 2), (2, 1)):
        outputs[rank_size] = tmp_path / f"on_{rank_size}"
        changes = {
            "rank_size": rank_size,
            "data.train_batch_size": batch_size,
            "device_ids": list(range(rank_size)),
        }
        succeed("train", "pvdnet", sample, **SHORT | changes, output_dir=outputs[rank_size])
    one, two = (load_checkpoint(folder) for folder in outputs.values())
    for name, array in one.items():
        np.testing.assert_allclose(array, two[name], atol=2e-5, err_msg=name)


def test_stage_two_raises_psnr_over_the_blurred_input(first_stage, sample, tmp_path):
    places = {"output_dir": tmp_path / "pvdnet", "pvdnet__bimnet_checkpoint": first_stage}
    succeed("train", "pvdnet", sample, **places)
    succeed("eval", "pvdnet", sample, checkpoint=tmp_path / "pvdnet", **places)
    scores = json.loads((tmp_path / "pvdnet/result/metrics.json").read_text())["total"]
    assert scores["psnr"] > scores["psnr_input"] + 0.5
    first, second = load_checkpoint(first_stage), load_checkpoint(tmp_path / "pvdnet")
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[f"BIMNet.{name}"])


def test_stage_one_lowers_the_warping_error_of_blurred_pairs(first_stage, sample):
    before, after = (warping_error(weights, sample) for weights in (None, load_checkpoint(first_stage)))
    assert after < 0.85 * before
