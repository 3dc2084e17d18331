"""Photometric augmentation of training samples: colors, brightness, contrast, saturation, hue, channels, noise.

All functions are of tensors, work pixel by pixel on [..., 3] float32 RGB in [0, 1] (so that flips and turns may
come before or after), and stay in that range. `photometric` draws their arguments and applies them in the published
order.

Source: visinf/deblur-devil `datasets.gopro_nah`, `datasets.my_transforms`, which follows torchvision and Pillow.
"""

import tensorflow as tf

# What Pillow calls gray: BT.601 in 16-bit integers.
_GRAY = (19595, 38470, 7471)


def photometric(
    lq: tf.Tensor,
    gt: tf.Tensor,
    seed: tf.Tensor,
    *,
    multiplicative_color: bool = False,
    brightness: bool = False,
    contrast: bool = False,
    saturation: bool = False,
    hue: bool = False,
    channel_permutation: bool = False,
    noise: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The chosen changes of a sample, in the published order: as the arguments stand here.

    All but the noise are shared by the input frames `lq` [T, h, w, 3] and the ground truth `gt` [..., 3]. Drawn are
    color factors of 0.5..2 a channel; brightness, contrast and saturation factors of 0.5..1.5 and a hue shift of
    -0.5..0.5 (of the circle), these four applied in a random order; the order of the channels; noise on `lq` alone,
    of one standard deviation in 0..0.04.

    Args:
        seed: [2] int; equal seeds give equal results.

    Returns `lq` and `gt`, changed.
    """
    color_seed, factor_seed, order_seed, channel_seed, deviation_seed, noise_seed = tf.unstack(
        tf.random.split(seed, 6)
    )
    pixels = tf.concat([tf.reshape(lq, [-1, 3]), tf.reshape(gt, [-1, 3])], axis=0)
    if multiplicative_color:
        pixels = adjust_colors(pixels, tf.random.stateless_uniform([3], color_seed, 0.5, 2.0))
    draws = tf.random.stateless_uniform([4], factor_seed, -0.5, 0.5)
    jitter = [
        change
        for chosen, change in (
            (brightness, lambda pixels: adjust_brightness(pixels, 1 + draws[0])),
            (contrast, lambda pixels: adjust_contrast(pixels, 1 + draws[1])),
            (saturation, lambda pixels: adjust_saturation(pixels, 1 + draws[2])),
            (hue, lambda pixels: adjust_hue(pixels, draws[3])),
        )
        if chosen
    ]
    order = tf.random.experimental.stateless_shuffle(tf.range(len(jitter)), order_seed)
    for place in range(len(jitter)):
        branches = [lambda change=change, pixels=pixels: change(pixels) for change in jitter]
        pixels = tf.switch_case(order[place], branches)
    if channel_permutation:
        order = tf.random.experimental.stateless_shuffle(tf.range(3), channel_seed)
        pixels = tf.gather(pixels, order, axis=-1)
    count = tf.size(lq) // 3
    lq, gt = tf.reshape(pixels[:count], tf.shape(lq)), tf.reshape(pixels[count:], tf.shape(gt))
    if noise:
        deviation = tf.random.stateless_uniform([], deviation_seed, 0.0, 0.04)
        lq = tf.clip_by_value(lq + deviation * tf.random.stateless_normal(tf.shape(lq), noise_seed), 0.0, 1.0)
    return lq, gt


def adjust_colors(pixels: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Each channel times its factor [3], clipped and, as published, cut (not rounded) to 8 bit."""
    return _to_bytes(tf.clip_by_value(pixels * factors, 0.0, 1.0)) / 255.0


def adjust_brightness(pixels: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Times `factor`, clipped."""
    return tf.clip_by_value(pixels * factor, 0.0, 1.0)


def adjust_contrast(pixels: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Distances from 0.5 (not from the mean of the image) times `factor`, clipped."""
    return tf.clip_by_value((pixels - 0.5) * factor + 0.5, 0.0, 1.0)


def adjust_saturation(pixels: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Distances from gray times `factor`, clipped; as published, in 8 bit and as Pillow's `ImageEnhance.Color`."""
    pixels = _to_bytes(pixels)
    gray = tf.reduce_sum(tf.cast(pixels, tf.int32) * _GRAY, axis=-1, keepdims=True)
    gray = tf.cast((gray + 0x8000) // 0x10000, tf.float32)
    return tf.floor(tf.clip_by_value(gray + factor * (pixels - gray), 0.0, 255.0)) / 255.0


def adjust_hue(pixels: tf.Tensor, shift: tf.Tensor | float) -> tf.Tensor:
    """Turns the hue by `shift` of the full circle; as published, through Pillow's HSV of 8 bit a channel."""
    hue, saturation, value = _rgb_to_hsv(_to_bytes(pixels))
    steps = tf.cast(shift * 255.0, tf.int32)  # cut towards 0
    hue = tf.math.floormod(tf.cast(hue, tf.int32) + steps, 256)
    return _hsv_to_rgb(tf.cast(hue, tf.float64), saturation, value) / 255.0


def _rgb_to_hsv(pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """[..., 3] in 0..255 -> hue, saturation and value in 0..255, cut to whole numbers, as float64.

    Rounded to float32 where Pillow is, or some values fall on the other side of a whole number.
    """
    red, green, blue = tf.unstack(pixels, axis=-1)
    value = tf.maximum(red, tf.maximum(green, blue))
    chroma = value - tf.minimum(red, tf.minimum(green, blue))
    colored = chroma > 0
    divisor = tf.where(colored, chroma, 1.0)
    r, g, b = (tf.cast((value - channel) / divisor, tf.float64) for channel in (red, green, blue))
    hue = tf.where(red == value, b - g, tf.where(green == value, 2.0 + r - b, 4.0 + g - r))
    hue = _through_float32(tf.math.floormod(_through_float32(hue) / 6.0 + 1.0, 1.0))
    saturation = tf.cast(chroma / tf.where(colored, value, 1.0), tf.float64)
    hue = tf.where(colored, tf.floor(hue * 255.0), 0.0)
    return hue, tf.floor(saturation * 255.0), tf.cast(value, tf.float64)


def _hsv_to_rgb(hue: tf.Tensor, saturation: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """The inverse, rounded to whole numbers: [...] float64 each -> [..., 3] float32."""
    sector = tf.floor(hue * 6.0 / 255.0)
    fraction = _through_float32(hue * 6.0 / 255.0 - sector)
    saturation = _through_float32(saturation / 255.0)
    least = _rounded(value * (1.0 - saturation))
    falling = _rounded(value * (1.0 - saturation * fraction))
    rising = _rounded(value * (1.0 - saturation * (1.0 - fraction)))
    corners = [
        (value, rising, least),
        (falling, value, least),
        (least, value, rising),
        (least, falling, value),
        (rising, least, value),
        (value, least, falling),
    ]
    which = tf.cast(sector, tf.int32) % 6
    turned = tf.stack([tf.stack(corner, axis=-1) for corner in corners], axis=-2)
    return tf.cast(tf.gather(turned, which, axis=-2, batch_dims=which.shape.rank), tf.float32)


def _to_bytes(pixels: tf.Tensor) -> tf.Tensor:
    """0..1 -> whole numbers 0..255 as float32, cut as NumPy's conversion to uint8 does."""
    return tf.floor(pixels * 255.0)


def _rounded(values: tf.Tensor) -> tf.Tensor:
    """To whole numbers, halves up, as C does (TensorFlow rounds halves to even)."""
    return tf.floor(values + 0.5)


def _through_float32(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.cast(values, tf.float32), tf.float64)
