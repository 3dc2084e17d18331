"""PSNR and SSIM as Keras has metrics: means over all images that were seen, for `compile`."""

import keras
from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.losses.ms_ssim import similarity_map
from ascendcv.ops.color import rgb_to_ycbcr


class _MeanOverImages(keras.metrics.Mean):
    """The mean of what `measure` gives for each image of a batch.

    Args:
        crop_border: pixels left out on all four sides.
        luma: whether the Y of RGB frames is compared, in its studio range, and not the three channels.
    """

    def __init__(self, crop_border: int = 0, luma: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.crop_border = crop_border
        self.luma = luma

    def update_state(self, y_true, y_pred, sample_weight=None):
        frames = [ops.cast(image, "float32") for image in (y_true, y_pred)]
        if self.luma:
            frames = [rgb_to_ycbcr(image)[..., :1] for image in frames]
        border = self.crop_border
        frames = [image[..., border : image.shape[-3] - border, :, :] if border else image for image in frames]
        frames = [image[..., border : image.shape[-2] - border, :] if border else image for image in frames]
        frames = [ops.reshape(image, (-1, *ops.shape(image)[-3:])) for image in frames]
        return super().update_state(self.measure(*frames), sample_weight)


@serializable("ascendcv")
class PSNR(_MeanOverImages):
    """Peak signal-to-noise ratio in dB, of frames [..., H, W, C]: `ascendcv.metrics.psnr`, in float32.

    Args:
        peak: the largest possible value.
        crop_border: pixels left out on all four sides.
        luma: whether the Y of RGB frames in [0, 1] is compared, in its studio range, and not the three channels.

    The result is the mean over all frames since the last reset. Frames that are equal have infinity.

    >>> import numpy as np
    >>> metric = PSNR()
    >>> metric.update_state(np.zeros((2, 4, 4, 3)), np.full((2, 4, 4, 3), 0.1))
    >>> round(float(metric.result()), 3)
    20.0
    """

    def __init__(self, peak: float = 1.0, crop_border: int = 0, luma: bool = False, name: str = "psnr", **kwargs):
        super().__init__(crop_border, luma, name=name, **kwargs)
        self.peak = peak

    def measure(self, truth, frames):
        error = ops.mean(ops.square(frames - truth), axis=(1, 2, 3))
        return 10 * ops.log10(self.peak**2 / error)


@serializable("ascendcv")
class SSIM(_MeanOverImages):
    """Structural similarity of frames [..., H, W, C] in [0, 1]: `ascendcv.metrics.ssim`, in float32.

    Args:
        crop_border: pixels left out on all four sides.
        luma: whether the Y of RGB frames is compared, in its studio range, and not the three channels.

    The result is the mean over all frames since the last reset. Frames need 11 x 11 pixels after cropping.

    >>> import numpy as np
    >>> metric, frames = SSIM(), np.random.default_rng(0).uniform(size=(1, 16, 16, 3))
    >>> metric.update_state(frames, frames)
    >>> round(float(metric.result()), 3)
    1.0
    """

    def __init__(self, crop_border: int = 0, luma: bool = False, name: str = "ssim", **kwargs):
        super().__init__(crop_border, luma, name=name, **kwargs)

    def measure(self, truth, frames):
        return ops.mean(similarity_map(frames, truth), axis=(1, 2, 3))
