"""What all losses share: the difference that they look at, and what becomes of its values."""

from keras import ops

REDUCTIONS = ("none", "mean", "sum", "batchmean")


def difference(pred, target):
    """pred - target, in float32 at least."""
    # Not `result_type`, which has float32 for float64 with float32 on some backends.
    dtype = "float64" if "float64" in (ops.dtype(pred), ops.dtype(target)) else "float32"
    return ops.cast(pred, dtype) - ops.cast(target, dtype)


def absolute(values):
    """|values|, with gradient 0 at 0 on every backend (JAX's `abs` has 1 there)."""
    return values * ops.sign(values)


def reduce(values, reduction: str, weight=None):
    """Weights and reduces the values [N, ..., C] of a loss; see `ascendcv.losses`.

    Raises ValueError for an unknown reduction.

    Source: BasicSR `losses/loss_util.py`; 'batchmean' is the TensorFlow EDVR release's `loss_reduction: mean`.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction should be one of {', '.join(REDUCTIONS)}, not {reduction!r}")
    if weight is not None:
        weight = ops.broadcast_to(ops.cast(weight, values.dtype), ops.shape(values))
        values = values * weight
    if reduction == "none":
        return values
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "batchmean":
        return total / ops.cast(ops.shape(values)[0], values.dtype)
    if weight is not None:
        return total / ops.sum(weight)
    return ops.mean(values)
