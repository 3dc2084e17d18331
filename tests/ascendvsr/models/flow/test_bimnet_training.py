"""What BIMNet's loss looks at in crops whose sides are no multiples of 32."""

import numpy as np
import pytest

from ascendcv.ops.warp import warp
from ascendvsr.models.flow import bimnet_training as bimnet


class Motion:
    """A flow network that knows one motion and the sizes that it was asked for."""

    def __init__(self):
        self.sizes = []

    def __call__(self, frames):
        reference, _ = frames
        self.sizes.append(tuple(reference.shape[1:3]))
        return np.broadcast_to(np.array([3, -2], np.float32), (*reference.shape[:3], 2))


@pytest.mark.parametrize(
    ("size", "seen"), [((76, 104), (64, 96)), ((64, 128), (64, 128)), ((40, 95), (40, 64)), ((33, 20), (33, 20))]
)
def test_there_is_no_motion_beyond_the_multiples_of_32(size, seen, photograph):
    """The network pads what is smaller than 64 pixels itself."""
    frames = (photograph[None, : size[0], : size[1]] / 255).astype(np.float32)
    model = Motion()
    warped, inside = bimnet.warped_sharp(model, (frames, frames), (frames, frames))
    assert model.sizes == [seen]
    flow = np.zeros((1, *size, 2), np.float32)
    flow[:, : seen[0], : seen[1]] = 3, -2
    for frame, mask in zip(warped, inside, strict=True):
        np.testing.assert_array_equal(frame, warp(frames, flow))
        np.testing.assert_array_equal(mask, warp(np.ones_like(frames[..., :1]), flow))
