"""Random affine changes of two frames and the flow between them, as "The Devil is in the Details" trains flow.

An affine map is [..., 6] (a1 ... a6) in coordinates that run from -1 to 1 over an image: x' = a1 x + a2 y + a3,
y' = a4 x + a5 y + a6. Output pixel p shows what was at the inverse map of p. Source: deblur-devil
`augmentations.random_affine_flow`.
"""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Ranges:
    """What a random map is drawn from, uniformly: shift in -translate..translate (the image is 2 wide), factors of
    zoom and of the aspect ratio, and turn in radians."""

    translate: float
    zoom: tuple[float, float]
    squeeze: tuple[float, float]
    rotate: tuple[float, float]


# As the released code draws them: rotations are constant, because its lower bound is negated once too often.
GLOBAL = Ranges(0.1, (1.0, 1.5), (0.86, 1.16), (0.2, 0.2))
RELATIVE = Ranges(0.0075, (0.985, 1.015), (0.98, 1.02), (0.015, 0.015))

_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def random_affine_flow(first: tf.Tensor, second: tf.Tensor, flow: tf.Tensor, seed: tf.Tensor) -> tuple:
    """Both frames [H, W, 3] and their flow [H, W, 2], changed by a map of `GLOBAL` and by chance mirrored.

    The second frame is changed a little more, by a map of `RELATIVE`, and the flow is that of the result.

    Args:
        seed: [2] int; equal seeds give equal results.
    """
    global_seed, relative_seed, mirror_seed = tf.unstack(tf.random.split(seed, 3))
    size = (tf.shape(flow)[0], tf.shape(flow)[1])
    theta = random_map(tf.constant(_IDENTITY), GLOBAL, size, global_seed)
    signs = tf.where(tf.random.stateless_uniform([2], mirror_seed) < 0.5, 1.0, -1.0)
    theta1 = theta * tf.repeat(signs, 3)
    theta2 = random_map(theta1, RELATIVE, size, relative_seed)
    return (
        transform_image(first[tf.newaxis], theta1)[0],
        transform_image(second[tf.newaxis], theta2)[0],
        transform_flow(flow[tf.newaxis], theta1, theta2)[0],
    )


def random_map(theta: tf.Tensor, ranges: Ranges, size: tuple, seed: tf.Tensor) -> tf.Tensor:
    """[6]: `theta` followed by a random map, drawn again until no corner of the result is outside the image."""

    def draw(attempt):
        draws = tf.random.stateless_uniform([5], tf.random.fold_in(seed, attempt))
        zoom = _between(*ranges.zoom, draws[0])
        squeeze = _between(*ranges.squeeze, draws[1])
        angle = _between(*ranges.rotate, draws[2])
        shift_x, shift_y = tf.unstack(_between(-ranges.translate, ranges.translate, draws[3:]))
        sin, cos = tf.sin(angle), tf.cos(angle)
        x, y = zoom * squeeze, zoom / squeeze
        return compose(theta, tf.stack([cos * x, sin * y, shift_x, -sin * x, cos * y, shift_y]))

    attempt = tf.while_loop(
        lambda attempt: tf.logical_not(stays_inside(draw(attempt), size)), lambda attempt: (attempt + 1,), (0,)
    )[0]
    return draw(attempt)


def compose(first: tf.Tensor, then: tf.Tensor) -> tf.Tensor:
    """[..., 6]: the map `first`, followed by the map `then`."""
    a1, a2, a3, a4, a5, a6 = tf.unstack(first, axis=-1)
    b1, b2, b3, b4, b5, b6 = tf.unstack(then, axis=-1)
    rows = [a1 * b1 + a4 * b2, a2 * b1 + a5 * b2, a3 * b1 + a6 * b2 + b3]
    rows += [a1 * b4 + a4 * b5, a2 * b4 + a5 * b5, a3 * b4 + a6 * b5 + b6]
    return tf.stack(rows, axis=-1)


def stays_inside(theta: tf.Tensor, size: tuple) -> tf.Tensor:
    """[...] bool: whether all four corners of the changed image show something of the image of `size`."""
    height, width = (tf.cast(length, tf.float32) for length in size)
    x, y = tf.constant([-1.0, -1.0, 1.0, 1.0]), tf.constant([-1.0, 1.0, -1.0, 1.0])
    x, y = _inverse(theta[..., tf.newaxis, :], x, y)
    x, y = _pixels(x, width), _pixels(y, height)
    return tf.reduce_all((x >= 0) & (y >= 0) & (x < width) & (y < height), axis=-1)


def transform_image(images: tf.Tensor, theta: tf.Tensor) -> tf.Tensor:
    """[N, H, W, C] by a map [6] or maps [N, 6], bilinear; edges are repeated."""
    x, y = _inverse(theta[..., tf.newaxis, tf.newaxis, :], *_coordinates(images))
    batch, height, width, _ = tf.unstack(tf.shape(images))
    rows, columns = (
        tf.broadcast_to(tf.clip_by_value(positions, 0.0, tf.cast(last, tf.float32)), [batch, height, width])
        for positions, last in ((_pixels(y, height), height - 1), (_pixels(x, width), width - 1))
    )
    return _bilinear(images, rows, columns)


def transform_flow(flow: tf.Tensor, theta1: tf.Tensor, theta2: tf.Tensor) -> tf.Tensor:
    """[N, H, W, 2] in pixels: the flow after the first frame was changed by `theta1` and the second by `theta2`."""
    x, y = _coordinates(flow)
    height, width = (tf.cast(length, tf.float32) for length in tf.unstack(tf.shape(flow)[1:3]))
    reached = x + flow[..., 0] * (2.0 / (width - 1.0)), y + flow[..., 1] * (2.0 / (height - 1.0))
    start = _forward(theta1[..., tf.newaxis, tf.newaxis, :], x, y)
    end = _forward(theta2[..., tf.newaxis, tf.newaxis, :], *reached)
    moved = [(end[0] - start[0]) * 0.5 * (width - 1.0), (end[1] - start[1]) * 0.5 * (height - 1.0)]
    return transform_image(tf.stack(moved, axis=-1), theta1)


def _coordinates(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """[1, W] and [H, 1]: x and y of the pixels, from -1 to 1."""
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    x = 2.0 * tf.cast(tf.range(width), tf.float32) / tf.cast(width - 1, tf.float32) - 1.0
    y = 2.0 * tf.cast(tf.range(height), tf.float32) / tf.cast(height - 1, tf.float32) - 1.0
    return x[tf.newaxis], y[:, tf.newaxis]


def _pixels(coordinates: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """From -1..1 to pixels of an axis of `length`."""
    return 0.5 * (tf.cast(length, tf.float32) - 1.0) * (coordinates + 1.0)


def _bilinear(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """`images` [N, H, W, C] at positions [N, H, W] within them."""
    height, width = tf.unstack(tf.shape(images)[1:3])
    top, left = tf.floor(rows), tf.floor(columns)
    down, right = (rows - top)[..., tf.newaxis], (columns - left)[..., tf.newaxis]
    top, left = tf.cast(top, tf.int32), tf.cast(left, tf.int32)
    bottom, beside = tf.minimum(top + 1, height - 1), tf.minimum(left + 1, width - 1)

    def at(row, column):
        return tf.gather_nd(images, tf.stack([row, column], axis=-1), batch_dims=1)

    above = at(top, left) * (1.0 - right) + at(top, beside) * right
    below = at(bottom, left) * (1.0 - right) + at(bottom, beside) * right
    return above * (1.0 - down) + below * down


def _forward(theta: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    a1, a2, a3, a4, a5, a6 = tf.unstack(theta, axis=-1)
    return a1 * x + a2 * y + a3, a4 * x + a5 * y + a6


def _inverse(theta: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    a1, a2, a3, a4, a5, a6 = tf.unstack(theta, axis=-1)
    determinant = a1 * a5 - a2 * a4
    x, y = x - a3, y - a6
    return (a5 * x - a2 * y) / determinant, (a1 * y - a4 * x) / determinant


def _between(low: float, high: float, draw: tf.Tensor) -> tf.Tensor:
    """Where a draw of 0..1 lies between `low` and `high`."""
    return low + (high - low) * draw
