"""Layer normalization (Ba, Kiros and Hinton, 2016) over channels."""

from keras import ops

from ascendcv.ops.sampling import at_least_float32


def layer_norm(x, gamma, beta, epsilon: float = 1e-5):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, over the last axis, as torch.nn.LayerNorm.

    `x` is [..., C], `gamma` and `beta` [C]. Returns [..., C] in the dtype of `x`, computed in float32 at least.
    (Keras's own makes float64 float32 on JAX.)

    >>> import numpy as np
    >>> from ascendcv.ops.layer_norm import layer_norm
    >>> layer_norm(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), epsilon=0.0).numpy().tolist()
    [[-1.0, 1.0]]
    """
    wide = at_least_float32(x)
    channels = x.shape[-1]
    distance = wide - ops.sum(wide, axis=-1, keepdims=True) / channels  # `mean` makes float64 float32 on JAX
    variance = ops.sum(ops.square(distance), axis=-1, keepdims=True) / channels
    normed = distance * ops.rsqrt(variance + epsilon)
    return ops.cast(normed * ops.cast(gamma, wide.dtype) + ops.cast(beta, wide.dtype), ops.dtype(x))
