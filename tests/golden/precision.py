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
        yield
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_floatx(before[1])
