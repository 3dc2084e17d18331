"""Average pooling to a given size."""

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.ops.adaptive_pool import adaptive_avg_pool2d


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).random((2, 9, 12, 3), np.float32)


@pytest.mark.needs("torch")
@pytest.mark.parametrize("size", [(1, 1), (3, 4), (4, 5), (8, 11), (9, 12), (10, 30)])
def test_it_pools_as_pytorch_does(image, size):
    import torch

    expected = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(image.transpose(0, 3, 1, 2)), size)
    np.testing.assert_allclose(adaptive_avg_pool2d(image, size), expected.permute(0, 2, 3, 1), atol=1e-6)


def test_sizes_may_be_unknown_until_the_graph_runs(image):
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((), tf.int32)])
    def pooled(x, height):
        return adaptive_avg_pool2d(x, (height, 11))

    for height in (6, 9, 13):
        np.testing.assert_allclose(pooled(image, height), adaptive_avg_pool2d(image, (height, 11)), atol=1e-6)
