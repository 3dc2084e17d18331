"""Batch normalization: PyTorch's statistics, also over several replicas."""

import subprocess
import sys

import numpy as np
import tensorflow as tf

from ascendcv.layers.batch_norm import BatchNorm

SHARED = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from ascendcv.layers.batch_norm import BatchNorm

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = BatchNorm()
    layer.build((None, None, None, 3))
x = np.random.default_rng(0).normal(2, 3, (4, 5, 6, 3)).astype("float32")
halves = strategy.experimental_distribute_values_from_function(
    lambda context: x[2 * context.replica_id_in_sync_group :][:2]
)
y = strategy.run(tf.function(lambda x: layer(x, training=True)), (halves,))
single = BatchNorm()
expected = single(x, training=True)
np.testing.assert_allclose(np.concatenate(strategy.experimental_local_results(y)), expected, atol=1e-5)
np.testing.assert_allclose(layer.moving_mean, single.moving_mean, rtol=1e-5)
np.testing.assert_allclose(layer.moving_variance, single.moving_variance, rtol=1e-5)
"""


def frames(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(2, 3, shape).astype(np.float32)


def test_a_batch_is_normalized_and_the_running_variance_is_unbiased():
    layer, x = BatchNorm(), frames(2, 3, 2, 4)
    y = np.asarray(layer(x, training=True))
    np.testing.assert_allclose(y, (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5), atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * x.var((0, 1, 2), ddof=1), rtol=1e-5)


def test_outside_training_the_running_statistics_count():
    layer, x = BatchNorm(), frames(2, 3, 2, 4)
    layer(x, training=True)
    expected = (x - np.asarray(layer.moving_mean)) / np.sqrt(np.asarray(layer.moving_variance) + 1e-5)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_a_frozen_layer_keeps_its_statistics():
    layer, x = BatchNorm(), frames(2, 3, 2, 4)
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), layer(x))
    assert not np.asarray(layer.moving_mean).any()


def test_statistics_are_computed_in_float32_under_mixed_precision():
    layer, x = BatchNorm(dtype="mixed_bfloat16"), tf.cast(frames(8, 64, 64, 1) + 100, "bfloat16")
    assert layer(x, training=True).dtype == "bfloat16"
    np.testing.assert_allclose(layer.moving_mean, 0.1 * np.mean(tf.cast(x, "float32")), rtol=1e-5)


def test_replicas_share_their_statistics():
    subprocess.run([sys.executable, "-c", SHARED], check=True, timeout=120)
