"""Restoring in a narrower type than float32: the same frames but for rounding, by the real command, too."""

import keras
import numpy as np
import pytest

from ascendcv.dataloader.image import read_image
from ascendcv.layers.precision import computing_in
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.restoration.loops import restored_frames
from tests.ascendvsr.models.clips import clip_of
from tests.support import TINY_CDVD_TSP, TINY_EDVR, TINY_PVDNET, TINY_RVRT

TINY_DBN = {"model.name": "DBN", "model.scale": 1, "deblur_devil.num_feat": 8}
NETWORKS = {
    "edvr": TINY_EDVR,
    "rvrt": TINY_RVRT,
    "cdvd_tsp": TINY_CDVD_TSP,
    "pvdnet": TINY_PVDNET,
    "dbn": TINY_DBN | {"deblur_devil.init_type": "fan_in"},
    "flowdbn": TINY_DBN | {"deblur_devil.init_type": "fan_in", "model.name": "FlowDBN"},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_restores_a_video_in_bfloat16(name: str, photograph: np.ndarray):
    cfg = load_config(settings=NETWORKS[name])
    keras.utils.set_random_seed(0)
    model = build_model(cfg)
    with computing_in("bfloat16"):
        narrow = build_model(cfg)
    narrow.set_weights(model.get_weights())
    (video,) = clip_of(photograph, frames=4, height=24, width=32)
    expected, found = (
        np.stack(list(restored_frames(KerasRunner(network), iter(video)))) for network in (model, narrow)
    )
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).mean() < 0.02


def test_the_commands_compute_in_what_eval_precision_says(ascendvsr, tiny_edvr_checkpoint, frame_folder, tmp_path):
    places = ["--checkpoint", tiny_edvr_checkpoint, "--input", frame_folder(count=2), "output_dir", tmp_path]
    images = {}
    for precision in ("float32", "bfloat16"):
        output = tmp_path / precision
        process = ascendvsr("inference", *places, "--output", output, "eval.precision", precision)
        assert process.returncode == 0, process.stderr
        images[precision] = read_image(output / "00000000.png").astype(int)
    difference = np.abs(images["float32"] - images["bfloat16"])
    assert 0 < difference.max() <= 3


def test_frozen_graphs_are_float32(ascendvsr, tiny_edvr_checkpoint, tmp_path):
    places = ["--checkpoint", tiny_edvr_checkpoint, "output_dir", tmp_path / "frozen"]
    process = ascendvsr("freeze", *places, "eval.precision", "bfloat16")
    assert process.returncode == 2
    assert "frozen graphs compute in float32" in process.stderr.splitlines()[-1]
    assert not (tmp_path / "frozen").exists()
