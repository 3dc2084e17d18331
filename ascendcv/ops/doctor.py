"""What serves the operations here: tells whether this installation is as fast as it could be."""

from ascendcv.ops import registry


def report() -> list[str]:
    """Lines: the backend and its devices, then for each operation what 'auto' takes and why not the others.

    Compiles the kernels when nobody has yet.
    """
    import keras

    backend = keras.backend.backend()
    lines = [f"backend: {backend}"]
    if backend == "tensorflow":
        import tensorflow as tf

        lines += [f"device: {device.name}" for device in tf.config.list_physical_devices()]
    return lines + [registry.explain(operation) for operation in registry.OPERATIONS]
