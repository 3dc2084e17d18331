"""Optical flow as a picture, in the colors of the Middlebury benchmark.

Hue is direction (red is right, yellow down, green and cyan left, blue up), saturation is speed. Baker et al., A
Database and Evaluation Methodology for Optical Flow (IJCV 2011).
"""

import numpy as np

# How many steps lead from each color of the wheel to the next: red, yellow, green, cyan, blue, magenta, red.
_STEPS = (15, 6, 4, 11, 13, 6)
_CORNERS = ((255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255), (255, 0, 0))


def flow_to_color(flow: np.ndarray, max_flow: float | None = None) -> np.ndarray:
    """[H, W, 2] in pixels (x, y) -> [H, W, 3] uint8 RGB: white where nothing moves, black where flow is not finite.

    Args:
        max_flow: the length that is shown in full color; longer ones are darker. None: the longest of this flow.
    """
    flow = flow.astype(np.float32)
    known = np.isfinite(flow).all(axis=-1, keepdims=True)
    flow = np.where(known, flow, np.float32(0))
    if max_flow is None:
        max_flow = np.sqrt(np.square(flow).sum(axis=-1)).max(initial=0)
    u, v = np.moveaxis(flow / (np.float32(max_flow) + np.finfo(np.float32).eps), -1, 0)
    length = np.sqrt(u**2 + v**2)[..., np.newaxis]

    wheel = _wheel()
    position = (np.arctan2(-v, -u) / np.float32(np.pi) + 1) / 2 * (len(wheel) - 1)
    first = np.floor(position).astype(int)
    fraction = (position - first)[..., np.newaxis]
    color = (1 - fraction) * wheel[first] + fraction * wheel[(first + 1) % len(wheel)]
    color = np.where(length <= 1, 1 - length * (1 - color), 0.75 * color)
    return np.where(known, np.floor(255 * color), 0).astype(np.uint8)


def _wheel() -> np.ndarray:
    """[55, 3] float32 in 0..1: the colors of all directions, from that of (1, 0) on."""
    colors = []
    corners = [np.array(corner) for corner in _CORNERS]
    for steps, begin, end in zip(_STEPS, corners, corners[1:], strict=False):
        progress = np.floor(255 * np.arange(steps) / steps)[:, np.newaxis]
        colors.append(begin + np.sign(end - begin) * progress)
    return np.concatenate(colors).astype(np.float32) / 255
