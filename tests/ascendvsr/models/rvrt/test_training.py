"""RVRT's updates: the loss over all frames, the noise map, SpyNet that learns later, and what is checked first."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.layers.precision import computing_in
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.flow.spynet import SpyNet
from ascendvsr.models.rvrt.network import RVRT
from ascendvsr.models.rvrt.training import RVRTTraining
from ascendvsr.models.training import network_input
from ascendvsr.training.groups import make_groups
from ascendvsr.weights import save_weights
from ascendvsr.weights.mapping import state_dict
from tests.ascendvsr.models.training_parts import inputs_of, training_of
from tests.golden.precision import double_precision
from tests.support import TINY_RVRT


class Enlarging(keras.Model):
    """Frames with every pixel doubled and, with a noise map, that much brighter."""

    scale = 2

    def __init__(self, in_channels: int = 3):
        super().__init__()
        self.in_channels = in_channels

    def in_steps(self, compiled):
        return compiled(self)

    def call(self, clip, training=False):
        frames = clip[..., :3] + (clip[..., 3:] if self.in_channels == 4 else 0.0)
        return keras.ops.repeat(keras.ops.repeat(frames, 2, axis=2), 2, axis=3)


@pytest.fixture
def batch() -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    return {
        "lq": tf.constant(rng.random((2, 4, 3, 5, 3)), tf.float32),
        "gt": tf.constant(rng.random((2, 4, 6, 10, 3)), tf.float32),
        "sigma": tf.constant([0.0, 0.1]),
    }


@pytest.mark.parametrize("in_channels", [3, 4])
def test_the_loss_is_charbonnier_s_mean_over_all_frames(batch, in_channels):
    network, training = Enlarging(in_channels), RVRTTraining(load_config())
    updates = training.updates()
    loss, report, state = updates.loss(network, batch, tf.constant(0), updates.start(network, batch))
    restored = network(network_input(network, batch)).numpy().astype(np.float64)
    difference = restored - batch["gt"].numpy()
    assert float(loss) == pytest.approx(np.sqrt(difference**2 + 1e-9).mean(), rel=1e-5)
    errors = np.mean((restored.clip(0, 1) - batch["gt"].numpy()) ** 2, axis=(2, 3, 4))
    assert float(report["psnr"]) == pytest.approx(np.mean(-10 * np.log10(errors)), rel=1e-5)
    assert (state, updates.count, updates.reduction, training.target) == ((), 1, "mean", "all")


@pytest.mark.slow
def test_a_graph_of_steps_gives_the_same_loss_and_gradients(batch):
    """In float64: in float32 TensorFlow rounds otherwise in a graph, and gradients here are sums that cancel."""
    keras.utils.set_random_seed(5)
    with double_precision():
        model = RVRT(**_arguments(), use_checkpoint_attn=True, use_checkpoint_ffn=True)
        clip = tf.cast(batch["lq"], tf.float64)
        batch = {"lq": clip, "gt": tf.repeat(tf.repeat(clip, 4, axis=2), 4, axis=3)}
        variables = [variable.value for variable in model.trainable_variables]

        def step():
            with tf.GradientTape() as tape:
                loss, _, _ = RVRTTraining(load_config()).updates().loss(model, batch, tf.constant(0), ())
            return loss, tape.gradient(loss, variables)

        loss, gradients = step()
        loss_in_graph, gradients_in_graph = tf.function(step, autograph=False)()
    assert gradients[0].dtype == tf.float64
    np.testing.assert_allclose(loss_in_graph, loss, rtol=1e-12)
    for one, other in zip(gradients_in_graph, gradients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-11 * max(1e-3, float(np.abs(other).max())))


def test_each_clip_gets_a_map_of_its_own_noise(batch):
    clip = network_input(Enlarging(in_channels=4), batch).numpy()
    np.testing.assert_array_equal(clip[..., :3], batch["lq"])
    np.testing.assert_array_equal(clip[0, ..., 3], 0.0)
    np.testing.assert_array_equal(clip[1, ..., 3], np.float32(0.1))


@pytest.mark.parametrize("in_channels", [3, 4])
def test_the_picture_shows_input_output_and_truth(batch, in_channels):
    strip = RVRTTraining(load_config()).picture(Enlarging(in_channels), batch)
    assert (strip.shape, strip.dtype) == ((6, 30, 3), np.uint8)
    first = batch["lq"].numpy()[0, 0].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(strip[:, :10], np.rint(first * 255).astype(np.uint8))
    np.testing.assert_array_equal(strip[:, 10:20], strip[:, :10])
    np.testing.assert_array_equal(strip[:, 20:], np.rint(batch["gt"][0, 0].numpy() * 255).astype(np.uint8))


def test_spynet_rests_and_then_learns_at_a_quarter_of_the_rate():
    names = ["spynet.basic_module.0.basic_module.8.bias", "conv_last.bias"]
    training = RVRTTraining(load_config("configs/rvrt/001_videosr_bi_reds_30frames.yaml"))
    groups = make_groups(names, training.param_groups())
    assert groups.lr_factors == [0.25, 1.0]
    assert groups.active(29_998) == (1,)  # iteration 29,999
    assert groups.active(29_999) == (0, 1)


def test_spynet_begins_with_its_own_weights_or_those_of_an_rvrt(tmp_path: Path):
    keras.utils.set_random_seed(3)
    network = RVRT(**_arguments())
    trained = SpyNet()
    for variable in trained.weights:
        variable.assign(variable + 0.01)
    network.spynet.set_weights(trained.get_weights())
    for name, model in (("spynet", trained), ("rvrt", network)):
        path = tmp_path / f"{name}.weights.h5"
        save_weights(model, path)
        fresh = RVRT(**_arguments())
        settings = {"rvrt.spynet_checkpoint": str(path), "output_dir": str(tmp_path / "run")}
        config = load_config(settings=settings | {"model.name": "RVRT"})
        training_of(config).initialize(fresh)
        for name, array in state_dict(trained).items():
            np.testing.assert_array_equal(state_dict(fresh.spynet)[name], array)


def _arguments() -> dict:
    return {key.removeprefix("rvrt."): value for key, value in TINY_RVRT.items() if key.startswith("rvrt.n")} | {
        "embed_dims": (12, 12, 12),
        "deformable_groups": 2,
        "attention_heads": 2,
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "SpyNet keeps its weights until step 30000, and it has none: .*rvrt.spynet_checkpoint"),
        ({"rvrt.fix_iter": 0, "data.sigma": [0, 50]}, r"data.sigma is \[0.0, 50.0\], and the network is not told"),
        (
            {"rvrt.fix_iter": 0, "rvrt.nonblind_denoising": True},
            "data.sigma is \\[\\], and rvrt.nonblind_denoising",
        ),
        ({"rvrt.fix_iter": 0, "rvrt.identity_start": True, "rvrt.embed_dims": [36, 36, 36]}, "multiples of 24"),
    ],
)
def test_settings_that_cannot_train_are_refused(tmp_path: Path, settings: dict, message: str):
    config = load_config(settings={"model.name": "RVRT", "output_dir": str(tmp_path)} | settings)
    with pytest.raises(InputError, match=message):
        inputs_of(config)


def test_weights_of_something_else_are_no_spynet(tmp_path: Path, tiny_edvr_checkpoint: Path):
    settings = {"rvrt.spynet_checkpoint": str(tiny_edvr_checkpoint), "output_dir": str(tmp_path)}
    with pytest.raises(InputError, match="holds no SpyNet"):
        inputs_of(load_config(settings=settings | {"model.name": "RVRT"}))


def test_bfloat16_gives_a_finite_loss_near_that_of_float32(batch):
    keras.utils.set_random_seed(5)
    whole = RVRT(**_arguments())
    with computing_in("bfloat16"):
        narrow = RVRT(**_arguments(), use_checkpoint_attn=True, use_checkpoint_ffn=True)
    narrow.set_weights(whole.get_weights())
    batch = {"lq": batch["lq"], "gt": tf.repeat(tf.repeat(batch["lq"], 4, axis=2), 4, axis=3)}
    updates = RVRTTraining(load_config()).updates()
    losses = []
    for model in (whole, narrow):
        with tf.GradientTape() as tape:
            loss, _, _ = updates.loss(model, batch, tf.constant(0), ())
        gradients = tape.gradient(loss, model.trainable_weights)
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
        losses.append(float(loss))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
