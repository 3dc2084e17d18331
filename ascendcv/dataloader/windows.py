"""Which frames a window around a center frame reads, also at the ends of a clip."""

MODES = ("replicate", "reflection", "reflection_circle", "circle")


def window_indices(center: int, length: int, num_frames: int, mode: str) -> list[int]:
    """The `num_frames` (odd) frame indices read for frame `center` of a clip of `length` frames.

    For frame 0 of 7 and a window of 5:
        replicate          0 0 0 1 2   the edge frame again
        reflection         2 1 0 1 2   mirrored at the edge frame
        reflection_circle  4 3 0 1 2   the nearest frames beyond the window's other end
        circle             3 4 0 1 2   the same ones, in the order of a clip that goes round
    The published EDVR results use reflection_circle for super-resolution and replicate for deblurring. A clip
    too short for what a mode asks is reflected, as often as necessary.

    Source: BasicSR `generate_frame_indices`, extended to clips shorter than the window.
    """
    if mode not in MODES:
        raise ValueError(f"mode should be one of {', '.join(MODES)}, not {mode!r}")
    half = num_frames // 2
    return [_inside(index, center, length, half, mode) for index in range(center - half, center + half + 1)]


def _inside(index: int, center: int, length: int, half: int, mode: str) -> int:
    last = length - 1
    if 0 <= index <= last:
        return index
    if mode == "replicate":
        return min(max(index, 0), last)
    if mode == "circle":
        other = index + 2 * half + 1 if index < 0 else index - 2 * half - 1
    elif mode == "reflection_circle":
        other = center + half - index if index < 0 else center - half - (index - last)
    else:
        other = index
    return other if 0 <= other <= last else _reflect(index, last)


def _reflect(index: int, last: int) -> int:
    """`index` mirrored into 0..last without repeating the edges: the triangle wave of period 2 * last."""
    if last == 0:
        return 0
    return last - abs(last - index % (2 * last))
