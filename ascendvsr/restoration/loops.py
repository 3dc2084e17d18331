"""Frames in, restored frames out, by the way in which a network eats time: windows, whole clips or step by step."""

import functools
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ascendcv.dataloader.windows import window_indices
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.chunks import restore_in_chunks
from ascendvsr.restoration.sigma import check_sigma, with_noise_level
from ascendvsr.restoration.tiles import Forward, Tiling, mirrored_to_windows, restore_in_tiles


@dataclass(frozen=True)
class Settings:
    """How to restore.

    Attributes:
        window_ends: what stands in for frames before the first and after the last where a network sees a window:
            replicate, reflection, reflection_circle or circle (`ascendcv.dataloader.windows`).
        tile: (height, width) in input pixels; None: whole frames.
        tile_overlap: in input pixels; see `ascendvsr.restoration.tiles`.
        tile_frames: frames that a network which restores whole clips gets at once; 0: all.
        tile_frames_overlap: frames; see `ascendvsr.restoration.chunks`.
        blending: of tiles and chunks: seamless, or official, as RVRT's test program.
        batch_size: windows that a network gets at once.
    """

    window_ends: str = "replicate"
    tile: tuple[int, int] | None = None
    tile_overlap: int = 32
    tile_frames: int = 32
    tile_frames_overlap: int = 8
    blending: str = "seamless"
    batch_size: int = 1


def restored_frames(
    model, frames: Iterable[np.ndarray], *, sigma: float | np.ndarray | None = None, **settings: object
) -> Iterator[np.ndarray]:
    """Float32 RGB frames [H, W, 3] in [0, 1] -> as many restored ones [H', W', 3], not clipped, in order.

    Holds no more frames than the windows need, or two chunks of `tile_frames`.

    Args:
        model: a network of `ascendvsr.models`.
        sigma: deviation of the noise in 8-bit levels, or a map of it [H, W], for networks that must be told.
        settings: those of `Settings`.
    Raises:
        InputError: a flow network; `sigma` missing, or given where the network takes none; tiles or chunks that
            make no sense.
    """
    if not hasattr(model, "time"):
        raise InputError(f"{type(model).__name__} restores no frames: it is a flow network (`ascendvsr flow`)")
    check_sigma(getattr(model, "in_channels", 3), sigma)
    if sigma is not None:
        frames = with_noise_level(frames, sigma)
    return _LOOPS[model.time](model, frames, Settings(**settings))


def restore_windows(model, frames: Iterable[np.ndarray], settings: Settings) -> Iterator[np.ndarray]:
    """Each frame from the window around it; what windows share is computed once where the network can."""
    if hasattr(model, "stream") and settings.tile is None and settings.batch_size == 1:
        restore_next, first = _stream(model)
        for window in _windows(model, enumerate(frames, start=first), settings):
            indices, pixels = zip(*window, strict=True)
            yield np.asarray(restore_next(indices, np.stack(pixels)[np.newaxis]))[0]
        return
    forward = _tiled(compiled(model), model.scale, settings)
    windows = _windows(model, frames, settings)
    while batch := list(itertools.islice(windows, settings.batch_size)):
        yield from forward(np.stack([np.stack(window) for window in batch]))


def restore_clip(model, frames: Iterable[np.ndarray], settings: Settings) -> Iterator[np.ndarray]:
    """All frames of a chunk of the video at once."""
    return restore_in_chunks(
        clip_forward(compiled(model), model.scale, settings),
        frames,
        chunk=settings.tile_frames,
        overlap=settings.tile_frames_overlap,
        blending=settings.blending,
    )


def clip_forward(forward: Forward, scale: int, settings: Settings) -> Forward:
    """`forward` of [1, T, H, W, C] in tiles, and with 'official' blending padded along axes without tiles."""
    tiled = _tiled(forward, scale, settings)
    if settings.blending != "official":
        return tiled
    windows = 1 if settings.tile_frames else 2, *((1, 1) if settings.tile else (8, 8))
    return mirrored_to_windows(tiled, windows, scale)


def restore_steps(
    model, frames: Iterable[np.ndarray], settings: Settings, state: list | None = None
) -> Iterator[tuple[np.ndarray, list]]:
    """Each frame, restored from the window around it and the state before it, and the state after it.

    A video that was stopped goes on, with the same result, from the state that came with its last restored frame:
    `frames` then begin with that frame, which is not restored again. Tiles have a state each.
    """
    step = _function(model, "step", lambda model, frames, state: model.step(frames, state))
    windows = _windows(model, frames, settings)
    if state is not None:
        next(windows, None)
    tiling = None
    for window in windows:
        clip = np.stack(window)[np.newaxis]
        if settings.tile is not None and tiling is None:
            tiling = Tiling(clip.shape[2:4], settings.tile, settings.tile_overlap, model.scale, settings.blending)
        parts = [clip] if tiling is None else list(tiling.cut(clip))
        results = [step(part, before) for part, before in zip(parts, state or [None] * len(parts), strict=True)]
        state = [after for _, after in results]
        restored = [frame.numpy() for frame, _ in results]
        yield (restored[0] if tiling is None else tiling.blend(restored))[0], state


def _restore_recurrently(model, frames: Iterable[np.ndarray], settings: Settings) -> Iterator[np.ndarray]:
    return (frame for frame, _ in restore_steps(model, frames, settings))


# By how a network eats time.
_LOOPS = {"window": restore_windows, "clip": restore_clip, "recurrent": _restore_recurrently}


def _tiled(forward: Forward, scale: int, settings: Settings) -> Forward:
    if settings.tile is None:
        return forward
    return functools.partial(
        restore_in_tiles,
        forward,
        scale=scale,
        tile=settings.tile,
        overlap=settings.tile_overlap,
        blending=settings.blending,
    )


def _windows(model, frames: Iterable, settings: Settings) -> Iterator[list]:
    return sliding_windows(frames, model.num_frame, model.center_frame_idx, settings.window_ends)


def sliding_windows(frames: Iterable, num_frames: int, centre: int, ends: str) -> Iterator[list]:
    """For each frame the window of `num_frames` that has it at position `centre`, without knowing the length.

    A window that is not at the end of the clip is the same for every length, so that reading `reach` frames
    ahead, and a whole window at the beginning, is enough.
    """
    frames, held, count, ended = iter(frames), {}, 0, False
    reach = max(centre, num_frames - 1 - centre)
    for position in itertools.count():
        while not ended and count < max(position + reach, 2 * reach) + 1:
            frame = next(frames, None)
            if frame is None:
                ended = True
            else:
                held[count] = frame
                count += 1
        if position == count:
            return
        indices = window_indices(position, count, 2 * reach + 1, ends)[reach - centre :][:num_frames]
        yield [held[index] for index in indices]
        held.pop(position - 2 * reach, None)


def compiled(model) -> Forward:
    """`model(clips)` for arrays as one TensorFlow function a model, with one trace a shape."""
    function = _function(model, "call", lambda model, clips: model(clips, training=False))
    return lambda clips: function(clips).numpy()


_FUNCTIONS = weakref.WeakKeyDictionary()


def _function(model, name: str, work: Callable) -> Callable:
    """`work(model, ...)` as a TensorFlow function, which is kept as long as the model."""
    import tensorflow as tf

    functions = _FUNCTIONS.setdefault(model, {})
    if name not in functions:
        reference = weakref.ref(model)
        functions[name] = tf.function(lambda *inputs: work(reference(), *inputs))
    return functions[name]


def _stream(model) -> tuple[Callable, int]:
    """`model.stream`, traced once for all videos, and the number that the next video's first frame gets.

    A number names one frame, so that nothing of an earlier video is taken for this one's.
    """
    import tensorflow as tf

    if "_stream" not in vars(model):
        # Past Keras's own __setattr__. On the model, because it refers to the model: both go together.
        stream = model.stream(functools.partial(tf.function, autograph=False))
        object.__setattr__(model, "_stream", (stream, itertools.count()))
    restore_next, videos = vars(model)["_stream"]
    return restore_next, next(videos) << 40
