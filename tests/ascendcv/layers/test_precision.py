"""What layers compute in."""

import keras
import pytest

from ascendcv.layers.precision import computing_in


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_layers_made_inside_compute_in_the_type_and_weigh_in_float32(dtype: str):
    before = keras.config.dtype_policy()
    with pytest.raises(KeyError), computing_in(dtype):
        layer = keras.layers.Dense(1)
        raise KeyError
    layer.build((1, 1))
    assert (layer.compute_dtype, layer.variable_dtype) == (dtype, "float32")
    assert keras.config.dtype_policy() == before
