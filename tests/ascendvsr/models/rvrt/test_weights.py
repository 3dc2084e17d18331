"""RVRT and SpyNet are recognized, with all their settings."""

import json

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.detect import check_matches, describe, detect
from tests.support import PROJECT

VECTORS = PROJECT / "tests/golden/vectors/rvrt"
CASES = sorted(VECTORS.glob("rvrt_00*.json"))
SAME = ("window_size", "num_blocks", "depths", "embed_dims", "num_heads", "inputconv_groups", "deformable_groups")
PUBLISHED = {
    "rvrt_001_true": "001_videosr_bi_reds_30frames",
    "rvrt_004_true": "004_videodeblurring_dvd_16frames",
    "rvrt_006_true": "006_videodenoising_davis_16frames",
}


def published(case: str) -> dict[str, np.ndarray]:
    """A state dict with the published names and shapes that takes no memory."""
    shapes = json.loads((VECTORS / f"{case}.json").read_text())["state_dict"]
    return {name: np.broadcast_to(np.float32(0), shape) for name, (shape, _) in shapes.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_task_is_recognized_with_its_settings(case):
    config = json.loads(case.read_text())["config"]
    expected = {f"rvrt.{name}": config[name] for name in SAME}
    expected |= {"rvrt.nonblind_denoising": config["nonblind_denoising"], "rvrt.mlp_ratio": 2.0}
    expected |= {"model.name": "RVRT", "model.scale": config["upscale"]}
    architecture = detect(published(case.stem))
    assert architecture.family == "RVRT"
    assert architecture.settings == expected


@pytest.mark.parametrize(("case", "name"), PUBLISHED.items())
def test_the_settings_are_those_of_the_published_configuration(case, name):
    check_matches(load_config(f"configs/rvrt/{name}.yaml"), detect(published(case)))


def test_a_checkpoint_of_another_task_is_told_apart():
    config = load_config(f"configs/rvrt/{PUBLISHED['rvrt_004_true']}.yaml")
    with pytest.raises(InputError, match=r"rvrt\.nonblind_denoising is False, not True"):
        check_matches(config, detect(published("rvrt_006_true")))


def test_a_network_is_described_in_a_line():
    assert describe(detect(published("rvrt_006_true"))) == (
        "RVRT, 192 channels, groups [1, 3, 4, 6, 8, 4], denoising at input resolution"
    )


def test_spynet_alone_is_recognized():
    assert detect(published("spynet_64")).settings == {"model.name": "SpyNet"}


def test_a_part_of_a_checkpoint_is_named_as_such():
    weights = {name: array for name, array in published("rvrt_001_true").items() if "reconstruction" not in name}
    with pytest.raises(InputError, match=r"it lacks reconstruction\.main\.1\.weight"):
        detect(weights)
