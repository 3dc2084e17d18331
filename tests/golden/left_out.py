"""Cases that a backend of Keras does not compute, and why."""

import keras

_COUNTED_TWICE = (
    "`ascendvsr cost` is TensorFlow's; on PyTorch, Keras first tries a symbolic call on tensors without data, and "
    "calls again where that fails, half of a network counted"
)

# (backend, case) -> reason
_REASONS = {
    ("torch", "pvdnet/cost_pvdnet_720x1280"): _COUNTED_TWICE,
    ("torch", "pvdnet/cost_pvdnet_large_720x1280"): _COUNTED_TWICE,
}


def reason(case: str) -> str:
    """Why this backend does not compute the case; empty: it does."""
    return _REASONS.get((keras.backend.backend(), case), "")
