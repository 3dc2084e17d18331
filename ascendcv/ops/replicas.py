"""What a layer must know of training on several devices."""

import importlib

import keras


def count_replicas() -> int:
    """How many replicas of the network compute this step together, under `tf.distribute`; else 1."""
    if keras.backend.backend() != "tensorflow":
        return 1
    context = importlib.import_module("tensorflow").distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1
