"""Networks in double precision."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Within the context, layers are made for float64 and constants are float64."""
    before = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy("float64")
    keras.config.set_floatx("float64")
    try:
        with _jax_with_float64() if keras.backend.backend() == "jax" else contextlib.nullcontext():
            yield
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_floatx(before[1])


def _jax_with_float64() -> contextlib.AbstractContextManager:
    """JAX makes every float64 a float32 unless it is told otherwise."""
    import jax

    return jax.enable_x64(True)
