"""Short clips of a video [N, T, H, W, C], which RVRT passes over one after the other."""

from keras import ops

from ascendcv.ops.resize import resize
from ascendcv.ops.shuffle import pixel_shuffle
from ascendcv.ops.warp import warp

CLIP = 2  # frames of a clip


def clips_of(x) -> list:
    """A video [N, T, ...] with an even number of frames as clips [N, 2, ...]."""
    return ops.split(x, x.shape[1] // CLIP, axis=1)


def reversed_clips(clips: list) -> list:
    """The clips of a video as they follow each other backward."""
    return [ops.flip(clip, axis=1) for clip in reversed(clips)]


def two_clip_flows(flow_01, flow_12, flow_23) -> list:
    """From the flows between neighbors of four frames, those from a clip (2, 3) to the clip before (0, 1).

    Two tensors [N, 2, h, w, 2]: 2 to 0 and 3 to 1, and 2 to 1 and 3 to 0. Flows over several frames are put
    together: from 2 to 1, and on from where that leads.
    """
    flow_02 = flow_12 + warp(flow_01, flow_12)
    flow_13 = flow_23 + warp(flow_12, flow_23)
    flow_03 = flow_23 + warp(flow_02, flow_23)
    return [ops.stack([flow_02, flow_13], axis=1), ops.stack([flow_12, flow_03], axis=1)]


def warp_clip(clip, flows):
    """[N, T, h, w, C], each frame warped by its flow [N, T, h, w, 2]; what lies outside is 0."""
    return ops.reshape(warp(_frames(clip), _frames(flows)), ops.shape(clip))


def shuffle(clip):
    """[N, T, H, W, 4 * C] -> [N, T, 2H, 2W, C]: pixel shuffle of each frame."""
    return _by_frame(lambda frames: pixel_shuffle(frames, 2), clip)


def enlarged(clip, factor: int):
    """Bilinear enlargement of each frame."""
    _, _, height, width, _ = ops.shape(clip)
    return _by_frame(lambda frames: resize(frames, (height * factor, width * factor)), clip)


def _frames(clip):
    """[N, T, ...] -> [N * T, ...]."""
    return ops.reshape(clip, (-1, *ops.shape(clip)[2:]))


def _by_frame(function, clip):
    """`function` of frames [N * T, H, W, C], applied to a clip."""
    y = function(_frames(clip))
    return ops.reshape(y, (*ops.shape(clip)[:2], *ops.shape(y)[1:]))
