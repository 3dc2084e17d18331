"""The rule that fills the weights of a case: the same numbers from a name and a shape, anywhere."""

import math
import zlib

import numpy as np

# Of ImageNet, in RGB: buffers that networks in the style of SpyNet normalize frames with.
_FRAME_STATISTICS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def fill(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """The float32 array of the parameter or buffer `name` of a PyTorch network."""
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    x = random.standard_normal(size=shape)
    if len(shape) >= 2:
        x = gain * x / math.sqrt(math.prod(shape[1:]))
    elif name.endswith("running_var"):
        x = 1 + 0.1 * np.abs(x)
    elif name.endswith("weight"):
        x = 1 + 0.1 * x
    else:
        x = 0.01 * x
    return x.astype(np.float32)


def filled_state_dict(entries: dict, gain: float, overrides: dict, kept: list[str]) -> dict[str, np.ndarray]:
    """The official state dict of a case.

    Args:
        entries: name -> [shape, dtype], as the case lists them.
        gain: of the convolutions and dense layers.
        overrides: part of a name -> the gain there.
        kept: names whose values the source computes itself. Means and deviations of frames are given; the
            others, index tables, are left out, for the network has its own.
    """
    state_dict = {}
    for name, (shape, dtype) in entries.items():
        last = name.split(".")[-1]
        if name in kept:
            if last in _FRAME_STATISTICS:
                state_dict[name] = np.array(_FRAME_STATISTICS[last], dtype).reshape(shape)
        elif not shape:
            state_dict[name] = np.zeros((), dtype)
        else:
            gains = [value for part, value in overrides.items() if part in name]
            state_dict[name] = fill(name, tuple(shape), gains[-1] if gains else gain).astype(dtype)
    return state_dict
