"""FlowDBN of "Deep Video Deblurring: The Devil is in the Details" (Gast and Roth, ICCV Workshops 2019).

DBN with prewarping: it sees the frames of the window as they are and, besides, the neighbors warped onto the
middle frame by the optical flow of a network that was trained before and stays as it is.
"""

from collections.abc import Callable, Sequence

from keras import ops

from ascendcv.layers.saving import serializable
from ascendcv.ops.warp import warp
from ascendcv.utils.errors import InputError
from ascendvsr.layers.padding import to_multiple
from ascendvsr.layers.streams import restore_by_frame
from ascendvsr.models.deblur_devil.dbn import EncoderDecoder, middle_of, restore_center
from ascendvsr.models.flow.flownet1s import FlowNet1S
from ascendvsr.models.flow.pwcnet_devil import PWCNetDevil
from ascendvsr.models.network import Network

_FLOW_NETWORKS = {"pwcnet": PWCNetDevil, "flownet1s": FlowNet1S}


@serializable("ascendvsr")
class FlowDBN(Network):
    """Restores the middle frame of a window of blurred frames.

    Args:
        num_frame, num_feat, init_type, output_layer, color_space, size: as `DBN`'s. Flow is always that of RGB.
        prewarping: the flow network: 'pwcnet' (the paper's choice) or 'flownet1s'.
        div_flow: the unit of the flow network's output, see `PWCNetDevil`; 0.05 as released.
        impl: implementation of the cost volumes (see `ascendcv.ops.registry`).

    `call(clip)`: as `DBN`'s. The flow network is frozen: it has no trainable weights and passes no gradient on.

    Attributes:
        time, scale, size_multiple, in_channels: as `DBN`'s.

    Raises `InputError` for an even number of frames or an unknown flow network.

    Source: visinf/deblur-devil `models.deblurring.flowdbn.FlowDBN`.

    >>> import numpy as np
    >>> from ascendvsr.models import FlowDBN
    >>> network = FlowDBN(num_frame=3, num_feat=8)
    >>> tuple(network(np.zeros((1, 3, 12, 16, 3), "float32")).shape)
    (1, 12, 16, 3)
    """

    size_multiple = 8

    def __init__(
        self,
        num_frame: int = 5,
        num_feat: int = 64,
        init_type: str = "fan_max",
        output_layer: str = "linear",
        color_space: str = "rgb",
        prewarping: str = "pwcnet",
        div_flow: float = 0.05,
        *,
        impl: str = "auto",
        size: str = "pad",
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        if prewarping not in _FLOW_NETWORKS:
            raise InputError(f"prewarping is {prewarping!r}; it should be one of {', '.join(_FLOW_NETWORKS)}")
        self.official_names = {"dbn_net": "flowdbn.dbn_net", "flow_network": "flowdbn.warping_network.network"}
        self.num_frame = num_frame
        self.center_frame_idx = middle_of(num_frame)
        self.output_layer = output_layer
        self.color_space = color_space
        self.prewarping = prewarping
        self.size = size

        options = {"impl": impl} if prewarping == "pwcnet" else {}
        self.flow_network = _FLOW_NETWORKS[prewarping](div_flow=div_flow, **options)
        self.flow_network.trainable = False
        self.dbn_net = EncoderDecoder(3 * (2 * num_frame - 1), num_feat, init_type)
        self.build((None, num_frame, None, None, self.in_channels))

    def build(self, clip_shape):
        """What the flow network has not built itself, which sees the frames and the warped neighbors."""
        self.dbn_net.build((None, None, None, 3 * (2 * self.num_frame - 1)))

    def call(self, clip, training=False):
        batch, _, height, width, channels = ops.shape(clip)
        # Frame after frame, each with the whole batch: all neighbors of a window pass the flow network at once.
        frames = ops.reshape(ops.swapaxes(clip, 0, 1), (self.num_frame * batch, height, width, channels))
        features = [ops.split(level, self.num_frame) for level in self.features(frames)]
        restored = self.restore([list(levels) for levels in zip(*features, strict=True)], training)
        return restored[:, :height, :width] if self.size == "pad" else restored

    def features(self, frames) -> list:
        """What all windows with a frame need of it: itself, with sides that are multiples of 8, and the pyramid of
        PWC-Net ([N, H, W, 3] -> list of tensors, whose first axis is N)."""
        frames = to_multiple(frames[:, None], self.size_multiple, self.size)[:, 0]
        return [frames, *self.flow_network.features(frames)] if self.prewarping == "pwcnet" else [frames]

    def restore(self, features: Sequence[list], training: bool = False):
        """The middle frame restored, [N, H, W, 3] with sides that are multiples of 8, from what `features` gave for
        each frame of the window."""
        frames = [of_frame[0] for of_frame in features]
        return restore_center(self, self.dbn_net, [*frames, *self.warped_neighbors(features)], training)

    def warped_neighbors(self, features: Sequence[list]) -> list:
        """The other frames of the window, in order, as the middle one would see them: [N, H, W, 3] each."""
        frames = ops.concatenate([of_frame[0] for of_frame in self._others(features)], axis=0)
        warped = warp(frames, ops.stop_gradient(self.flow(features)), padding="border")
        return ops.split(warped, self.num_frame - 1)

    def flow(self, features: Sequence[list]):
        """From the middle frame to the others, one neighbor after the other: [(num_frame - 1) * N, H, W, 2]."""
        supporting = [ops.concatenate(level, axis=0) for level in zip(*self._others(features), strict=True)]
        count = self.num_frame - 1
        reference = [ops.concatenate([level] * count, axis=0) for level in features[self.center_frame_idx]]
        if self.prewarping == "pwcnet":
            _, height, width, _ = ops.shape(supporting[0])
            return self.flow_network.flow_between(reference[1:], supporting[1:], (height, width))
        return self.flow_network((reference[0], supporting[0]))

    def _others(self, features: Sequence[list]) -> list:
        """Without those of the middle frame."""
        return [*features[: self.center_frame_idx], *features[self.center_frame_idx + 1 :]]

    def stream(self, compiled: Callable) -> Callable:
        """A function that restores the consecutive windows of one video, each frame's features computed once.

        Args:
            compiled: wraps the functions of tensors that do the work, such as `tf.function`.

        Returns what `ascendvsr.layers.streams.restore_by_frame` does.
        """
        return restore_by_frame(self.features, self.restore, compiled, self.scale)
