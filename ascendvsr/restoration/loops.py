"""Frames in, restored frames out, by the way in which a network eats time: windows, whole clips or step by step."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

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
    """Float32 RGB frames [H, W, 3] in [0, 1] -> as many restored ones [H', W', 3], not clipped, in order.

    Holds no more frames than the windows need, or two chunks of `tile_frames`.

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
    if sigma is not None:
        frames = with_noise_level(frames, sigma)
    if skip and runner.kind == "window":
        return _finite(restore_windows(runner, frames, settings, skip), runner.name)
    return _finite(_LOOPS[runner.kind](runner, frames, settings), runner.name)


def _finite(frames: Iterable[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """The same frames. Raises `InputError` for the first one that holds NaN or infinity."""
    for number, frame in enumerate(frames, 1):
        if not np.isfinite(frame).all():
            raise InputError(
                f"frame {number} came out of {name} with values that are not finite (NaN or infinite): its weights "
                "have run away in training, or the precision is too narrow for them (eval.precision float32)"
            )
        yield frame


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
            yield runner(np.stack(pixels)[np.newaxis], stream)[0][0]
        return
    forward = _tiled(_stateless(runner), runner.scale, settings)
    windows = _windows(runner, frames, settings)
    for window in itertools.islice(windows, skip):
        yield window[runner.center]
    while batch := list(itertools.islice(windows, settings.batch_size)):
        yield from forward(np.stack([np.stack(window) for window in batch]))


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
        clip = np.stack(window)[np.newaxis]
        if settings.tile is not None and tiling is None:
            tiling = Tiling(clip.shape[2:4], settings.tile, settings.tile_overlap, runner.scale, settings.blending)
        parts = [clip] if tiling is None else list(tiling.cut(clip))
        results = [runner(part, before) for part, before in zip(parts, state or [None] * len(parts), strict=True)]
        state = [after for _, after in results]
        restored = [frame for frame, _ in results]
        yield (restored[0] if tiling is None else tiling.blend(restored))[0], state


def _restore_recurrently(runner: Runner, frames: Iterable[np.ndarray], settings: Settings) -> Iterator[np.ndarray]:
    return (frame for frame, _ in restore_steps(runner, frames, settings))


# By kind of network.
_LOOPS: dict[str, Any] = {"window": restore_windows, "clip": restore_clip, "recurrent": _restore_recurrently}


def _stateless(runner: Runner) -> Forward:
    return lambda frames: runner(frames)[0]


def _tiled(forward: Forward, scale: int, settings: Settings) -> Forward:
    """`forward` in the tiles of the settings, which shrink where memory runs out and they say so."""

    def compute(clips: np.ndarray) -> np.ndarray:
        nonlocal settings
        while True:
            try:
                if settings.tile is None:
                    return forward(clips)
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
