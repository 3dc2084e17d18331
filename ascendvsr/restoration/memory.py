"""Tiles that fit into memory: how much a network takes is measured, and the tile chosen before the work begins."""

import contextlib
import functools
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ascendcv.utils.errors import InputError
from ascendvsr.restoration.runner import Runner
from ascendvsr.restoration.settings import SMALLEST_TILE, Settings

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_PROBE = 64  # side of the smaller tile that is measured
_STEP = 16  # sides of tiles are multiples of it
_FRAMES_HELD = 12  # of the input and of the output, as files have them, in the queues of reading and writing
_FLOATS_HELD = 3  # of the output, as float32, while it is blended of tiles and rounded


def read_size(text: str) -> int:
    """'4G' or '512M' in bytes. Raises `InputError` for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not found or not float(found[1]):
        raise InputError(f"--memory should be a size such as 4G or 800M, not {text!r}")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def peak_memory(work: Callable[[], object]) -> int:
    """The most memory in bytes that this process holds while `work` runs.

    Where the system does not let a process begin to count anew (all but Linux), it is the most since its start.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    work()
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()):
            return int(found[1]) << 10
    return largest_so_far()


def largest_so_far() -> int:
    """The most memory in bytes that this process has held. Raises `InputError` on Windows."""
    try:
        import resource
    except ModuleNotFoundError:
        raise InputError("memory is measured on Linux and macOS: leave --memory out on this system") from None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def fitting_tile(
    runner: Runner,
    size: tuple[int, int],
    settings: Settings,
    budget: int,
    smallest: int = 1,
    bits: int = 8,
    measure: Callable[[Callable[[], object]], int] = peak_memory,
) -> Settings:
    """The settings with the largest tile with which this process stays within `budget` bytes.

    Two small tiles are restored, which tells what a network takes whatever the tile and what for each pixel; it
    grows in proportion to the pixels. Whole frames are taken where they fit.

    Args:
        size: (height, width) of the frames.
        settings: with how many frames a network that restores clips gets at once.
        smallest: side of the smallest tile that the network's card allows.
        bits: of the frames, 8 or 16.
        measure: what tells how much memory a function takes at most.
    Raises:
        InputError: no tile fits; the message says what the smallest one needs.
    """
    frames = runner.window or min(settings.tile_frames or 32, 32)
    measured = []
    for side in (max(smallest, _PROBE), 2 * max(smallest, _PROBE)):
        clip = np.zeros((1, frames, side, side, runner.channels), np.float32)
        runner(clip)  # tracing and compiling take memory once
        measured.append((side * side, measure(functools.partial(runner, clip))))
    (fewer, low), (more, high) = measured
    per_pixel = max((high - low) / (more - fewer), 1.0)
    height, width = size
    restored = height * width * runner.scale**2
    queues = _FRAMES_HELD * 3 * bits // 8 * (height * width + restored) + _FLOATS_HELD * 12 * restored
    left = budget - (low - per_pixel * fewer) - queues
    smallest_side = max(smallest, SMALLEST_TILE)
    if left < per_pixel * smallest_side**2:
        needed = budget - left + per_pixel * smallest_side**2
        raise InputError(
            f"--memory {budget >> 20}M is too little: frames of {width}x{height} need at least "
            f"{math.ceil(needed / (1 << 20))}M, in tiles of {smallest_side}x{smallest_side} pixels"
        )
    if left >= per_pixel * height * width:
        return replace(settings, tile=None)
    side = int(math.sqrt(left / per_pixel)) // _STEP * _STEP
    tile = min(side, height), min(int(left / per_pixel / min(side, height)) // _STEP * _STEP or side, width)
    return replace(settings, tile=tile, tile_overlap=min(32, min(tile) // 2))
