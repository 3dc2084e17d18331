"""Sobel's gradient of an image's brightness."""

from keras import ops


def sobel(frames):
    """[N, H, W, C] -> (x, y, magnitude), each [N, H, W, 1]: of the mean over the channels; outside are zeros.

    x is positive where the image gets darker to the right, y where it gets darker downwards.

    Source: `calc_grad_sobel` of CDVD-TSP.

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(sobel(x)[2].shape)
    (1, 6, 8, 1)
    """
    padded = ops.pad(ops.mean(frames, axis=-1, keepdims=True), ((0, 0), (1, 1), (1, 1), (0, 0)))
    down = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    across = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    x, y = down[:, :, :-2] - down[:, :, 2:], across[:, :-2] - across[:, 2:]
    return x, y, ops.sqrt(ops.square(x) + ops.square(y))
