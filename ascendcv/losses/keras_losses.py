"""The losses as Keras has them: objects for `compile`, with the truth first and a mean over the last axis."""

import keras
from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.losses.charbonnier import charbonnier
from ascendcv.losses.hem import hem, random_pixels
from ascendcv.losses.l1 import l1
from ascendcv.losses.l2 import l2
from ascendcv.losses.marginal_l1 import marginal_l1
from ascendcv.losses.ms_ssim import ms_ssim
from ascendcv.losses.multiscale_epe import end_point_error


@serializable("ascendcv")
class L1Loss(keras.losses.Loss):
    """`ascendcv.losses.l1` of [N, H, W, C] frames, whose gradient is 0 where both are equal.

    >>> import numpy as np
    >>> float(L1Loss()(np.zeros((1, 2, 2, 3)), np.ones((1, 2, 2, 3))))
    1.0
    """

    def call(self, y_true, y_pred):
        return ops.mean(l1(y_pred, y_true, reduction="none"), axis=-1)


@serializable("ascendcv")
class L2Loss(keras.losses.Loss):
    """`ascendcv.losses.l2` of [N, H, W, C] frames.

    >>> import numpy as np
    >>> float(L2Loss()(np.zeros((1, 2, 2, 3)), np.full((1, 2, 2, 3), 0.5)))
    0.25
    """

    def call(self, y_true, y_pred):
        return ops.mean(l2(y_pred, y_true, reduction="none"), axis=-1)


@serializable("ascendcv")
class CharbonnierLoss(keras.losses.Loss):
    """`ascendcv.losses.charbonnier` of [N, H, W, C] frames; `eps` is added to the squares.

    >>> import numpy as np
    >>> float(CharbonnierLoss(eps=1.0)(np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 2, 3))))
    1.0
    """

    def __init__(self, eps: float = 1e-12, **kwargs):
        super().__init__(**kwargs)
        self.eps = eps

    def call(self, y_true, y_pred):
        return ops.mean(charbonnier(y_pred, y_true, eps=self.eps, reduction="none"), axis=-1)


@serializable("ascendcv")
class MarginalL1Loss(keras.losses.Loss):
    """`ascendcv.losses.marginal_l1` of [N, H, W, C] frames: differences below `margin` have no gradient.

    >>> import numpy as np
    >>> float(MarginalL1Loss(margin=0.5)(np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 2, 3))))
    0.5
    """

    def __init__(self, margin: float = 1e-6, **kwargs):
        super().__init__(**kwargs)
        self.margin = margin

    def call(self, y_true, y_pred):
        return ops.mean(marginal_l1(y_pred, y_true, margin=self.margin, reduction="none"), axis=-1)


@serializable("ascendcv")
class HEMLoss(keras.losses.Loss):
    """`ascendcv.losses.hem` of [N, H, W, C] frames: absolute differences, at the hardest pixels and at random ones.

    Args:
        hard_share: share of the pixels of a sample that count because they are the hardest.
        random_share: share of those that count in any case.
        seed: of their choice.

    >>> import numpy as np
    >>> truth, frames = np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4, 3))
    >>> frames[0, :2] = 1.0
    >>> float(HEMLoss(hard_share=0.5)(truth, frames))
    0.5
    """

    def __init__(self, hard_share: float = 0.5, random_share: float = 0.1, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.hard_share = hard_share
        self.random_share = random_share
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, y_true, y_pred):
        noise = keras.random.uniform((*ops.shape(y_pred)[:3], 1), seed=self.generator)
        chosen = random_pixels(noise, self.random_share)
        return ops.mean(hem(y_pred, y_true, chosen, hard_share=self.hard_share, reduction="none"), axis=-1)


@serializable("ascendcv")
class MSSSIMLoss(keras.losses.Loss):
    """1 - `ascendcv.losses.ms_ssim` of [N, H, W, C] frames in [0, 1], with sides of at least 161 pixels.

    >>> import numpy as np
    >>> frames = np.random.default_rng(0).uniform(size=(1, 161, 161, 3))
    >>> abs(float(MSSSIMLoss()(frames, frames))) < 1e-5
    True
    """

    def call(self, y_true, y_pred):
        return 1 - ops.mean(ms_ssim(y_pred, y_true), axis=-1)


@serializable("ascendcv")
class EndPointErrorLoss(keras.losses.Loss):
    """`ascendcv.losses.end_point_error` of flows [N, H, W, 2]: the lengths of the differences.

    >>> import numpy as np
    >>> float(EndPointErrorLoss()(np.zeros((1, 2, 2, 2)), np.full((1, 2, 2, 2), [3.0, 4.0])))
    5.0
    """

    def call(self, y_true, y_pred):
        return end_point_error(y_pred, y_true)
