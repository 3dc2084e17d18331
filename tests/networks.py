"""Networks of known outcome, for tests of what surrounds a network."""

import keras
import numpy as np

from ascendvsr.models.card import Card
from ascendvsr.models.flow.pwcnet_devil import PWCNetDevil
from ascendvsr.models.keras_runner import KerasRunner


class Mixture(keras.Model):
    """The frames of its window in fixed proportions (the middle one alone), pixels repeated `scale` times."""

    in_channels = 3

    def __init__(self, num_frame: int = 5, center_frame_idx: int = 2, scale: int = 2, proportions=None):
        super().__init__()
        self.num_frame, self.center_frame_idx, self.scale = num_frame, center_frame_idx, scale
        self.proportions = proportions or [float(index == center_frame_idx) for index in range(num_frame)]
        self.traces = 0

    def call(self, clip, training=False):
        self.traces += 1
        frame = sum(part * clip[:, index] for index, part in enumerate(self.proportions))
        return keras.ops.repeat(keras.ops.repeat(frame, self.scale, axis=1), self.scale, axis=2)


class Neighbors(keras.Model):
    """Restores whole clips: each frame is the mean of the frames up to `reach` before and after it.

    With four channels the fourth, the noise level, is added to the others.
    """

    def __init__(self, reach: int = 1, scale: int = 1, in_channels: int = 3):
        super().__init__()
        self.reach, self.scale, self.in_channels = reach, scale, in_channels
        self.lengths = []

    def call(self, clip, training=False):
        frames, last = clip.shape[1], clip.shape[1] - 1
        self.lengths.append(frames)
        steps = range(-self.reach, self.reach + 1)
        mean = [sum(clip[:, min(max(t + step, 0), last)] for step in steps) / len(steps) for t in range(frames)]
        restored = keras.ops.stack(mean, axis=1)
        if self.in_channels == 4:
            restored = restored[..., :3] + restored[..., 3:]
        return keras.ops.repeat(keras.ops.repeat(restored, self.scale, axis=2), self.scale, axis=3)


class Recurrence(keras.Model):
    """Restores step by step: a mixture of the window's three frames and of the frame restored before."""

    scale, num_frame, center_frame_idx, in_channels = 1, 3, 1, 3

    def first_state(self, frames):
        return {"restored": frames[:, 0]}

    def step(self, frames, state=None):
        before = (self.first_state(frames) if state is None else state)["restored"]
        restored = 0.1 * frames[:, 0] + 0.4 * frames[:, 1] + 0.2 * frames[:, 2] + 0.3 * before
        return restored, {"restored": restored}


class Stream(Mixture):
    """A mixture that doubles each frame once, when it first sees it, and halves the sum."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.seen = []

    def call(self, clip, training=False):
        raise AssertionError("what windows share should be computed once")

    def stream(self, compiled):
        double = compiled(lambda frame: 2 * frame)
        mix = compiled(super().call)

        def restore_next(numbers, window, kept):
            for number in kept.keys() - set(numbers):
                del kept[number]
            for position, number in enumerate(numbers):
                if number not in kept:
                    self.seen.append(number)
                    kept[number] = double(window[:, position])
            return mix(keras.ops.stack([kept[number] for number in numbers], axis=1)) / 2

        return restore_next


_KINDS = {Mixture: "window", Neighbors: "clip", Recurrence: "recurrent"}


def card_for(model: keras.Model) -> Card:
    """What a network of this file, or of a class made from one, says of itself."""
    name = type(model).__name__
    return Card(
        name=name,
        title=name,
        kind=next(kind for network, kind in _KINDS.items() if isinstance(model, network)),
        network="",
        arguments=lambda cfg: {},
        detect=lambda shapes: [],
        channels=lambda cfg: model.in_channels,
        shares_frames=isinstance(model, Stream),
    )


def runner(model: keras.Model) -> KerasRunner:
    """Such a network as what restoration and evaluation compute with."""
    return KerasRunner(model, card_for(model))


def tame(network: keras.Model) -> None:
    """Makes what a fresh DBN or FlowDBN adds to frames small, which is beyond all measure, 1e20.

    The flows of a fresh PWC-Net inside, longer than the image is wide, become some pixels long.
    """
    flow_network = getattr(network, "flow_network", None)
    if isinstance(flow_network, PWCNetDevil):
        for part in (*flow_network.flow_estimators, flow_network.context_network):
            kernel = [layer.kernel for layer in part._flatten_layers() if hasattr(layer, "kernel")][-1]
            kernel.assign(0.02 * kernel)
    first, last = network.dbn_net.f0[0], network.dbn_net.f15[0]
    frames = np.random.default_rng(0).random((1, 16, 16, first.kernel.shape[2]), dtype=np.float32)
    last.kernel.assign(0.1 * last.kernel / np.abs(network.dbn_net(frames)).max())
