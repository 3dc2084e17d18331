"""Warping by optical flow, as `grid_sample` does it."""

from keras import ops

from ascendcv.ops.sampling import at_least_float32, sample_bilinear


def warp(x, flow, *, interpolation: str = "bilinear", padding: str = "zeros", align_corners: bool = True):
    """Backward warp: output pixel p is `x` at p + flow[p].

    Args:
        x: [N, H, W, C].
        flow: [N, Ho, Wo, 2] in pixels of `x`: channel 0 to the right, channel 1 down.
        interpolation: 'bilinear', or 'nearest': the pixel that is nearest, of two at the same distance the one with
            the even number. The flow has no gradient there.
        padding: 'zeros': what is outside the image counts as 0; 'border': positions are moved to the nearest
            pixel of the image (and have no gradient there).
        align_corners: True is the exact position. False repeats what code written for True does when grid_sample
            runs with its later default: position p becomes p * W / (W - 1) - 0.5.

    Returns [N, Ho, Wo, C] in the dtype of `x`; positions are computed in float32 at least. Along an axis of one
    pixel the flow has no effect, as in the published code, which divides by max(size - 1, 1).

    Source: BasicSR `flow_warp`, PyTorch `grid_sample`.

    >>> import numpy as np
    >>> x = np.arange(4, dtype="float32").reshape(1, 1, 4, 1)
    >>> right = np.stack([np.ones((1, 1, 4)), np.zeros((1, 1, 4))], axis=-1).astype("float32")
    >>> np.ravel(warp(x, right)).tolist()
    [1.0, 2.0, 3.0, 0.0]
    """
    if interpolation not in ("bilinear", "nearest"):
        raise ValueError(f"interpolation is {interpolation!r}; it should be 'bilinear' or 'nearest'")
    if padding not in ("zeros", "border"):
        raise ValueError(f"padding is {padding!r}; it should be 'zeros' or 'border'")
    _, height, width, _ = ops.shape(x)
    _, out_height, out_width, _ = ops.shape(flow)
    flow = at_least_float32(flow)
    rows = ops.cast(ops.arange(out_height, dtype="int32"), flow.dtype)[:, None] + flow[..., 1]
    columns = ops.cast(ops.arange(out_width, dtype="int32"), flow.dtype) + flow[..., 0]
    rows = _sampled_at(rows, height, padding, align_corners)
    columns = _sampled_at(columns, width, padding, align_corners)
    if interpolation == "nearest":
        rows, columns = ops.stop_gradient(ops.round(rows)), ops.stop_gradient(ops.round(columns))
    y = sample_bilinear(x, ops.stack([rows, columns], axis=-1))
    return ops.reshape(y, (-1, out_height, out_width, x.shape[-1]))


def _sampled_at(positions, size, padding: str, align_corners: bool):
    """Where along an axis of `size` pixels `grid_sample` reads for these positions."""
    last = ops.cast(size - 1, positions.dtype)
    if align_corners:
        positions = ops.where(last > 0, positions, 0.0)
    else:
        positions = positions * ((last + 1) / ops.maximum(last, 1.0)) - 0.5
    if padding == "border":
        # Not `clip`, which passes a gradient at the border itself.
        positions = ops.where(positions > 0, positions, 0.0)
        positions = ops.where(positions < last, positions, last)
    return positions
