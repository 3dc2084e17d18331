"""The tile that fits into a budget, and tiles that shrink where memory runs out."""

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.memory import fitting_tile, peak_memory, read_size
from ascendvsr.restoration.settings import SMALLEST_TILE, Settings

BASE, PER_PIXEL = 300 << 20, 20_000


class Costly:
    """A runner whose memory is known: so much for itself, and so much for each pixel of the largest tile."""

    name, kind, scale, window, center, channels, shares_frames, dtype = (
        "Costly",
        "window",
        1,
        3,
        1,
        3,
        False,
        "float32",
    )

    def __init__(self, limit: float = float("inf")):
        self.limit, self.most, self.tiles = limit, 0, set()

    def __call__(self, frames, state=None, levels=None):
        pixels = frames.shape[2] * frames.shape[3]
        if pixels > self.limit:
            raise MemoryError("out of memory")
        self.most = max(self.most, pixels)
        self.tiles.add(frames.shape[2:4])
        return frames[:, self.center], None

    def measure(self, work) -> int:
        self.most = 0
        work()
        return BASE + PER_PIXEL * self.most


@pytest.mark.parametrize(
    ("text", "size"), [("4G", 4 << 30), ("800M", 800 << 20), ("1.5GiB", 3 << 29), ("2048", 2048), ("1 t", 1 << 40)]
)
def test_sizes(text, size):
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "4X", "-1G", "0", "G", "1e3M", "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="--memory should be a size such as 4G"):
        read_size(text)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("budget", [1 << 30, 2 << 30, 3 << 30])
@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920)])
def test_the_tile_fits_and_uses_most_of_the_budget(budget, size, bits):
    runner = Costly()
    settings = fitting_tile(runner, size, Settings(), budget, bits=bits, measure=runner.measure)
    # 12 frames in and out as the files have them, and 3 of the output in float32.
    queues = size[0] * size[1] * 3 * (12 * 2 * bits // 8 + 3 * 4)
    height, width = settings.tile
    assert BASE + PER_PIXEL * height * width + queues <= budget
    assert BASE + 1.5 * PER_PIXEL * height * width + queues > budget
    assert settings.tile_overlap < min(settings.tile)


def test_whole_frames_are_taken_where_they_fit():
    runner = Costly()
    assert fitting_tile(runner, (180, 320), Settings(), 4 << 30, measure=runner.measure).tile is None


def test_too_small_a_budget_names_the_smallest_possible():
    runner = Costly()
    with pytest.raises(InputError, match=r"--memory 100M is too little: .* need at least (\d+)M") as refusal:
        fitting_tile(runner, (720, 1280), Settings(), 100 << 20, measure=runner.measure)
    least = int(str(refusal.value).split("at least ")[1].split("M")[0])
    assert fitting_tile(runner, (720, 1280), Settings(), least << 20, measure=runner.measure).tile is not None


def test_tiles_shrink_where_memory_runs_out():
    runner = Costly(limit=64 * 64)
    frames = np.random.default_rng(0).random((3, 100, 120, 3), np.float32)
    restored = list(restored_frames(runner, frames, Settings(adapts=True)))
    np.testing.assert_allclose(restored, frames, atol=1e-6)
    assert max(height * width for height, width in runner.tiles) <= 64 * 64


def test_without_leave_to_shrink_it_is_an_error_as_it_is_at_the_smallest_tile():
    frames = np.zeros((3, 100, 120, 3), np.float32)
    for runner, settings in ((Costly(limit=64 * 64), Settings()), (Costly(limit=10), Settings(adapts=True))):
        with pytest.raises(MemoryError):
            list(restored_frames(runner, frames, settings))


def test_halving_ends_at_the_smallest_tile():
    settings, sizes = Settings(), []
    while (settings := settings.halved((720, 1280))) is not None:
        sizes.append(settings.tile)
    assert sizes[:2] == [(720, 640), (360, 640)]
    assert SMALLEST_TILE <= min(sizes[-1]) < 2 * SMALLEST_TILE


def test_peak_memory_is_that_of_the_work():
    def hold(size: int) -> None:
        np.ones(size, np.uint8)

    large, small = peak_memory(lambda: hold(256 << 20)), peak_memory(lambda: hold(1 << 20))
    assert 200 << 20 < large - small < 300 << 20
