"""EDVR's losses under the keys of the release, and what is reported beside them."""

import numpy as np
import pytest
import tensorflow as tf

from ascendvsr.config import load_config
from ascendvsr.models.edvr.training import EDVRTraining, EDVRUpdates
from ascendvsr.models.training import psnr
from ascendvsr.training.offsets import offset_magnitudes
from tests.networks import Mixture

MARGIN = 0.2
VALUES = {
    "l1": lambda d: np.abs(d),
    "l2": lambda d: d**2,
    "charbonnier": lambda d: np.sqrt(d**2 + MARGIN),
    "marginal l1": lambda d: np.maximum(np.abs(d), MARGIN),
}
REDUCTIONS = {
    "mean": lambda values: values.sum(axis=(1, 2, 3)).mean(),
    "sum": lambda values: values.sum(),
    "pixel": lambda values: values.mean(),
}


@pytest.fixture
def batch() -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    return {
        "lq": tf.constant(rng.random((3, 5, 4, 6, 3)), tf.float32),
        "gt": tf.constant(rng.random((3, 8, 12, 3)), tf.float32),
    }


@pytest.mark.parametrize("loss_type", VALUES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_losses(batch, loss_type: str, reduction: str):
    """The release sums over height, width and channels, then takes the mean or sum over the batch."""
    network = Mixture()
    updates = EDVRUpdates(loss_type, reduction, MARGIN)
    loss, report, state = updates.loss(network, batch, tf.constant(0), updates.start(network, batch))
    difference = network(batch["lq"]).numpy().astype(np.float64) - batch["gt"].numpy()
    values = VALUES[loss_type](difference)
    assert float(loss) == pytest.approx(REDUCTIONS[reduction](values), rel=1e-5)
    assert float(report["loss/px"]) == pytest.approx(values.mean(), rel=1e-5)
    assert state == ()
    assert updates.reduction == ("sum" if reduction == "sum" else "mean")


def test_psnr_is_that_of_each_sample_clipped():
    truth = np.full((2, 2, 2, 3), 0.9, np.float32)
    restored = np.stack([truth[0] - 0.1, truth[1] + 0.5])
    np.testing.assert_allclose(psnr(tf.constant(restored), tf.constant(truth)), [20.0, 20.0], rtol=1e-5)
    np.testing.assert_allclose(psnr(tf.constant(truth), tf.constant(truth)), [100.0, 100.0])


def test_the_picture_shows_input_output_and_truth(batch):
    strip = EDVRTraining(load_config()).picture(Mixture(), batch)
    assert (strip.shape, strip.dtype) == ((8, 36, 3), np.uint8)
    middle = batch["lq"].numpy()[0, 2].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(strip[:, :12], np.rint(middle * 255).astype(np.uint8))
    np.testing.assert_array_equal(strip[:, 12:24], strip[:, :12])
    np.testing.assert_array_equal(strip[:, 24:], np.rint(batch["gt"][0].numpy() * 255).astype(np.uint8))


def test_offset_magnitudes_are_those_of_the_offset_convolutions(tiny_edvr):
    clip = np.random.default_rng(0).random((1, 5, 8, 8, 3), np.float32)
    bias = tiny_edvr.pcd_align.dcn_pack["l3"].conv_offset.bias
    before = bias.numpy()
    names = [f"pcd_align.{name}" for name in ("dcn_pack.l3", "dcn_pack.l2", "dcn_pack.l1", "cas_dcnpack")]
    assert offset_magnitudes(tiny_edvr, clip) == dict.fromkeys(names, 0.0)
    try:
        # 2 groups x 9 taps x (y, x) offsets of -1.5 pixels, then masks, which do not count.
        bias.assign(np.r_[np.full(36, -1.5), np.full(18, 7.0)])
        assert offset_magnitudes(tiny_edvr, clip) == dict.fromkeys(names, 0.0) | {names[0]: 1.5}
    finally:
        bias.assign(before)
    assert "call" not in vars(tiny_edvr.pcd_align.dcn_pack["l3"].conv_offset)
