"""What a layer must know of training on several devices."""

import keras


def count_replicas() -> int:
    """How many replicas of the network compute this step together, under `tf.distribute`; else 1."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1
