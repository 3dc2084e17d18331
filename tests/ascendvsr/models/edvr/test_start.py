"""EDVR's even start: bilinear upsampling at first, and features that are as strong at the end as in the middle."""

import keras
import numpy as np
import pytest

from ascendcv.ops.resize import resize
from ascendvsr.models.edvr.network import EDVR
from ascendvsr.models.edvr.start import start_evenly
from ascendvsr.weights.mapping import state_dict
from tests.golden.record import recorded

NARROW = {"num_feat": 16, "num_hr_feat": 8, "num_frame": 3, "deformable_groups": 2, "num_extract_block": 2}


@pytest.fixture
def clip(photograph: np.ndarray) -> np.ndarray:
    """[1, 3, 32, 32, 3], three frames of a pan."""
    frames = [photograph[100:132, 200 + left : 232 + left] for left in (0, 2, 4)]
    return np.stack(frames)[np.newaxis].astype(np.float32) / 255


def started(seed: int = 1, **arguments: object) -> EDVR:
    keras.utils.set_random_seed(7)
    model = EDVR(**NARROW | arguments)
    start_evenly(model, seed)
    return model


def strength_before_the_last_layers(model: EDVR, clip: np.ndarray) -> float:
    """How much a feature differs from place to place: the standard deviation, the mean over all features."""
    _, calls = recorded(model, ["conv_hr"], clip)
    return float(np.std(calls["conv_hr"][0], axis=(1, 2)).mean())


@pytest.mark.parametrize("with_tsa", [False, True])
def test_the_network_begins_as_bilinear_upsampling(clip: np.ndarray, with_tsa: bool):
    bilinear = resize(clip[:, 1], (128, 128))
    np.testing.assert_array_equal(started(with_tsa=with_tsa)(clip), bilinear)


def test_features_are_not_lost_on_the_way(clip: np.ndarray):
    keras.utils.set_random_seed(7)
    published = EDVR(**NARROW, with_tsa=False)
    assert strength_before_the_last_layers(published, clip) < 0.03
    assert strength_before_the_last_layers(started(with_tsa=False), clip) > 0.1


def test_a_seed_gives_the_same_start_again():
    first, again, other = (state_dict(started(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["conv_first.weight"], other["conv_first.weight"])


def test_offsets_still_begin_at_zero():
    weights = state_dict(started())
    assert not weights["pcd_align.cas_dcnpack.conv_offset.weight"].any()
