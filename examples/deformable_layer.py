"""A deformable convolution in a model of your own: python examples/deformable_layer.py

Two views of a picture differ by a few pixels, another number for each pair. A network with a deformable convolution
learns to bring the second onto the first, which the same network with a plain convolution of the same size cannot.
"""

from pathlib import Path

import keras
import numpy as np
from PIL import Image

from ascendcv.layers import DeformableConv2D

PICTURE = Path(__file__).parent.parent / "docs/stream_of_water.jpg"


def pairs(count: int, size: int = 32, reach: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of shifted views, [N, H, W, 2], and the first of each, [N, H, W, 1]; gray, in [0, 1]."""
    picture = np.asarray(Image.open(PICTURE).convert("L"), np.float32) / 255
    rng = np.random.default_rng(0)
    inputs, targets = [], []
    for _ in range(count):
        top, left = rng.integers(reach, np.array(picture.shape) - size - reach)
        down, right = rng.integers(-reach, reach + 1, 2)
        first = picture[top : top + size, left : left + size]
        second = picture[top + down : top + down + size, left + right : left + right + size]
        inputs.append(np.stack([first, second], -1))
        targets.append(first[..., None])
    return np.stack(inputs), np.stack(targets)


def network(deformable: bool) -> keras.Model:
    """Looks at both views to find where to read, and reads in the second alone."""
    views = keras.Input((None, None, 2))
    second = views[..., 1:]
    if not deformable:
        return keras.Model(views, keras.layers.Conv2D(1, 3, padding="same")(second))
    x = views
    for _ in range(3):
        x = keras.layers.Conv2D(16, 5, padding="same", activation="relu")(x)
    offset = keras.layers.Conv2D(2 * 9, 3, padding="same")(x)  # (down, right) for each of the 3x3 taps
    return keras.Model(views, DeformableConv2D(1, 3, padding="same", modulated=False)(second, offset))


def main() -> None:
    inputs, targets = pairs(192)
    for deformable in (False, True):
        keras.utils.set_random_seed(0)
        model = network(deformable)
        model.compile(keras.optimizers.Adam(2e-3), "mse")
        losses = model.fit(inputs, targets, batch_size=16, epochs=8, verbose=0).history["loss"]
        name = "deformable" if deformable else "plain"
        print(f"{name} convolution: mean squared error {losses[-1]:.5f}")


if __name__ == "__main__":
    main()
