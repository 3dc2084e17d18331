"""Checkpoints of PVDNet and BIMNet: recognized with and without `module.`, and told apart."""

import json
from pathlib import Path

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.detect import check_matches, describe, detect
from ascendvsr.models.flow.liteflownet import LiteFlowNet
from ascendvsr.weights import load_checkpoint, load_state_dict
from tests.support import PROJECT

VECTORS = PROJECT / "tests/golden/vectors/pvdnet"
CASES = {"pvdnet_dvd": "model_pvdnet_seq", "pvdnet_large_nah": "model_pvdnet_large_seq", "bimnet": "model_bimnet"}


def published(case: str, folder: Path, prefix: str = "") -> Path:
    """A file with the published names (`module.` but for BIMNet) and shapes; `prefix`: with other names before."""
    shapes = json.loads((VECTORS / f"{case}.json").read_text())["state_dict"]
    names = {f"{prefix}{name.removeprefix('module.')}": shape for name, (shape, _) in shapes.items()}
    path = folder / f"{case}.npz"
    np.savez(path, **{name: np.zeros(shape, np.float32) for name, shape in names.items()})
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("config", CASES)
def test_published_checkpoints_are_recognized(config, prefix, tmp_path):
    path = published(CASES[config], tmp_path, prefix)
    check_matches(load_config(f"configs/pvdnet/{config}.yaml"), detect(load_checkpoint(path)))


def test_what_is_said_of_them(tmp_path):
    large = detect(load_checkpoint(published("model_pvdnet_large_seq", tmp_path)))
    assert describe(large) == "PVDNet, 24 blocks of 192 channels, pixel volume 5x5"


@pytest.mark.parametrize(("config", "case"), [("pvdnet_dvd", "model_bimnet"), ("bimnet", "model_pvdnet_seq")])
def test_one_given_as_the_other_is_an_error(config, case, tmp_path):
    architecture = detect(load_checkpoint(published(case, tmp_path)))
    with pytest.raises(InputError, match=r"model\.name is \w+, not \w+"):
        check_matches(load_config(f"configs/pvdnet/{config}.yaml"), architecture, "some.pth")


def test_the_large_network_is_not_the_normal_one(tmp_path):
    architecture = detect(load_checkpoint(published("model_pvdnet_large_seq", tmp_path)))
    with pytest.raises(InputError, match=r"pvdnet\.num_blocks is 12, not 24"):
        check_matches(load_config("configs/pvdnet/pvdnet_nah.yaml"), architecture)


def test_a_pvdnet_without_its_bimnet_is_a_part_only(tmp_path):
    whole = load_checkpoint(published("model_pvdnet_seq", tmp_path))
    part = {name: array for name, array in whole.items() if name.startswith("PVDNet.")}
    with pytest.raises(InputError, match=r"a part .* lacks BIMNet"):
        detect(part)


def test_a_whole_pvdnet_does_not_load_as_a_bimnet(tmp_path):
    whole = load_checkpoint(published("model_pvdnet_seq", tmp_path))
    with pytest.raises(InputError, match="does not fit the network LiteFlowNet"):
        load_state_dict(LiteFlowNet(), whole)
