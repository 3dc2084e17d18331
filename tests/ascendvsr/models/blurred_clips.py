"""What the tests of DBN and FlowDBN share."""

from collections.abc import Sequence

import keras
import numpy as np


def clip_of(photograph: np.ndarray, *, frames: int = 5, height: int = 24, width: int = 32, batch: int = 1):
    """[batch, frames, height, width, 3]: a pan over the photograph, blurred along its way."""
    photograph = photograph.astype(np.float32) / 255
    windows = [
        [
            np.mean([photograph[90 + n :, 200 + 2 * t + blur :][:height, :width] for blur in range(4)], axis=0)
            for t in range(frames)
        ]
        for n in range(batch)
    ]
    return np.array(windows, np.float32)


def parameters(variables: Sequence[keras.Variable]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)
