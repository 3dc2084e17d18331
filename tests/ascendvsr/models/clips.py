"""What the tests of several networks feed them, and how they make all weights count."""

import keras
import numpy as np


def clip_of(
    photograph: np.ndarray, *, frames: int = 5, height: int = 16, width: int = 20, batch: int = 1
) -> np.ndarray:
    """[batch, frames, height, width, 3]: a pan over the photograph."""
    clips = [
        [photograph[90 + n : 90 + n + height, 200 + 2 * t : 200 + 2 * t + width] for t in range(frames)]
        for n in range(batch)
    ]
    return np.array(clips, np.float32) / 255


def shaken(model: keras.Model, deviation: float = 0.05) -> keras.Model:
    """The model with weights of which none is 0 or 1, so that flows and offsets move and biases count."""
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable + deviation * rng.standard_normal(variable.shape))
    return model
