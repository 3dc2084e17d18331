"""Guided deformable attention of RVRT (Liang et al., NeurIPS 2022), composed of Keras operations.

Every pixel of every frame of a clip attends to the taps of a window around it in each frame of the clip, moved by
offsets.
"""

import numpy as np
from keras import ops

from ascendcv.ops import registry
from ascendcv.ops.sampling import at_least_float32, on_grid, sample_bilinear


def deform_attn(
    q,
    kv,
    offset,
    *,
    attention_heads: int,
    deformable_groups: int,
    kernel_size: int = 3,
    impl: str = "auto",
):
    """Deformable attention between the frames of a clip.

    Slot n of frame t samples frame (t + n) mod T: slot 0 is the frame itself. A sample is bilinear, and 0 unless
    -1 < y < H and -1 < x < W; neighbors outside the frame count as 0. One softmax goes over the T * kernel_size²
    samples of a head, whose scores are query . key / sqrt(C / heads).

    Args:
        q: [B, T, H, W, C]; head h reads the channels h * C / heads to (h + 1) * C / heads, of keys and values too.
        kv: [B, T, H, W, 2C]: keys and values side by side. The deformable groups divide all 2C channels, so keys
            and values of a head are sampled at places of their own.
        offset: [B, T, H, W, T * G * kernel_size² * 2]: for each slot, deformable group and tap (row-major) the pair
            (dy, dx) in pixels, added to the tap's place in the window around the pixel.
        kernel_size: odd.
        impl: 'auto', 'tf', 'fused' or 'npu' (see `ascendcv.ops.registry`).

    Returns [B, T, H, W, C] in the dtype of `q`. Raises `ValueError` for channels that do not fit.

    >>> import numpy as np
    >>> q, kv = np.ones((1, 2, 6, 8, 4), "float32"), np.ones((1, 2, 6, 8, 8), "float32")
    >>> offset = np.zeros((1, 2, 6, 8, 2 * 2 * 9 * 2), "float32")
    >>> tuple(deform_attn(q, kv, offset, attention_heads=2, deformable_groups=2).shape)
    (1, 2, 6, 8, 4)
    """
    frames, channels = q.shape[1], q.shape[-1]
    if channels % attention_heads or 2 * channels % deformable_groups or kv.shape[-1] != 2 * channels:
        raise ValueError(
            f"q has {channels} channels and kv {kv.shape[-1]}: that does not fit {attention_heads} heads and "
            f"{deformable_groups} deformable groups"
        )
    expected = frames * deformable_groups * kernel_size**2 * 2
    if offset.shape[-1] != expected:
        raise ValueError(f"offset has {offset.shape[-1]} channels; {frames} frames need {expected}")
    return registry.resolve("deform_attn", impl, ops.dtype(q))(
        q,
        kv,
        offset,
        attention_heads=attention_heads,
        deformable_groups=deformable_groups,
        kernel_size=kernel_size,
    )


def composed(q, kv, offset, *, attention_heads, deformable_groups, kernel_size):
    """`deform_attn` as bilinear sampling, a softmax and two products."""
    batch, frames, height, width, channels = ops.shape(q)
    taps, depth, images = kernel_size**2, channels // attention_heads, batch * frames
    samples, pixels = deformable_groups * taps, images * height * width
    offset = at_least_float32(ops.reshape(offset, (images, height, width, frames * samples * 2)))
    around = np.array(list(np.ndindex(kernel_size, kernel_size))) - kernel_size // 2
    rows, columns = ops.arange(height, dtype="int32"), ops.arange(width, dtype="int32")

    keys, values = [], []
    for slot in range(frames):
        shift = offset[..., slot * samples * 2 : (slot + 1) * samples * 2]
        attended = sample_bilinear(
            ops.reshape(_from_frame(kv, slot), (images, height, width, 2 * channels)),
            on_grid(shift, rows, columns, around),
            groups=deformable_groups,
        )  # [images, H * W, G * taps, 2C / G]
        attended = ops.swapaxes(ops.reshape(attended, (pixels, deformable_groups, taps, -1)), 1, 2)
        attended = ops.reshape(attended, (pixels, taps, 2 * channels))
        keys.append(attended[..., :channels])
        values.append(attended[..., channels:])
    keys, values = (
        ops.reshape(ops.concatenate(parts, axis=1), (pixels, frames * taps, attention_heads, depth))
        for parts in (keys, values)
    )

    q = ops.reshape(q, (pixels, attention_heads, depth)) * depth**-0.5
    weights = ops.softmax(ops.einsum("phd,pkhd->phk", q, keys), axis=-1)
    y = ops.einsum("phk,pkhd->phd", weights, values)
    return ops.reshape(y, (batch, frames, height, width, channels))


def _from_frame(clip, first: int):
    """The frames of [B, T, ...] in the order first, ..., T - 1, 0, ..., first - 1."""
    return ops.concatenate([clip[:, first:], clip[:, :first]], axis=1) if first else clip
