"""What layers compute in."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def computing_in(dtype: str) -> Iterator[None]:
    """Layers made inside the block have float32 weights and compute in `dtype`: float32, bfloat16 or float16.

    >>> from ascendcv.layers import Conv2D
    >>> with computing_in("bfloat16"):
    ...     layer = Conv2D(8)
    >>> layer.compute_dtype, layer.variable_dtype
    ('bfloat16', 'float32')
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if dtype == "float32" else f"mixed_{dtype}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
