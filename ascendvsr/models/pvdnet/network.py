"""PVDNet: Recurrent Video Deblurring with Blur-Invariant Motion Estimation and Pixel Volumes (Son et al., ACM TOG
2021).

Frame by frame: BIMNet finds the motion to the previous frame, candidates from the previous deblurred frame are
gathered along it into a pixel volume, and a network deblurs the frame from the volume and its two neighbors.
Attributes carry the names of the published weights.
"""

from typing import Any

import keras
from keras import ops

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.conv_transpose import Conv2DTranspose
from ascendcv.layers.saving import serializable
from ascendcv.ops.pixel_volume import pixel_volume
from ascendvsr.layers.padding import to_multiple
from ascendvsr.models.flow.liteflownet import LEVELS, MIN_SIZE, SIZE_MULTIPLE, LiteFlowNet
from ascendvsr.models.network import Network

State = dict  # name -> tensor: what one step hands to the next


@serializable("ascendvsr")
class PVDNet(Network):
    """Deblurs a video frame by frame.

    Args:
        num_blocks, channels: residual blocks and their channels: 12 and 128, or 24 and 192 (large).
        pv_ksize: side of the neighborhood that gives a pixel its candidates.
        impl: implementation of the cost volumes (see `ascendcv.ops.registry`).
        size: what happens to frames whose sides are not multiples of 4: 'pad' or 'crop'. Sides below 64 are
            padded in any case.

    `step(frames, state)`: [N, 3, H, W, 3], the previous, current and next frame, RGB in [0, 1] -> the current
    frame deblurred, [N, H, W, 3], float32, not clipped, and the state for the next step. `state` is None at the
    first frame of a video, whose previous frame is itself.

    `call(clip)`: [N, T, H, W, 3] -> [N, T, H, W, 3]: the steps of a whole video of T frames; at its ends the first
    and the last frame are their own neighbors.

    Attributes:
        time: 'recurrent'.
        scale: 1.
        num_frame, center_frame_idx: of a step's frames.
        size_multiple: 4.

    Source: codeslake/PVDNet `DeblurNet`; with BIMNet 10,514,548 parameters (large: 23,361,780).

    >>> import numpy as np
    >>> from ascendvsr.models import PVDNet
    >>> network = PVDNet(num_blocks=2, channels=16)
    >>> tuple(network(np.zeros((1, 2, 12, 16, 3), "float32")).shape)
    (1, 2, 12, 16, 3)
    """

    time = "recurrent"
    num_frame = 3
    center_frame_idx = 1
    size_multiple = 4

    def __init__(
        self,
        num_blocks: int = 12,
        channels: int = 128,
        pv_ksize: int = 5,
        *,
        impl: str = "auto",
        size: str = "pad",
        **kwargs,
    ):
        if pv_ksize % 2 == 0:
            raise ValueError(f"pv_ksize={pv_ksize} should be odd")
        # Frames enter in float32, whatever the layers compute in: the result is added to one.
        super().__init__(autocast=False, **kwargs)
        self.pv_ksize = pv_ksize
        self.size = size
        self.BIMNet = LiteFlowNet(impl=impl)
        self.PVDNet = DeblurringNetwork(pv_ksize**2, num_blocks, channels)
        self.build((None, None, None, None, self.in_channels))

    def build(self, clip_shape):
        """Nothing: all layers are built."""

    def call(self, clip):
        last = clip.shape[1] - 1
        state, restored = None, []
        for t in range(last + 1):
            frames = ops.stack([clip[:, max(t - 1, 0)], clip[:, t], clip[:, min(t + 1, last)]], axis=1)
            frame, state = self.step(frames, state)
            restored.append(frame)
        return ops.stack(restored, axis=1)

    def step(self, frames, state: State | None = None):
        _, _, height, width, _ = ops.shape(frames)
        frames = self._sized(frames)
        if state is None:
            state = self._first_state(frames[:, 0])
        previous, current, following = (2 * frames[:, t] - 1 for t in range(3))

        pyramid = self._pyramid(frames[:, 1])
        volume = pixel_volume(
            state["restored"], self._flow(pyramid, _unpacked(state), frames), current, self.pv_ksize
        )
        restored = self.PVDNet(volume, ops.concatenate([current, previous, following], axis=-1))
        restored = current + ops.cast(restored, current.dtype)

        state = {"restored": restored, **_packed(pyramid)}
        return ((restored + 1) / 2)[:, :height, :width], state

    def first_state(self, frames) -> State:
        """The state before the step whose previous frame is the first of `frames`, [N, T, H, W, 3] in [0, 1].

        Instead of a deblurred frame there is the blurred one. `step` with state None begins with this.
        """
        return self._first_state(self._sized(frames[:, :1])[:, 0])

    def _first_state(self, frame) -> State:
        return {"restored": 2 * frame - 1, **_packed(self._pyramid(frame))}

    def _sized(self, frames):
        return to_multiple(frames, self.size_multiple, self.size, at_least=MIN_SIZE)

    def _pyramid(self, frame) -> list[tuple]:
        """BIMNet's features of the multiples of 32 that fit into a frame, from the top left."""
        _, height, width, _ = ops.shape(frame)
        return self.BIMNet.features(frame[:, : height - height % SIZE_MULTIPLE, : width - width % SIZE_MULTIPLE])

    def _flow(self, reference, supporting, frames):
        """[N, H, W, 2]; beyond the multiples of 32 the motion is taken to be 0, as in the original."""
        _, _, height, width, _ = ops.shape(frames)
        below, right = height % SIZE_MULTIPLE, width % SIZE_MULTIPLE
        flow = self.BIMNet.flow_between(reference, supporting, (height - below, width - right))
        if isinstance(below, int) and isinstance(right, int) and not (below or right):
            return flow
        return ops.pad(flow, ((0, 0), (0, below), (0, right), (0, 0)))


def _packed(pyramid: list[tuple]) -> State:
    return {
        f"{kind}{level}": tensor
        for level, pair in zip(LEVELS, pyramid, strict=True)
        for kind, tensor in zip(("image", "features"), pair, strict=True)
    }


def _unpacked(state: State) -> list[tuple]:
    return [(state[f"image{level}"], state[f"features{level}"]) for level in LEVELS]


@serializable("ascendvsr")
class DeblurringNetwork(keras.Layer):
    """Pixel volume [N, H, W, num_candidates] and frames [N, H, W, 9] in [-1, 1] -> the change of the current frame.

    H and W are multiples of 4. The order of the frames is current, previous, next.
    """

    def __init__(self, num_candidates: int, num_blocks: int, channels: int, **kwargs):
        super().__init__(**kwargs)
        # In the published sequences a ReLU, which has no weights, stands between: hence 0, 2.
        self.PV_dec = {"0": _conv(num_candidates, 64, 3, **RELU), "2": _conv(64, 64, 3, **RELU)}
        self.img_dec = {"0": _conv(9, 32, 3, **RELU), "2": _conv(32, 32, 3, **RELU)}
        self.d0 = _conv(64 + 32, 64)
        self.d1 = {"0": _conv(64, 64, stride=2, **RELU), "2": _conv(64, 64)}
        self.temp = {"0": _conv(64, 128, stride=2, **RELU), "2": _conv(128, channels, **RELU)}
        self.RBs = [
            {
                "0": _conv(channels, channels, 3, **RELU),
                "2": _conv(channels, channels, 3, **RELU, residual_place="after"),
            }
            for _ in range(num_blocks)
        ]
        self.RB_end = {"0": _conv(channels, channels, 3, **RELU, residual_place="after")}
        self.dconv1 = _upsampling(channels, 64)
        self.dconv1_end = {"0": keras.layers.ReLU(), "1": _conv(64, 64, **RELU)}
        self.dconv2 = _upsampling(64, 64)
        self.dconv2_end = {"0": keras.layers.ReLU(), "1": _conv(64, 64, **RELU)}
        self.end = _conv(64, 3)

    def build(self, volume_shape, frames_shape):
        """Nothing: all layers are built."""

    def compute_output_shape(self, volume_shape, frames_shape):
        return (*frames_shape[:-1], 3)

    def call(self, volume, frames):
        x = ops.concatenate([_through(self.PV_dec, volume), _through(self.img_dec, frames)], axis=-1)
        d0 = self.d0(x)
        d1 = _through(self.d1, d0)
        encoded = _through(self.temp, d1)
        x = encoded
        for block in self.RBs:
            x = block["2"](block["0"](x), residual=x)
        x = self.RB_end["0"](x, residual=encoded)
        x = _through(self.dconv1_end, self.dconv1(x) + d1)
        x = _through(self.dconv2_end, self.dconv2(x) + d0)
        return self.end(x)


RELU: dict[str, Any] = {"activation": "relu"}


def _conv(channels: int, filters: int, kernel_size: int = 5, stride: int = 1, **after) -> Conv2D:
    """A convolution from `channels` to `filters`, built."""
    initial: dict[str, Any] = {"kernel_initializer": "glorot_uniform", "bias_initializer": "zeros"}
    layer = Conv2D(filters, kernel_size, stride, **initial, **after)
    layer.build((None, None, None, channels))
    return layer


def _upsampling(channels: int, filters: int) -> Conv2DTranspose:
    """Twice the size, from `channels` to `filters`, built."""
    initial: dict[str, Any] = {"kernel_initializer": "glorot_uniform", "bias_initializer": "zeros"}
    layer = Conv2DTranspose(filters, 4, 2, 1, **initial)
    layer.build((None, None, None, channels))
    return layer


def _through(sequence: dict, x):
    for layer in sequence.values():
        x = layer(x)
    return x
