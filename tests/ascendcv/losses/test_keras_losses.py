"""The losses as objects of Keras give what the functions give, in `compile` and `fit` too."""

import keras
import numpy as np
import pytest

from ascendcv import losses

SHAPE = (2, 8, 9, 3)
CASES = [
    (losses.L1Loss(), losses.l1),
    (losses.L2Loss(), losses.l2),
    (losses.CharbonnierLoss(eps=1e-3), lambda pred, target: losses.charbonnier(pred, target, eps=1e-3)),
    (losses.MarginalL1Loss(margin=0.2), lambda pred, target: losses.marginal_l1(pred, target, margin=0.2)),
    (
        losses.HEMLoss(hard_share=0.3, random_share=0.0),
        lambda pred, target: losses.hem(pred, target, np.zeros((2, 8, 9, 1), "float32"), hard_share=0.3),
    ),
    (losses.EndPointErrorLoss(), lambda pred, target: keras.ops.mean(losses.end_point_error(pred, target))),
]


@pytest.fixture
def frames() -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.random.default_rng(0).uniform(size=(2, *SHAPE)).astype("float32"))


@pytest.mark.parametrize(("loss", "function"), CASES, ids=lambda value: getattr(value, "name", ""))
class TestLoss:
    def test_is_the_function(self, loss, function, frames):
        truth, restored = frames
        assert float(loss(truth, restored)) == pytest.approx(float(function(restored, truth)), rel=1e-5)

    def test_is_saved_and_fitted_with(self, loss, function, frames):
        truth, restored = frames
        model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 1, use_bias=False)])
        model.layers[0].set_weights([np.eye(3, dtype="float32").reshape(1, 1, 3, 3)])
        saved = keras.losses.deserialize(keras.losses.serialize(loss))
        assert saved.get_config() == loss.get_config()
        model.compile(keras.optimizers.SGD(0.01), saved)
        history = model.fit(restored, truth, batch_size=2, epochs=3, verbose=0).history["loss"]
        assert history[0] == pytest.approx(float(function(restored, truth)), rel=1e-5)
        assert history[-1] < history[0]


def test_ms_ssim_falls_with_blur(photograph):
    sharp = photograph[None, :192, 160:352] / np.float32(255)
    blurred = keras.ops.average_pool(sharp, 5, 1, "same")
    loss = losses.MSSSIMLoss()
    assert float(loss(sharp, sharp)) == pytest.approx(0, abs=1e-5)
    assert float(loss(sharp, blurred)) == pytest.approx(
        1 - float(np.mean(losses.ms_ssim(blurred, sharp))), abs=1e-6
    )
    assert float(loss(sharp, blurred)) > 0.01


def test_reductions_and_weights_are_those_of_keras(frames):
    truth, restored = frames
    summed = losses.L1Loss(reduction="sum")(truth, restored)
    assert float(summed) == pytest.approx(np.abs(truth - restored).mean(axis=-1).sum(), rel=1e-5)
    weight = np.zeros((2, 8, 9), "float32")
    weight[0, :4] = 1
    weighted = losses.L1Loss()(truth, restored, sample_weight=weight)
    assert float(weighted) == pytest.approx((np.abs(truth - restored).mean(axis=-1) * weight).mean(), rel=1e-5)


def test_random_pixels_of_hard_example_mining_follow_from_the_seed(frames):
    truth, restored = frames
    first, second = ([float(loss(truth, restored)) for _ in range(3)] for loss in (_mining(3), _mining(3)))
    assert first == second
    assert len(set(first)) > 1


def _mining(seed: int) -> keras.losses.Loss:
    return losses.HEMLoss(hard_share=0.1, random_share=0.3, seed=seed)
