"""LiteRT files (.tflite), made of traced functions by TensorFlow's converter."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ascendcv.ops.resize import by_tensorflow


def write_litert(
    function: Any, model, path: Path, *, halved: bool = False, samples: Callable | None = None
) -> None:
    """A LiteRT file of a traced function of fixed sizes, as its only signature.

    Args:
        model: the network, which holds its variables.
        halved: whether weights are stored as float16; it computes in float32.
        samples: gives inputs by name, to fit whole numbers of 8 bits to; it then computes in those.

    Raises `RuntimeError` where an operation has no counterpart.
    """
    import tensorflow as tf

    from ascendvsr.deployment.tensorflow_files import write_saved_model

    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(model, {_SIGNATURE: function}, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[_SIGNATURE])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if halved:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        if samples is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = samples
        try:
            content = converter.convert()
        except Exception as error:
            lines = str(error).splitlines() or [type(error).__name__]
            reason = next((line for line in lines if "is neither" in line), lines[0])
            raise RuntimeError(f"the graph has no counterpart in LiteRT: {reason.strip()}") from error
    path.write_bytes(content)


_SIGNATURE = "serving_default"


def erf(x):
    """The error function as a quotient of polynomials, to 1e-6: LiteRT has none.

    Source: the coefficients of Eigen's `generic_fast_erf_float`, a minimax approximation on [-4, 4].
    """
    from keras import ops

    x = ops.clip(x, -4.0, 4.0)
    square = x * x

    def polynomial(coefficients):
        value = coefficients[0]
        for coefficient in coefficients[1:]:
            value = value * square + coefficient
        return value

    return x * polynomial(_ERF_ABOVE) / polynomial(_ERF_BELOW)


# Of falling powers of x squared.
_ERF_ABOVE = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_BELOW = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)

# What takes the place of operations that LiteRT lacks, or has in one piece.
OPERATIONS = {"erf": erf, "resize_bilinear": by_tensorflow}
