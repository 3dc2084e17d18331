"""CDVD-TSP's losses on the stages of a cascade, what is reported of them, and which settings are refused."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.losses.hem import hem
from ascendcv.losses.ms_ssim import ms_ssim
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.cdvd_tsp.training import (
    CDVDTSPTraining,
    CDVDTSPUpdates,
    pixels_by_content,
)
from ascendvsr.weights import save_weights
from tests.ascendvsr.models.training_parts import inputs_of, training_of
from tests.support import TINY_CDVD_TSP


class Dimming(keras.Model):
    """A cascade of known outcome: stage s gives the frames of its input times 1 - s / 10."""

    center_frame_idx, scale = 2, 1

    def stages(self, clip):
        return [[0.9 * clip[:, t] for t in (1, 2, 3)], [0.8 * clip[:, 2]]]

    def call(self, clip):
        return self.stages(clip)[-1][0]


def batch_of(height: int = 12, width: int = 14) -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    return {name: tf.constant(rng.random((2, 5, height, width, 3)), tf.float32) for name in ("lq", "gt")}


def loss_of(updates: CDVDTSPUpdates, batch: dict[str, tf.Tensor]) -> tuple[float, dict[str, float]]:
    network = Dimming()
    loss, report, state = updates.loss(network, batch, tf.constant(0), updates.start(network, batch))
    assert state == ()
    return float(loss), {name: float(value) for name, value in report.items()}


def l1_of(batch: dict[str, tf.Tensor]) -> tuple[float, float]:
    """Of the first stage and of the second."""
    lq, gt = batch["lq"].numpy(), batch["gt"].numpy()
    return np.abs(0.9 * lq[:, 1:4] - gt[:, 1:4]).mean(), np.abs(0.8 * lq[:, 2] - gt[:, 2]).mean()


def test_every_restored_frame_counts_the_same():
    batch = batch_of()
    loss, report = loss_of(CDVDTSPUpdates({"l1": 1.0, "hem": 0.0, "ms_ssim": 0.0}, final_only=False), batch)
    first, second = l1_of(batch)
    assert loss == pytest.approx((3 * first + second) / 4, rel=1e-5)
    assert set(report) == {"psnr", "loss/l1", "loss/l1_stage1", "loss/l1_stage2"}
    assert report["loss/l1"] == pytest.approx(loss)
    assert report["loss/l1_stage1"] == pytest.approx(first, rel=1e-5)
    assert report["loss/l1_stage2"] == pytest.approx(second, rel=1e-5)


def test_the_last_frame_can_count_alone():
    batch = batch_of()
    loss, report = loss_of(CDVDTSPUpdates({"l1": 2.0}, final_only=True), batch)
    assert loss == pytest.approx(2 * l1_of(batch)[1], rel=1e-5)
    assert set(report) == {"psnr", "loss/l1"}
    error = np.square(0.8 * batch["lq"][:, 2].numpy() - batch["gt"][:, 2].numpy()).mean(axis=(1, 2, 3))
    assert report["psnr"] == pytest.approx(np.mean(-10 * np.log10(error)), rel=1e-4)


def test_hard_examples_are_those_of_all_frames_together():
    batch = batch_of()
    loss, report = loss_of(CDVDTSPUpdates({"l1": 1.0, "hem": 2.0}, final_only=False), batch)
    pred = np.concatenate([*(0.9 * batch["lq"][:, t] for t in (1, 2, 3)), 0.8 * batch["lq"][:, 2]], axis=-1)
    target = np.concatenate([batch["gt"][:, t] for t in (1, 2, 3, 2)], axis=-1)
    expected = float(hem(pred, target, pixels_by_content(batch["gt"])))
    assert report["loss/hem"] == pytest.approx(expected, rel=1e-5)
    assert loss == pytest.approx(report["loss/l1"] + 2 * expected, rel=1e-5)
    assert (3 * report["loss/hem_stage1"] + report["loss/hem_stage2"]) / 4 == pytest.approx(expected, rel=1e-5)


def test_ms_ssim_is_a_mean_over_frames():
    batch = batch_of(161, 164)
    loss, report = loss_of(CDVDTSPUpdates({"l1": 0.16, "ms_ssim": 0.84}, final_only=False), batch)
    lq, gt = batch["lq"], batch["gt"]
    last = 1 - np.mean(ms_ssim(0.8 * lq[:, 2], gt[:, 2]))
    first = np.mean([1 - np.mean(ms_ssim(0.9 * lq[:, t], gt[:, t])) for t in (1, 2, 3)])
    assert report["loss/ms_ssim_stage2"] == pytest.approx(last, rel=1e-4)
    assert report["loss/ms_ssim_stage1"] == pytest.approx(first, rel=1e-4)
    assert loss == pytest.approx(0.16 * report["loss/l1"] + 0.84 * (3 * first + last) / 4, rel=1e-4)


def test_random_pixels_follow_from_the_frames_alone():
    """So that a resumed run draws what it would have drawn."""
    gt = batch_of()["gt"]
    pixels = pixels_by_content(gt).numpy()
    assert pixels.sum(axis=(1, 2, 3)).tolist() == [16, 16]  # a tenth of 12 x 14
    np.testing.assert_array_equal(pixels, tf.function(pixels_by_content)(tf.identity(gt)))
    other = gt.numpy()
    other[1, 4, 11, 13, 2] = 1 - other[1, 4, 11, 13, 2]
    assert np.any(pixels != pixels_by_content(tf.constant(other)).numpy())


def test_the_picture_shows_input_output_and_truth():
    batch = batch_of()
    strip = CDVDTSPTraining(load_config()).picture(Dimming(), batch)
    assert (strip.shape, strip.dtype) == ((12, 42, 3), np.uint8)
    np.testing.assert_array_equal(strip[:, :14], np.rint(batch["lq"][0, 2].numpy() * 255).astype(np.uint8))
    np.testing.assert_array_equal(strip[:, 28:], np.rint(batch["gt"][0, 2].numpy() * 255).astype(np.uint8))


# --- configurations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "weights", "final_only"),
    [
        ("dvd_paper", {"l1": 1, "hem": 2}, False),
        ("gopro", {"l1": 1, "hem": 2}, False),
        ("dvd_convergent", {"l1": 1, "hem": 2}, False),
        ("one_cycle", {"l1": 0.16, "ms_ssim": 0.84}, True),
        ("tiny_l1_hem", {"l1": 1, "hem": 2}, False),
        ("tiny_one_cycle", {"l1": 0.16, "ms_ssim": 0.84}, True),
    ],
)
def test_the_recipes_have_the_losses_of_their_source(name, weights, final_only):
    config = load_config(f"configs/cdvd_tsp/{name}.yaml", settings={"cdvd_tsp.flow_checkpoint": ""})
    updates = training_of(config).updates()
    assert (updates.weights, updates.final_only) == (weights, final_only)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cdvd_tsp.loss_l1": 0.0, "cdvd_tsp.loss_hem": 0.0}, "nothing is left to learn from"),
        ({"cdvd_tsp.loss_ms_ssim": 0.84, "data.train_in_size": [160, 256]}, "at least 161 pixels a side"),
        ({"model.size": "crop", "data.train_in_size": [66, 64]}, "multiples of 4"),
        ({"cdvd_tsp.flow_checkpoint": "nowhere.pytorch"}, r"nowhere\.pytorch"),
        ({"cdvd_tsp.loss_hem": -1.0}, r"cdvd_tsp\.loss_hem is -1\.0; it should be from 0 to 1000000"),
    ],
)
def test_settings_that_cannot_be_trained_on_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        inputs_of(load_config(settings=TINY_CDVD_TSP | settings))


def test_the_flow_network_begins_with_weights_of_its_own(tmp_path: Path):
    model = build_model(load_config(settings=TINY_CDVD_TSP))
    path = tmp_path / "flow.weights.h5"
    save_weights(model.flow_net, path)
    model.set_weights([0 * weight for weight in model.get_weights()])
    config = load_config(settings=TINY_CDVD_TSP | {"cdvd_tsp.flow_checkpoint": str(path)})
    training_of(config).initialize(model)
    for variable in model.weights:
        of_flow = any(variable is other for other in model.flow_net.weights)
        assert variable.numpy().any() == of_flow, variable.path

    save_weights(model, path)
    with pytest.raises(InputError, match="does not fit the network PWCNet"):
        training_of(config).initialize(model)


@pytest.mark.parametrize("final_only", [True, False])
def test_the_ms_ssim_of_the_last_frame_is_reported_where_the_loss_has_it(final_only: bool):
    batch = batch_of(164, 176)
    _, report = loss_of(CDVDTSPUpdates({"l1": 0.16, "ms_ssim": 0.84}, final_only=final_only), batch)
    expected = np.mean(ms_ssim(0.8 * batch["lq"][:, 2], batch["gt"][:, 2]))
    assert report["ms_ssim"] == pytest.approx(expected, abs=1e-6)
    assert "ms_ssim" not in loss_of(CDVDTSPUpdates({"l1": 1.0}, final_only=final_only), batch)[1]


def test_the_fork_s_recipe_validates_after_each_epoch():
    cfg = load_config("cdvd_tsp/one_cycle")
    assert (cfg.solver.validation_epochs, cfg.eval.protocol) == (1, "cdvd_tsp")
