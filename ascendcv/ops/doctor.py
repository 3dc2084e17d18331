"""What serves the operations here: tells whether this installation is as fast as it could be."""

from ascendcv.ops import registry


def report() -> list[str]:
    """Lines: the backend and its devices, then for each operation what 'auto' takes and why not the others, and how
    far the kernels and an NPU's operations agree with the composed ones.

    Compiles the kernels when nobody has yet. Raises `ArithmeticError` where one computes something else.
    """
    import keras

    backend = keras.backend.backend()
    lines = [f"backend: {backend}"]
    if backend == "tensorflow":
        import tensorflow as tf

        lines += [f"device: {device.name}" for device in tf.config.list_physical_devices()]
        npus = len(tf.config.list_physical_devices("NPU")) or "none"
        lines.append(
            f"NPU: TensorFlow sees {npus}; training on one needs the vendor's plug-in for TensorFlow "
            f"{tf.__version__} and has never been run (docs/training.md)"
        )
    lines += [registry.explain(operation) for operation in registry.OPERATIONS]
    if any(registry.available(operation)["fused"] is None for operation in registry.OPERATIONS):
        from ascendcv.ops import fused

        lines += fused.check()
    from ascendcv.ops import vendor

    if vendor.ascend_is_installed():
        lines += vendor.check_ascend()
    return lines
