"""How steady a restored clip is over time, measured with the optical flow of a network.

tof            mean absolute difference, in pixels, between the flow of the restored clip and that of the ground
               truth, from each frame to the one before. Source: Chu et al., "Learning temporal coherence via
               self-supervision for GAN-based video generation" (tOF), with the flow of any network.
warping_error  mean squared difference, of values in [0, 1], between a restored frame and the one before, moved by
               the flow of the ground truth, where that is not occluded and stays in the picture. Source: Lai et
               al., "Learning blind video temporal consistency", 2018.
"""

from collections.abc import Callable

import numpy as np

from ascendcv.utils.errors import InputError
from ascendvsr.models.detect import flow_weights
from ascendvsr.weights.reader import load_checkpoint

MEASURES = ("tof", "warping_error")

Image = np.ndarray  # [H, W, 3] RGB in 0..255
# (restored, truth, restored before, truth before) -> the measures
Compare = Callable[[Image, Image, Image, Image], dict[str, float]]
Flow = Callable  # (reference, supporting) [1, H, W, 3] tensors in [0, 1] -> [1, H, W, 2] in pixels, x and y


class Steadiness:
    """Takes the frames of a clip in order and measures each with the one before."""

    def __init__(self, compare: Compare):
        self._compare = compare
        self._before: tuple[int, Image, Image] | None = None

    def add(self, index: int, restored: Image, truth: Image) -> dict[str, float]:
        """The measures of frame `index`; {} where the frame before it was not given."""
        before, self._before = self._before, (index, restored, truth)
        if before is None or before[0] != index - 1:
            return {}
        return self._compare(restored, truth, *before[1:])


def by_network(checkpoint: str) -> tuple[Compare, str]:
    """What compares with the flow network in a checkpoint, and that network's title.

    Raises `InputError` for a checkpoint without one.
    """
    card, weights = flow_weights(load_checkpoint(checkpoint), checkpoint)

    from ascendvsr.config.loading import load_config
    from ascendvsr.models.builder import build_model
    from ascendvsr.models.flow.training import in_pixels
    from ascendvsr.weights.mapping import load_state_dict

    model = build_model(load_config(settings={"model.name": card.name}))
    load_state_dict(model, weights, source=checkpoint)
    return by_flow(lambda reference, supporting: in_pixels(model, (reference, supporting))), card.title


def by_flow(flow: Flow) -> Compare:
    """What compares with a function that estimates the flow."""
    import tensorflow as tf

    from ascendcv.ops.warp import warp

    @tf.function(reduce_retracing=True, autograph=False)
    def measures(restored, truth, restored_before, truth_before):
        there, back = flow(truth, truth_before), flow(truth_before, truth)
        difference = tf.reduce_mean(tf.abs(flow(restored, restored_before) - there))
        # What the flow back does not undo is hidden in one of the frames. Source: Sundaram, Brox, Keutzer, 2010.
        returned = warp(back, there, padding="border")
        mismatch = tf.reduce_sum((there + returned) ** 2, axis=-1, keepdims=True)
        length = tf.reduce_sum(there**2 + returned**2, axis=-1, keepdims=True)
        inside = warp(tf.ones_like(mismatch), there, padding="zeros") > 0.999
        seen = tf.cast((mismatch <= 0.01 * length + 0.5) & inside, tf.float32)
        error = (restored - warp(restored_before, there, padding="border")) ** 2
        count = tf.reduce_sum(seen) * 3
        return difference, tf.reduce_sum(seen * error) / tf.maximum(count, 1)

    def compare(*images: Image) -> dict[str, float]:
        tensors = [tf.constant(image[np.newaxis] / np.float32(255), tf.float32) for image in images]
        values = dict(zip(MEASURES, (float(value) for value in measures(*tensors)), strict=True))
        if not all(map(np.isfinite, values.values())):
            raise InputError("the flow network gives values that are not finite: take other weights for --flow")
        return values

    return compare
