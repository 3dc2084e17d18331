"""Published checkpoints -> Keras variables, and back.

The names below are imported when they are first used: reading a file needs no Keras, and commands do it
before they start TensorFlow.
"""

from ascendcv.utils.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "LoadReport": "ascendvsr.weights.mapping",
        "load_checkpoint": "ascendvsr.weights.reader",
        "load_state_dict": "ascendvsr.weights.mapping",
        "load_weights": "ascendvsr.weights.mapping",
        "save_weights": "ascendvsr.weights.mapping",
        "state_dict": "ascendvsr.weights.mapping",
    },
)
