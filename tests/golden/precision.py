"""Networks in double precision."""

import contextlib
from collections.abc import Iterator
from unittest import mock

import keras
from keras.src.backend.common import dtypes


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Within the context, layers are made for float64 and constants are float64, on every backend."""
    before = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy("float64")
    keras.config.set_floatx("float64")
    try:
        with _results_in_float64(), _jax_with_float64():
            yield
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_floatx(before[1])


def _results_in_float64() -> contextlib.AbstractContextManager:
    """On JAX and PyTorch Keras makes float64 float32 in `mean`, `matmul`, `floor`, `maximum` and others.

    `mean` even returns float64 again. There is no setting that changes this.
    """
    return mock.patch.dict(dtypes.BIT64_TO_BIT32_DTYPE, float64="float64")


def _jax_with_float64() -> contextlib.AbstractContextManager:
    """JAX makes every float64 a float32 unless it is told otherwise."""
    if keras.backend.backend() != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(True)
