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
