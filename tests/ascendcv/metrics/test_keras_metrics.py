"""PSNR and SSIM as metrics of Keras are those that images are measured by, in float32."""

import keras
import numpy as np
import pytest

from ascendcv.metrics import PSNR, SSIM, psnr, ssim
from ascendcv.utils.color import luma


@pytest.fixture
def pictures(photograph: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Three crops, and the same with noise: [3, 40, 48, 3] uint8."""
    truth = np.stack([photograph[top : top + 40, 180:228] for top in (90, 130, 170)])
    noise = np.random.default_rng(0).normal(0, 9, truth.shape)
    return truth, np.clip(np.rint(truth + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("crop_border", [0, 4])
@pytest.mark.parametrize(("metric", "function"), [(PSNR, psnr), (SSIM, ssim)])
def test_mean_over_images_of_all_batches(pictures, metric, function, crop_border: int):
    truth, restored = pictures
    keras_metric = metric(crop_border=crop_border)
    for part in (slice(0, 2), slice(2, 3)):
        keras_metric.update_state(truth[part] / np.float32(255), restored[part] / np.float32(255))
    expected = np.mean([function(*pair, crop_border=crop_border) for pair in zip(truth, restored, strict=True)])
    assert float(keras_metric.result()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("metric", "function"), [(PSNR, psnr), (SSIM, ssim)])
def test_of_luma(pictures, metric, function):
    truth, restored = pictures
    keras_metric = metric(luma=True)
    keras_metric.update_state(truth / np.float32(255), restored / np.float32(255))
    expected = np.mean([function(luma(a), luma(b)) for a, b in zip(truth, restored, strict=True)])
    assert float(keras_metric.result()) == pytest.approx(expected, rel=1e-3)


def test_clips_are_frames(pictures):
    truth, restored = (images / np.float32(255) for images in pictures)
    frames, clips = PSNR(), PSNR()
    frames.update_state(truth, restored)
    clips.update_state(truth[None], restored[None])
    assert float(clips.result()) == pytest.approx(float(frames.result()), rel=1e-6)


@pytest.mark.parametrize("metric", [PSNR(crop_border=2), PSNR(luma=True), SSIM(crop_border=2)], ids=str)
def test_in_compile_and_fit(pictures, metric):
    truth, restored = (images / np.float32(255) for images in pictures)
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 1, use_bias=False)])
    model.layers[0].set_weights([np.eye(3, dtype="float32").reshape(1, 1, 3, 3)])
    saved = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert saved.get_config() == metric.get_config()
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=[saved])
    (values,) = (v for name, v in model.fit(restored, truth, verbose=0).history.items() if name != "loss")
    metric.reset_state()
    metric.update_state(truth, restored)
    assert values[0] == pytest.approx(float(metric.result()), rel=1e-5)
