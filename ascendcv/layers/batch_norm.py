"""Batch normalization with PyTorch's statistics."""

import keras
from keras import ops

from ascendcv.ops.replicas import count_replicas
from ascendcv.ops.sampling import at_least_float32


@keras.saving.register_keras_serializable("ascendcv")
class BatchNorm(keras.layers.BatchNormalization):
    """Normalizes [N, H, W, C] over N, H and W; in training over all replicas of a distributed step.

    It differs from Keras's layer where PyTorch does: in the constants, and in the running variance, which is the
    unbiased one (divided by n - 1; the batch is normalized by n). A `momentum` of 0.9 is PyTorch's 0.1. Computed in
    float32 at least, whatever the layer's compute dtype.

    >>> import numpy as np
    >>> from ascendcv.layers import BatchNorm
    >>> tuple(BatchNorm()(np.ones((1, 6, 8, 4), "float32")).shape)
    (1, 6, 8, 4)
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, x, training=None):
        if not (training and self.trainable):
            return super().call(x, training=False)
        x = at_least_float32(x)
        dtype = x.dtype
        replicas = count_replicas()
        mean, variance = ops.moments(x, axes=(0, 1, 2), synchronized=replicas > 1)
        batch, height, width, _ = ops.shape(x)
        count = ops.cast(replicas * batch * height * width, dtype)
        unbiased = variance * (count / ops.maximum(count - 1, 1))
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + unbiased * (1 - self.momentum))
        x = ops.batch_normalization(x, mean, variance, -1, self.beta, self.gamma, self.epsilon)
        return ops.cast(x, self.compute_dtype)
