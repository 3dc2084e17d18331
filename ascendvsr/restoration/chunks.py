"""Restores a long video in chunks of frames that overlap, for networks that restore whole clips at once.

No more frames are held than two chunks have, whatever the length. Frames of an overlap are blended as
`ascendvsr.restoration.tiles` blends pixels: 'official' takes the mean, as RVRT's test program does along time;
'seamless' gives no weight to the outer quarter of an overlap, so that a network whose frames depend on no more
frames to each side than that gives the same pixels as for the whole clip.
"""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from ascendcv.dataloader.pixels import stacked
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.tiles import Forward, tile_weights


def restore_in_chunks(
    forward: Forward, frames: Iterable[np.ndarray], *, chunk: int, overlap: int, blending: str = "seamless"
) -> Iterator[np.ndarray]:
    """Frames [H, W, C] -> as many restored ones, in order; `forward` restores [1, T, H, W, C] -> [1, T, H', W', C].

    Args:
        chunk: frames that `forward` gets at once; a shorter video is one chunk. 0: all of them.
        overlap: of neighboring chunks, in frames; less than the chunk. The last chunk, which ends where the video
            does, overlaps more, so that all chunks have one length.
        blending: 'seamless' or 'official'.
    Raises:
        InputError: an overlap as large as the chunk.
    """
    if chunk and not 0 <= overlap < chunk:
        raise InputError(f"chunks of {chunk} frames cannot overlap by {overlap}: the overlap should be smaller")
    blended: list[np.ndarray] = []  # sums for the frames from `begin` on, and their weights
    weights: list[float] = []
    begin = 0
    for start, clip, length in chunks(frames, chunk, overlap):
        for _ in range(start - begin):
            yield blended.pop(0) / np.float32(weights.pop(0))
        begin = start
        restored = forward(stacked(clip)[np.newaxis])[0]
        for position, weight in enumerate(chunk_weights(start, len(clip), length, overlap, blending)):
            if position == len(blended):
                blended.append(np.zeros_like(restored[position]))
                weights.append(0.0)
            blended[position] += weight * restored[position]
            weights[position] += weight
    for frame, weight in zip(blended, weights, strict=True):
        yield frame / np.float32(weight)


def chunks(
    frames: Iterable[np.ndarray], chunk: int, overlap: int
) -> Iterator[tuple[int, list[np.ndarray], int | None]]:
    """(number of the first frame, the frames, length of the video if it ends here) of each chunk, in order.

    They begin where `ascendvsr.restoration.tiles.tile_starts` says. The length need not be known: a chunk is not
    the last one when there is a frame after it.
    """
    frames = iter(frames)
    if not chunk:
        held = list(frames)
        if held:
            yield 0, held, len(held)
        return
    start, held = 0, list(itertools.islice(frames, chunk + 1))  # from `start` on
    while len(held) > chunk:
        yield start, held[:chunk], None
        step = chunk - overlap
        held += itertools.islice(frames, step)
        step = min(step, len(held) - chunk)
        start += step
        del held[:step]
    if held:
        yield start, held, start + len(held)


def chunk_weights(start: int, chunk: int, length: int | None, overlap: int, blending: str) -> np.ndarray:
    """The weights [chunk] of a chunk's frames; `length` is None where it is not the video's last chunk."""
    if blending == "official":
        return np.ones(chunk, np.float32)
    return tile_weights(start, chunk, start + chunk + 1 if length is None else length, overlap, scale=1)
