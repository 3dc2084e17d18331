"""Color spaces of frames, for networks and losses: ITU-R BT.601."""

import numpy as np
from keras import ops

_GRAY = np.array([[0.299], [0.587], [0.114]])
# What R, G and B in 0..1 add to Y, Cb and Cr, and where these begin: studio range, Y from 16/255 on.
_TO_YCBCR = np.array([[65.481, -37.797, 112.0], [128.553, -74.203, -93.786], [24.966, 112.0, -18.214]]) / 255
_OFFSET = np.array([16.0, 128.0, 128.0]) / 255


def gray(frames):
    """[..., 3] RGB -> [..., 1]: 0.299 R + 0.587 G + 0.114 B, the full range.

    >>> import numpy as np
    >>> round(float(gray(np.ones((1, 3), "float32"))[0, 0]), 3)
    1.0
    """
    return ops.matmul(frames, ops.convert_to_tensor(_GRAY, frames.dtype))


def rgb_to_ycbcr(frames):
    """[..., 3] RGB in 0..1 -> YCbCr in the studio range, Y in 16/255..235/255 (MATLAB's `rgb2ycbcr`).

    >>> import numpy as np
    >>> white = np.ones((1, 3), "float32")
    >>> np.round(np.asarray(rgb_to_ycbcr(white)) * 255)[0].tolist()
    [235.0, 128.0, 128.0]
    """
    return _mixed(frames, _TO_YCBCR) + ops.convert_to_tensor(_OFFSET, frames.dtype)


def ycbcr_to_rgb(frames):
    """The inverse of `rgb_to_ycbcr`; what is outside the RGB range is not clipped.

    >>> import numpy as np
    >>> white = np.array([[235, 128, 128]], "float32") / 255
    >>> np.round(np.asarray(ycbcr_to_rgb(white)), 3)[0].tolist()
    [1.0, 1.0, 1.0]
    """
    return _mixed(frames - ops.convert_to_tensor(_OFFSET, frames.dtype), np.linalg.inv(_TO_YCBCR))


def _mixed(frames, matrix: np.ndarray):
    return ops.matmul(frames, ops.convert_to_tensor(matrix, frames.dtype))
