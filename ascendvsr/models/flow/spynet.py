"""SpyNet: Optical Flow Estimation using a Spatial Pyramid Network (Ranjan and Black, CVPR 2017)."""

import keras
import numpy as np
from keras import ops

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.saving import serializable
from ascendcv.ops.pool import avg_pool2d
from ascendcv.ops.resize import next_multiple, resize
from ascendcv.ops.warp import warp
from ascendvsr.layers.flow_blocks import head_dtype
from ascendvsr.models.network import FlowNetwork

LEVELS = 6
# Of ImageNet's frames, RGB.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


@serializable("ascendvsr")
class SpyNet(FlowNetwork):
    """Optical flow between two frames, refined from level 0, a 32nd of the size, to level 5, the full size.

    Args:
        return_levels: the levels, from 0 to 5, whose flow `levels` returns.

    `call((reference, supporting))`: frames [N, H, W, 3] RGB in [0, 1] -> flow [N, H, W, 2], float32, in pixels,
    channel 0 to the right: `warp(supporting, flow)` looks like `reference`. Without trained weights the flow is 0.
    Any H and W from 1: frames are resized to the next multiples of 32. (The original cannot take sides up to 32,
    where the flow that it begins with, of half the coarsest level's size, is empty. It is zero in any case, and
    begins here at the level's own size.)

    1,440,300 parameters. Source: BasicSR and RVRT `SpyNet`.

    >>> import numpy as np
    >>> from ascendvsr.models import SpyNet
    >>> reference, supporting = np.zeros((2, 1, 12, 16, 3), "float32")
    >>> tuple(SpyNet()((reference, supporting)).shape)
    (1, 12, 16, 2)
    """

    def __init__(self, return_levels: tuple[int, ...] = (5,), **kwargs):
        if not return_levels or not set(return_levels) <= set(range(LEVELS)):
            raise ValueError(f"return_levels={return_levels} should be some of 0 to {LEVELS - 1}")
        super().__init__(autocast=False, **kwargs)
        self.return_levels = tuple(return_levels)
        self.basic_module = [BasicModule() for _ in range(LEVELS)]
        self.build([(None, None, None, 3)] * 2)

    @property
    def official_constants(self) -> dict[str, np.ndarray]:
        """What published weights hold beside weights: the statistics that frames are normalized with."""
        return {"mean": _MEAN.reshape(1, 3, 1, 1), "std": _STD.reshape(1, 3, 1, 1)}

    def build(self, frames_shape):
        for module in self.basic_module:
            module.build((None, None, None, 8))

    def call(self, frames):
        return self._flows(frames, (LEVELS - 1,))[-1]

    def levels(self, frames) -> list:
        """The flows of `return_levels`, coarse to fine.

        Level l has [N, H // s, W // s, 2] with s = 2^(5 - l) (1 pixel at least), in pixels of that size.
        """
        return self._flows(frames, self.return_levels)

    def _flows(self, frames, wanted: tuple[int, ...]) -> list:
        _, height, width, _ = ops.shape(frames[0])
        full = next_multiple(height, 32), next_multiple(width, 32)
        # Not by operators: a PyTorch tensor with a gradient and an array of NumPy cannot be subtracted.
        normalized = [ops.divide(ops.subtract(resize(frame, full), _MEAN), _STD) for frame in frames]
        reference, supporting = (_pyramid(frame) for frame in normalized)

        flow, flows = ops.zeros_like(reference[0][..., :2]), []
        for level in range(max(wanted) + 1):
            if level:
                flow = _twice_as_fine(flow, ops.shape(reference[level]))
            warped = warp(supporting[level], flow, padding="border")
            residual = self.basic_module[level](ops.concatenate([reference[level], warped, flow], axis=-1))
            flow = flow + residual
            if level in wanted:
                flows.append(_at_size(flow, (height, width), full, 2 ** (LEVELS - 1 - level)))
        return flows


@serializable("ascendvsr")
class BasicModule(keras.Layer):
    """The network of one level: [N, h, w, 8] (reference, warped frame, flow so far) -> what to add to the flow."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.basic_module = {
            str(2 * k): Conv2D(filters, 7, activation="relu") for k, filters in enumerate((32, 64, 32, 16))
        }
        # Flow needs float32: bfloat16 has no number between 123 and 123.5.
        self.basic_module["8"] = Conv2D(
            2, 7, kernel_initializer="zeros", bias_initializer="zeros", dtype=head_dtype(self)
        )

    def build(self, x_shape):
        for conv in self.basic_module.values():
            conv.build(x_shape)
            x_shape = (*x_shape[:-1], conv.filters)

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], 2)

    def compute_output_spec(self, x):
        return keras.KerasTensor(self.compute_output_shape(x.shape), head_dtype(self))

    def call(self, x):
        for conv in self.basic_module.values():
            x = conv(x)
        return x


def _pyramid(frame) -> list:
    """Coarse to fine, each level half the size of the next."""
    levels = [frame]
    for _ in range(LEVELS - 1):
        levels.append(avg_pool2d(levels[-1], 2, 2, 0))
    return levels[::-1]


def _twice_as_fine(flow, shape):
    """Flow of a level, in pixels of the next one, whose `shape` is [N, 2h, 2w, _]."""
    return resize(flow, shape[1:3], align_corners=True) * 2.0


def _at_size(flow, size, full, divisor: int):
    """A level's flow for frames of `size` that were resized to `full`; the level has a `divisor`-th of that."""
    (height, width), (full_height, full_width) = (_divided(side, divisor) for side in size), full
    growth = [
        ops.cast(new, flow.dtype) / ops.cast(old // divisor, flow.dtype)
        for new, old in ((width, full_width), (height, full_height))
    ]
    return resize(flow, (height, width)) * ops.stack(growth)


def _divided(side, divisor: int):
    return max(side // divisor, 1) if isinstance(side, int) else ops.maximum(side // divisor, 1)
