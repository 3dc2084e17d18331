"""Weights, settings and frames that do not belong together, given to the real command: one clear line, status 2."""

from pathlib import Path

import pytest

from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.weights import save_weights
from tests.support import PROJECT, TINY_PVDNET, TINY_RVRT

TINY_DBN = {"model.name": "DBN", "model.scale": 1, "model.num_frames": 5, "deblur_devil.num_feat": 4}
NETWORKS = {
    "upscaling": TINY_RVRT,
    "deblurring": TINY_RVRT | {"model.scale": 1},
    "denoising": TINY_RVRT | {"model.scale": 1, "rvrt.nonblind_denoising": True},
    "pvdnet": TINY_PVDNET,
    "bimnet": {"model.name": "BIMNet"},
    "dbn": TINY_DBN,
    "pwcnet": {"model.name": "PWCNetDevil"},
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of untrained weights: NETWORK.weights.h5."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, settings in NETWORKS.items():
        save_weights(build_model(load_config(settings=settings)), folder / f"{name}.weights.h5")
    return folder


@pytest.mark.parametrize(
    ("weights", "arguments", "message"),
    [
        ("denoising", [], "must be told how strong the noise is"),
        ("upscaling", ["--sigma", "10"], "takes no noise level"),
        (
            "upscaling",
            ["--config-file", "configs/rvrt/004_videodeblurring_dvd_16frames.yaml"],
            "model.scale is 1, not 4",
        ),
        ("deblurring", ["eval.tile_frames", "5"], "eval.tile_frames is 5; it should be even"),
        ("deblurring", ["data.eval_in_patch", "True", "data.eval_in_size", "[64, 64]"], "at least 132x132 pixels"),
        ("bimnet", [], "estimates motion and restores nothing: `ascendvsr flow` uses it"),
        ("bimnet", ["--config-file", "configs/pvdnet/pvdnet_dvd.yaml"], "model.name is PVDNet, not BIMNet"),
        ("pvdnet", ["--config-file", "configs/pvdnet/bimnet.yaml"], "model.name is BIMNet, not PVDNet"),
        (
            "pwcnet",
            ["--config-file", "configs/deblur_devil/tiny_flowdbn.yaml"],
            "model.name is FlowDBN, not PWCNetDevil",
        ),
        ("dbn", ["model.num_frames", "7"], "model.num_frames is 7, not 5"),
        ("dbn", ["model.num_frames", "4"], "model.num_frames is 4, not 5"),
    ],
)
def test_what_does_not_fit_is_named(
    ascendvsr, checkpoints, frame_folder, tmp_path, weights: str, arguments: list[str], message: str
):
    file = checkpoints / f"{weights}.weights.h5"
    places = ["--input", frame_folder(count=3), "--output", tmp_path / "restored", "--checkpoint", file]
    process = ascendvsr("inference", *places, *arguments)
    assert process.returncode == 2, process.stderr
    assert message in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "restored").exists()


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        ("pvdnet/tiny_pvdnet.yaml", ["model.num_frames", "1"], "model.num_frames is 1: say 3 or more"),
        ("pvdnet/tiny_pvdnet.yaml", ["pvdnet.bimnet_checkpoint", ""], "say pvdnet.allow_untrained_bimnet True"),
        ("pvdnet/tiny_pvdnet.yaml", ["pvdnet.bimnet_checkpoint", "{}/dbn.weights.h5"], "holds no BIMNet"),
        (
            "deblur_devil/tiny_dbn.yaml",
            ["model.num_frames", "4"],
            "model.num_frames is 4: DBN and FlowDBN restore the middle one",
        ),
        (
            "deblur_devil/tiny_flowdbn.yaml",
            ["deblur_devil.flow_checkpoint", "{}/dbn.weights.h5"],
            "holds no flow network",
        ),
        ("rvrt/tiny_sr.yaml", ["rvrt.fix_iter", "100"], "SpyNet keeps its weights until step 100"),
    ],
)
def test_training_that_cannot_be_meant_is_refused(
    ascendvsr, checkpoints, sample, tmp_path, config: str, settings: list[str], message: str
):
    settings = [word.format(checkpoints) for word in settings]
    process = ascendvsr("train", "--config-file", PROJECT / "configs" / config, "data.data_dir", sample, *settings)
    assert process.returncode == 2, process.stderr
    assert message in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
