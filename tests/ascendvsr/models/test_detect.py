"""The network in a checkpoint is read off the names and shapes of its tensors."""

import json
from pathlib import Path

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.detect import check_matches, describe, detect
from tests.support import PROJECT

CASES = sorted((PROJECT / "tests/golden/vectors/edvr").glob("edvr_[ml]_*.json"))

# What the published configurations call a setting, and what it is called here.
KEYS = {
    "num_in_ch": "edvr.num_in_ch",
    "num_out_ch": "edvr.num_out_ch",
    "num_feat": "edvr.mid_channels",
    "num_frame": "model.num_frames",
    "deformable_groups": "edvr.num_deform_groups",
    "num_extract_block": "edvr.num_blocks_extraction",
    "num_reconstruct_block": "edvr.num_blocks_reconstruction",
    "hr_in": "edvr.hr_in",
    "with_predeblur": "edvr.with_predeblur",
    "with_tsa": "edvr.with_tsa",
}


def published(case: Path) -> dict[str, np.ndarray]:
    """A state dict with the published names and shapes that takes no memory."""
    shapes = json.loads(case.read_text())["state_dict"]
    return {name: np.broadcast_to(np.float32(0), shape) for name, (shape, _) in shapes.items()}


@pytest.fixture
def edvr_m() -> dict[str, np.ndarray]:
    return published(PROJECT / "tests/golden/vectors/edvr/edvr_m_x4_tsa.json")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_published_edvr_is_recognized_with_all_its_settings(case):
    config = json.loads(case.read_text())["config"]
    expected = {key: config[name] for name, key in KEYS.items()}
    expected |= {"model.name": "EDVR", "model.scale": 1 if config["hr_in"] else 4}
    architecture = detect(published(case))
    assert architecture.family == "EDVR"
    assert architecture.settings == expected


def test_the_settings_configure_a_run(edvr_m):
    architecture = detect(edvr_m)
    config = load_config(settings=architecture.settings)
    assert config.edvr.mid_channels == 64
    assert config.edvr.center_frame_idx is None
    check_matches(config, architecture)


def test_narrower_features_at_output_size_are_recognized(edvr_m):
    narrow = {"conv_hr.weight": np.zeros((16, 16, 3, 3), np.float32)}
    assert detect(edvr_m | narrow).settings == detect(edvr_m).settings | {"edvr.num_hr_feat": 16}


def test_a_network_is_described_in_a_line(edvr_m):
    assert describe(detect(edvr_m)) == "EDVR, 64 channels, 10 reconstruction blocks, 5 frames, with TSA, x4"
    deblurring = published(PROJECT / "tests/golden/vectors/edvr/edvr_l_deblur_hr.json")
    assert describe(detect(deblurring)) == (
        "EDVR, 128 channels, 40 reconstruction blocks, 5 frames, with TSA, with predeblur, at input resolution"
    )


def test_a_configuration_of_another_network_is_told_what_differs(edvr_m):
    config = load_config(overrides=["edvr.mid_channels", "128", "model.num_frames", "7"])
    with pytest.raises(InputError) as refusal:
        check_matches(config, detect(edvr_m), "weights.pth")
    assert str(refusal.value) == (
        "weights.pth is EDVR, 64 channels, 10 reconstruction blocks, 5 frames, with TSA, x4, and the configuration "
        "is of another network: edvr.mid_channels is 128, not 64; model.num_frames is 7, not 5"
    )


def test_weights_of_something_else_are_described():
    state = {f"backbone.{number}.weight": np.zeros((8, 3, 7, 7)) for number in range(6)}
    with pytest.raises(InputError, match=r"other\.pth is of no network .*\(EDVR.*6 tensors \(backbone\.0\.weight"):
        detect(state, "other.pth")


def test_weights_of_two_networks_are_listed_as_both(edvr_m):
    edvr_m["fusion.weight"] = np.zeros((64, 7 * 64, 1, 1))
    with pytest.raises(InputError, match=r"5 frames, with TSA, x4 or EDVR.*7 frames, without TSA"):
        detect(edvr_m)


@pytest.mark.parametrize(
    "lost", ["conv_first.weight", "conv_last.weight", "pcd_align.cas_dcnpack.conv_offset.weight", "fusion."]
)
def test_a_part_of_a_network_is_refused_by_what_it_lacks(edvr_m, lost):
    partial = {name: array for name, array in edvr_m.items() if not name.startswith(lost)}
    with pytest.raises(InputError, match=rf"a part of EDVR only: it lacks .*{lost}"):
        detect(partial, "partial.pth")


@pytest.mark.parametrize("shape", [(), (0,), (0, 0, 3, 3)])
def test_shapes_that_no_network_has_are_refused(edvr_m, shape):
    edvr_m["conv_first.weight"] = np.zeros(shape)
    with pytest.raises(InputError, match=r"damaged\.pth has the names of EDVR and shapes that it never has"):
        detect(edvr_m, "damaged.pth")
