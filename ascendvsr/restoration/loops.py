"""Frames in, restored frames out, by the way in which a network eats time: windows, whole clips or step by step."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ascendcv.dataloader.pixels import Levels, check_finite, is_float, quantize, stacked, to_unit
from ascendcv.dataloader.windows import window_indices
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.chunks import restore_in_chunks
from ascendvsr.restoration.runner import Runner, Stream
from ascendvsr.restoration.settings import Settings
from ascendvsr.restoration.sigma import check_sigma, with_noise_level
from ascendvsr.restoration.tiles import Forward, Tiling, mirrored_to_windows, restore_in_tiles


def restored_frames(
    runner: Runner,
    frames: Iterable[np.ndarray],
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    *,
    sigma: float | np.ndarray | None = None,
    skip: int = 0,
) -> Iterator[np.ndarray]:
    """RGB frames [H, W, 3] -> as many restored ones [H', W', 3], in order.

    A frame comes out in the dtype in which it went in: float32 in [0, 1] as float32, not clipped, uint8 and uint16
    clipped and rounded. That is done by the backend, where nothing is blended: tiles and chunks are blended as
    float32, and the result is rounded. Holds no more frames than the windows need, or two chunks of `tile_frames`.

    Args:
        runner: what computes.
        sigma: standard deviation of the noise in 8-bit levels, or a map of it [H, W], for networks that must be
            told.
        skip: of so many frames at the beginning nobody wants the result: a network that sees windows does not
            compute it, and what is given in its place is the frame itself.
    Raises:
        InputError: a flow network; `sigma` missing, or given where the network takes none; tiles or chunks that
            make no sense; a restored frame that is not finite.
    """
    if runner.kind == "flow":
        raise InputError(f"{runner.name} restores no frames: it is a flow network (`ascendvsr flow`)")
    check_sigma(runner.channels, sigma)
    dtypes: deque[np.dtype] = deque()
    frames = _noted(frames, dtypes)
    if sigma is not None:
        frames = with_noise_level(map(to_unit, frames), sigma)
    if runner.kind == "window":
        restored = restore_windows(runner, frames, settings, skip)
    else:
        restored = _LOOPS[runner.kind](runner, frames, settings)
    return _rounded(_finite(restored, runner.name), dtypes)


def _noted(frames: Iterable[np.ndarray], dtypes: deque[np.dtype]) -> Iterator[np.ndarray]:
    for frame in frames:
        dtypes.append(frame.dtype)
        yield frame


def _rounded(frames: Iterable[np.ndarray], dtypes: deque[np.dtype]) -> Iterator[np.ndarray]:
    """The frames in these dtypes, in order."""
    for frame in frames:
        dtype = dtypes.popleft()
        yield quantize(frame, dtype) if dtype.kind == "u" and is_float(frame) else frame


def _finite(frames: Iterable[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """The same frames. Raises `InputError` for the first one that holds NaN or infinity."""
    number = 1
    try:
        for frame in frames:
            if is_float(frame):
                check_finite(np.isfinite(frame).all(keepdims=True))
            yield frame
            number += 1
    except FloatingPointError as error:
        raise InputError(
            f"frame {number + error.args[0]} came out of {name} with values that are not finite (NaN or infinite): "
            "its weights have run away in training, or the precision is too narrow (eval.precision float32)"
        ) from None


def restore_windows(
    runner: Runner, frames: Iterable[np.ndarray], settings: Settings, skip: int = 0
) -> Iterator[np.ndarray]:
    """Each frame from the window around it; what windows share is computed once where the network can.

    `skip` as in `restored_frames`.
    """
    if runner.shares_frames and settings.tile is None and settings.batch_size == 1:
        stream = Stream()
        for number, window in enumerate(_windows(runner, enumerate(frames), settings)):
            if number < skip:
                yield window[runner.center][1]
                continue
            stream.numbers, pixels = zip(*window, strict=True)
            yield runner(stacked(pixels)[np.newaxis], stream, _levels(pixels[runner.center]))[0][0]
        return
    forward = _tiled(_stateless(runner), runner.scale, settings)
    windows = _windows(runner, frames, settings)
    for window in itertools.islice(windows, skip):
        yield window[runner.center]
    while batch := list(itertools.islice(windows, settings.batch_size)):
        together = stacked([frame for window in batch for frame in window])
        yield from forward(together.reshape(len(batch), -1, *together.shape[1:]), _levels(together))


def _levels(frames: np.ndarray) -> Levels:
    """What comes of frames is rounded to their own levels."""
    return None if is_float(frames) else frames.dtype


def restore_clip(runner: Runner, frames: Iterable[np.ndarray], settings: Settings) -> Iterator[np.ndarray]:
    """All frames of a chunk of the video at once."""
    return restore_in_chunks(
        clip_forward(_stateless(runner), runner.scale, settings),
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
    runner: Runner, frames: Iterable[np.ndarray], settings: Settings, state: list | None = None
) -> Iterator[tuple[np.ndarray, list]]:
    """Each frame, restored from the window around it and the state before it, and the state after it.

    A video that was stopped goes on, with the same result, from the state that came with its last restored frame:
    `frames` then begin with that frame, which is not restored again. Tiles have a state each.
    """
    windows = _windows(runner, frames, settings)
    if state is not None:
        next(windows, None)
    tiling = None
    for window in windows:
        clip, levels = stacked(window)[np.newaxis], _levels(window[runner.center])
        if settings.tile is not None and tiling is None:
            tiling = Tiling(clip.shape[2:4], settings.tile, settings.tile_overlap, runner.scale, settings.blending)
        parts = [clip] if tiling is None else list(tiling.cut(clip))
        befores = state or [None] * len(parts)
        levels = levels if tiling is None else None
        results = [runner(part, before, levels) for part, before in zip(parts, befores, strict=True)]
        state = [after for _, after in results]
        restored = [frame for frame, _ in results]
        yield (restored[0] if tiling is None else tiling.blend(restored))[0], state


def _restore_recurrently(runner: Runner, frames: Iterable[np.ndarray], settings: Settings) -> Iterator[np.ndarray]:
    return (frame for frame, _ in restore_steps(runner, frames, settings))


# By kind of network.
_LOOPS: dict[str, Any] = {"clip": restore_clip, "recurrent": _restore_recurrently}


def _stateless(runner: Runner) -> Forward:
    return lambda frames, levels=None: runner(frames, None, levels)[0]


def _tiled(forward: Forward, scale: int, settings: Settings) -> Forward:
    """`forward` in the tiles of the settings, which shrink where memory runs out and they say so.

    Without tiles it takes levels too, see `Runner`; what is blended of tiles stays float32.
    """

    def compute(clips: np.ndarray, levels: Levels = None) -> np.ndarray:
        nonlocal settings
        while True:
            try:
                if settings.tile is None:
                    return forward(clips) if levels is None else forward(clips, levels)
                return restore_in_tiles(
                    forward,
                    clips,
                    scale=scale,
                    tile=settings.tile,
                    overlap=settings.tile_overlap,
                    blending=settings.blending,
                )
            except MemoryError:
                smaller = settings.halved(clips.shape[2:4]) if settings.adapts else None
                if smaller is None:
                    raise
                settings = smaller

    return compute


def _windows(runner: Runner, frames: Iterable, settings: Settings) -> Iterator[list]:
    return sliding_windows(frames, runner.window, runner.center, settings.window_ends)


def sliding_windows(frames: Iterable, num_frames: int, center: int, ends: str) -> Iterator[list]:
    """For each frame the window of `num_frames` that has it at position `center`, without knowing the length.

    A window that is not at the end of the clip is the same for every length, so that reading `reach` frames
    ahead, and a whole window at the beginning, is enough.
    """
    frames, held, count, ended = iter(frames), {}, 0, False
    reach = max(center, num_frames - 1 - center)
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
        indices = window_indices(position, count, 2 * reach + 1, ends)[reach - center :][:num_frames]
        yield [held[index] for index in indices]
        held.pop(position - 2 * reach, None)
