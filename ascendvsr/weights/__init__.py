"""Published checkpoints -> Keras variables, and back.

The names below are imported when they are first used: reading a file needs no Keras, and commands do it
before they start TensorFlow.
"""

import importlib

_MODULES = {
    "load_checkpoint": "reader",
    "LoadReport": "mapping",
    "load_state_dict": "mapping",
    "load_weights": "mapping",
    "save_weights": "mapping",
    "state_dict": "mapping",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
