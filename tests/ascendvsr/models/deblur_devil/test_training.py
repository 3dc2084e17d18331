"""Training DBN and FlowDBN: the loss, what is reported, and the flow network, which has weights and keeps them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.runner.optimizers import make_optimizer
from ascendcv.runner.trainer import Trainer
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.deblur_devil.training import DBNTraining, gray_psnr
from ascendvsr.models.flow.pwcnet_devil import PWCNetDevil
from ascendvsr.weights import save_weights, state_dict
from tests.ascendvsr.models.blurred_clips import clip_of
from tests.ascendvsr.models.training_parts import inputs_of, training_of
from tests.networks import Mixture

FLOWDBN = {"model.name": "FlowDBN", "model.scale": 1, "model.num_frames": 3, "deblur_devil.num_feat": 4}
TOLD = FLOWDBN | {"model.name": "DBN", "deblur_devil.nonblind_denoising": True}


@pytest.fixture
def batch(photograph) -> dict[str, tf.Tensor]:
    clip = clip_of(photograph, frames=3, batch=2)
    return {"lq": tf.constant(clip), "gt": tf.constant(clip[:, 1] * 0.8 + 0.1)}


@pytest.fixture(scope="module")
def flow_network() -> PWCNetDevil:
    keras.utils.set_random_seed(5)
    return PWCNetDevil()


@pytest.fixture(scope="module")
def flow_checkpoint(flow_network, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("flow") / "pwcnet.weights.h5"
    save_weights(flow_network, path)
    return str(path)


def test_the_loss_is_half_the_squared_error_of_the_whole_batch(batch):
    updates, network = DBNTraining(load_config()).updates(), Mixture(3, 1, scale=1)
    loss, report, state = updates.loss(network, batch, tf.constant(0), updates.start(network, batch))
    difference = batch["lq"].numpy()[:, 1].astype(np.float64) - batch["gt"].numpy()
    assert float(loss) == pytest.approx(0.5 * np.sum(difference**2), rel=1e-5)
    assert float(report["loss/px"]) == pytest.approx(np.mean(difference**2), rel=1e-5)
    assert (updates.reduction, state) == ("sum", ())


def test_a_network_that_is_told_of_noise_gets_its_level(batch):
    told = tf.zeros_like(batch["lq"][..., :1]) + tf.reshape(tf.constant([0.1, 0.2]), (2, 1, 1, 1, 1))
    network = build_model(load_config(settings=TOLD))
    restored = network(tf.concat([batch["lq"], told], axis=-1), training=True)
    updates = DBNTraining(load_config()).updates()
    noisy = batch | {"sigma": tf.constant([0.1, 0.2])}
    loss, _, _ = updates.loss(network, noisy, tf.constant(0), updates.start(network, noisy))
    assert float(loss) == pytest.approx(0.5 * np.sum((restored - batch["gt"]) ** 2), rel=1e-4)


def test_to_be_told_of_noise_there_must_be_some():
    with pytest.raises(InputError, match=r"data\.sigma is \[\], and deblur_devil\.nonblind_denoising"):
        inputs_of(load_config(settings=TOLD))
    assert inputs_of(load_config(settings=TOLD | {"data.sigma": [0, 50]})) is None


def test_the_reported_psnr_is_of_gray_values_of_the_whole_batch():
    truth = np.full((2, 4, 4, 3), 0.5, np.float32)
    restored = truth + np.array([0.1, 0.3], np.float32)[:, None, None, None]
    expected = -10 * np.log10((0.1**2 + 0.3**2) / 2)
    assert float(gray_psnr(tf.constant(restored), tf.constant(truth))) == pytest.approx(expected, abs=1e-4)
    green = truth + np.array([0, 0.1, 0], np.float32)
    assert float(gray_psnr(tf.constant(green), tf.constant(truth))) == pytest.approx(
        -20 * np.log10(0.0587), abs=1e-4
    )
    beyond = np.where(truth > 0, 7, 0).astype(np.float32)  # clipped to 1
    assert float(gray_psnr(tf.constant(beyond), tf.constant(truth))) == pytest.approx(20 * np.log10(2), abs=1e-4)
    assert float(gray_psnr(tf.constant(truth), tf.constant(truth))) == 100


def test_the_picture_shows_input_output_and_truth(batch):
    strip = DBNTraining(load_config()).picture(Mixture(3, 1, scale=1), batch)
    assert (strip.shape, strip.dtype) == ((24, 96, 3), np.uint8)
    frame, truth = (np.rint(array * 255).astype(np.uint8) for array in (batch["lq"].numpy()[0, 1], batch["gt"][0]))
    np.testing.assert_array_equal(strip, np.concatenate([frame, frame, truth], axis=1))


def test_the_flow_network_begins_with_its_checkpoint_and_keeps_it(batch, flow_network, flow_checkpoint):
    """Training moves every weight and statistic of the U-net, and none of the flow network."""
    cfg = load_config(settings=FLOWDBN | {"deblur_devil.flow_checkpoint": flow_checkpoint})
    training, model = training_of(cfg), build_model(cfg)
    training.initialize(model)
    before = state_dict(model)
    warping = "flowdbn.warping_network.network."
    for name, array in state_dict(flow_network).items():
        np.testing.assert_array_equal(before[warping + name], array)
    variables = [variable.value for variable in model.trainable_variables]
    optimizer = make_optimizer(cfg.solver.optimizer, variables, [1.0] * len(variables))
    Trainer(model, training.updates(), optimizer, lambda step: 0.005, 2, lambda first: iter([batch] * 2)).fit()
    for name, array in state_dict(model).items():
        assert np.array_equal(array, before[name]) == name.startswith(warping), name
    flow = training.more_pictures(model, batch)["flow"]
    assert (flow.shape, flow.dtype) == ((24, 2 * 32, 3), np.uint8)
    assert len(np.unique(flow)) > 10


@pytest.mark.parametrize("name", ["DBN", "FlowDBN"])
def test_networks_may_begin_by_adding_nothing_to_the_middle_frame(batch, flow_checkpoint, name: str):
    settings = FLOWDBN | {"model.name": name, "deblur_devil.identity_start": True}
    cfg = load_config(settings=settings | {"deblur_devil.flow_checkpoint": flow_checkpoint})
    model = build_model(cfg)
    assert not np.array_equal(model(batch["lq"]), batch["lq"][:, 1])
    training_of(cfg).initialize(model)
    np.testing.assert_array_equal(model(batch["lq"]), batch["lq"][:, 1])


def test_weights_that_are_begun_with_stay_what_they_are():
    settings = {"deblur_devil.identity_start": True, "init_from": "trained.weights.h5"}
    cfg = load_config(settings=FLOWDBN | {"model.name": "DBN"} | settings)
    model = build_model(cfg)
    before = state_dict(model)
    training_of(cfg).initialize(model)
    assert all(np.array_equal(array, before[name]) for name, array in state_dict(model).items())


def test_there_is_no_flow_to_show_of_other_networks(batch):
    assert DBNTraining(load_config()).more_pictures(Mixture(3, 1, scale=1), batch) == {}


def test_flowdbn_is_not_trained_without_a_trained_flow_network():
    with pytest.raises(InputError, match=r"deblur_devil\.flow_checkpoint"):
        inputs_of(load_config(settings=FLOWDBN))
    assert inputs_of(load_config(settings=FLOWDBN), begins=False) is None
    assert inputs_of(load_config(settings=FLOWDBN | {"model.name": "DBN"})) is None


@pytest.mark.parametrize("num_frames", [1, 4])
def test_windows_without_a_middle_frame_are_refused(num_frames: int):
    with pytest.raises(InputError, match=f"model.num_frames is {num_frames}"):
        inputs_of(load_config(settings={"model.name": "DBN", "model.num_frames": num_frames}))


def test_the_wrong_flow_network_is_named(flow_checkpoint, tmp_path):
    wrong = FLOWDBN | {"deblur_devil.flow_checkpoint": flow_checkpoint, "deblur_devil.prewarping": "flownet1s"}
    with pytest.raises(InputError, match=r"is PWC-Net of deblur-devil.*prewarping is flownet1s"):
        inputs_of(load_config(settings=wrong))
    path = tmp_path / "other.npz"
    np.savez(path, **{"conv_first.weight": np.zeros((4, 3, 3, 3), np.float32)})
    with pytest.raises(InputError, match=f"{path} holds no flow network"):
        inputs_of(load_config(settings=FLOWDBN | {"deblur_devil.flow_checkpoint": str(path)}))
    with pytest.raises(InputError, match=r"nowhere\.ckpt"):
        inputs_of(load_config(settings=FLOWDBN | {"deblur_devil.flow_checkpoint": "nowhere.ckpt"}))
