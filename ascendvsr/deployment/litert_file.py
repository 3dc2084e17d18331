"""LiteRT files (.tflite), made of traced functions by TensorFlow's converter."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


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
