"""Pixel shuffle in the channel order of the published networks, by tensors of five dimensions at most."""

from keras import ops

from ascendcv.ops import registry


def pixel_shuffle(x, scale: int):
    """[N, H, W, C * s * s] -> [N, H * s, W * s, C]: channel c * s * s + dy * s + dx goes to pixel (dy, dx).

    The order of torch.nn.PixelShuffle; TensorFlow's depth_to_space expects (dy * s + dx) * C + c.

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(pixel_shuffle(x, 2).shape)
    (1, 12, 16, 1)
    """
    given = registry.substitute("pixel_shuffle")
    if given is not None:
        return given(x, scale)
    batch, height, width, channels = ops.shape(x)
    out_channels = channels // (scale * scale)
    x = ops.reshape(x, (batch * height, width, out_channels, scale, scale))
    x = ops.transpose(x, (0, 3, 1, 4, 2))
    return ops.reshape(x, (batch, height * scale, width * scale, out_channels))


def pixel_unshuffle(x, scale: int):
    """[N, H * s, W * s, C] -> [N, H, W, C * s * s], the inverse of `pixel_shuffle`.

    >>> import numpy as np
    >>> x = np.ones((1, 6, 8, 4), "float32")
    >>> tuple(pixel_unshuffle(x, 2).shape)
    (1, 3, 4, 16)
    """
    batch, height, width, channels = ops.shape(x)
    x = ops.reshape(x, (batch * (height // scale), scale, width // scale, scale, channels))
    x = ops.transpose(x, (0, 2, 4, 1, 3))
    return ops.reshape(x, (batch, height // scale, width // scale, channels * scale * scale))
