"""Guided deformable attention of RVRT (Liang et al., NeurIPS 2022), composed of Keras operations.

Every pixel of every frame of a clip attends to the taps of a window around it in each frame of the clip, moved by
offsets.
"""

from keras import ops

from ascendcv.ops import registry
from ascendcv.ops.sampling import at_least_float32, sample_bilinear


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
    -1 < y < H and -1 < x < W; neighbours outside the frame count as 0. One softmax goes over the T * kernel_size²
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
    offset = at_least_float32(ops.reshape(offset, (images, height, width, frames, deformable_groups, taps, 2)))
    around = ops.arange(taps, dtype="int32")
    around_rows, around_columns = around // kernel_size - kernel_size // 2, around % kernel_size - kernel_size // 2
    rows = ops.arange(height, dtype="int32")[:, None, None, None] + around_rows
    columns = ops.arange(width, dtype="int32")[:, None, None] + around_columns

    keys, values = [], []
    for slot in range(frames):
        samples = sample_bilinear(
            ops.reshape(ops.roll(kv, -slot, axis=1), (images, height, width, 2 * channels)),
            ops.cast(rows, offset.dtype) + offset[:, :, :, slot, ..., 0],
            ops.cast(columns, offset.dtype) + offset[:, :, :, slot, ..., 1],
        )  # [images, H, W, G, taps, 2C / G]
        samples = ops.reshape(ops.swapaxes(samples, 3, 4), (images, height, width, taps, 2, attention_heads, depth))
        keys.append(samples[..., 0, :, :])
        values.append(samples[..., 1, :, :])
    keys, values = ops.concatenate(keys, axis=3), ops.concatenate(values, axis=3)

    q = ops.reshape(q, (images, height, width, attention_heads, depth)) * depth**-0.5
    weights = ops.softmax(ops.einsum("nyxhd,nyxkhd->nyxhk", q, keys), axis=-1)
    y = ops.einsum("nyxhk,nyxkhd->nyxhd", weights, values)
    return ops.reshape(y, (batch, frames, height, width, channels))
