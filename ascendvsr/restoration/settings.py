"""How to restore: windows, tiles and chunks."""

from dataclasses import dataclass, replace

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.models.card import Card

SMALLEST_TILE = 32  # side in pixels of tiles that are chosen by the memory that there is


@dataclass(frozen=True)
class Settings:
    """How to restore.

    Attributes:
        window_ends: what stands in for frames before the first and after the last where a network sees a window:
            replicate, reflection, reflection_circle or circle (`ascendcv.dataloader.windows`).
        tile: (height, width) in input pixels; None: whole frames.
        tile_overlap: in input pixels, one number or (rows, columns); see `ascendvsr.restoration.tiles`.
        tile_frames: frames that a network which restores whole clips gets at once; 0: all.
        tile_frames_overlap: frames; see `ascendvsr.restoration.chunks`.
        blending: of tiles and chunks: seamless, or official, as RVRT's test program.
        batch_size: windows that a network gets at once.
        adapts: where memory runs out, go on with tiles of half the size.
    """

    window_ends: str = "replicate"
    tile: tuple[int, int] | None = None
    tile_overlap: int | tuple[int, int] = 32
    tile_frames: int = 32
    tile_frames_overlap: int = 8
    blending: str = "seamless"
    batch_size: int = 1
    adapts: bool = False

    def halved(self, size: tuple[int, int]) -> "Settings | None":
        """With tiles of half the pixels, of frames of this (height, width); None: they would be too small."""
        height, width = self.tile or size
        height, width = (height // 2, width) if height >= width else (height, width // 2)
        if min(height, width) < SMALLEST_TILE:
            return None
        return replace(self, tile=(height, width), tile_overlap=min(32, min(height, width) // 2))


def read_settings(cfg: CfgNode, card: Card) -> Settings:
    """The settings that a configuration gives. Raises `InputError` for tiles and chunks that make no sense."""
    data, options = cfg.data, cfg.eval
    tile = tuple(data.eval_in_size) if data.eval_in_patch else None
    if tile is not None:
        _check_tile(cfg, card, tile)
    if options.tile_frames % 2:
        raise InputError(f"eval.tile_frames is {options.tile_frames}; it should be even, or 0 for the whole video")
    if options.tile_frames and options.tile_frames_overlap >= options.tile_frames:
        raise InputError(
            f"eval.tile_frames_overlap ({options.tile_frames_overlap}) should be 0 or more, and less than "
            f"eval.tile_frames ({options.tile_frames})"
        )
    return Settings(
        window_ends=options.window_ends,
        tile=tile,
        tile_overlap=data.eval_pad_size,
        tile_frames=options.tile_frames,
        tile_frames_overlap=options.tile_frames_overlap,
        blending=options.blending,
        batch_size=max(data.eval_batch_size, 1),
    )


def _check_tile(cfg: CfgNode, card: Card, tile: tuple[int, int]) -> None:
    minimum, overlap = card.smallest_tile(cfg), cfg.data.eval_pad_size
    if min(tile) <= overlap:
        raise InputError(
            f"data.eval_in_patch needs tiles (data.eval_in_size {list(tile)}) that are larger than their "
            f"overlap (data.eval_pad_size {overlap})"
        )
    if min(tile) < minimum:
        raise InputError(
            f"data.eval_in_size {list(tile)}: this network needs tiles of at least {minimum}x{minimum} pixels"
        )
    if cfg.eval.blending == "official" and any(side % 8 for side in tile):
        raise InputError(f"data.eval_in_size {list(tile)}: with eval.blending official, sides are multiples of 8")
