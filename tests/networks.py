"""Networks of known outcome, for tests of what surrounds a network."""

import keras


class Mixture(keras.Model):
    """The frames of its window in fixed proportions (the middle one alone), pixels repeated `scale` times."""

    time = "window"

    def __init__(self, num_frame: int = 5, center_frame_idx: int = 2, scale: int = 2, proportions=None):
        super().__init__()
        self.num_frame, self.center_frame_idx, self.scale = num_frame, center_frame_idx, scale
        self.proportions = proportions or [float(index == center_frame_idx) for index in range(num_frame)]
        self.traces = 0

    def call(self, clip, training=False):
        self.traces += 1
        frame = sum(part * clip[:, index] for index, part in enumerate(self.proportions))
        return keras.ops.repeat(keras.ops.repeat(frame, self.scale, axis=1), self.scale, axis=2)


class Neighbours(keras.Model):
    """Restores whole clips: each frame is the mean of the frames up to `reach` before and after it.

    With four channels the fourth, the noise level, is added to the others.
    """

    time = "clip"

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

    time = "recurrent"
    scale, num_frame, center_frame_idx, in_channels = 1, 3, 1, 3

    def step(self, frames, state=None):
        before = frames[:, 0] if state is None else state["restored"]
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
        known = {}

        def restore_next(indices, window):
            for index in known.keys() - set(indices):
                del known[index]
            for position, index in enumerate(indices):
                if index not in known:
                    self.seen.append(index)
                    known[index] = double(window[:, position])
            return mix(keras.ops.stack([known[index] for index in indices], axis=1)) / 2

        return restore_next
