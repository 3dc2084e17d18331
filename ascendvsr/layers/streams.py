"""Windows of a video, restored from what is known of their frames, each of which is looked at once."""

from collections.abc import Callable, Sequence
from typing import Any


def restore_by_frame(features: Callable, restore: Callable, compiled: Callable, scale: int) -> Callable:
    """The `stream` of a network whose windows share what `features` finds in each frame alone.

    Args:
        features: frames [N, H, W, C] -> nested tensors whose first axis is N.
        restore: what `features` gave for each frame of a window -> the restored frame [N, scale * H, scale * W, C],
            which may be larger where frames were padded.
        compiled: wraps functions of tensors, for example in `tf.function`.

    Returns `restore_next(numbers, window, kept)`: the frame numbers in a window [1, T, H, W, C] and the window
    itself -> the restored frame, as the network gives it for the window. Equal numbers are equal frames. `kept` is
    empty for the first window of a video and holds what is known from window to window.
    """
    features, restore = compiled(features), compiled(restore)

    def restore_next(numbers: Sequence[int], window, kept: dict[int, Any]):
        for old in set(kept).difference(numbers):
            del kept[old]
        for position, number in enumerate(numbers):
            if number not in kept:
                kept[number] = features(window[:, position])
        restored = restore([kept[number] for number in numbers])
        return restored[:, : scale * window.shape[2], : scale * window.shape[3]]

    return restore_next
