"""The weights that the package ships: whole, small, known by name, and better than what they are given."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import read_image
from ascendcv.metrics.psnr import psnr
from ascendcv.utils.color import luma
from ascendvsr.models import CARDS
from ascendvsr.models.card import imported
from ascendvsr.models.zoo import Shipped
from ascendvsr.weights.cache import SHIPPED, sha256_of
from tests.support import PROJECT

RECORDS = {record.name: (card, record) for card in CARDS for record in card.zoo if Shipped() in record.sources}
MEASURING = PROJECT.parent / "shared/data"
REAL = pytest.mark.skipif(not MEASURING.is_dir(), reason=f"needs real frames in {MEASURING}")


@pytest.fixture(scope="module")
def network() -> Callable:
    """The network of a shipped file, by its record's name."""
    return lambda name: imported(RECORDS[name][0].network).from_preset(name)


def frames_of(folder: str) -> np.ndarray:
    """[T, H, W, 3] uint8."""
    return np.stack([read_image(file) for file in sorted((MEASURING / folder).glob("*.png"))])


def windows(frames: np.ndarray, length: int) -> Iterator[np.ndarray]:
    """For each frame the window [1, length, H, W, C] around it, in [0, 1]; frames at the ends are repeated."""
    reach = length // 2
    padded = np.concatenate([frames[:1]] * reach + [frames] + [frames[-1:]] * reach).astype(np.float32)
    for first in range(len(frames)):
        yield padded[np.newaxis, first : first + length]


def as_it_is(frame: np.ndarray) -> np.ndarray:
    return frame


def gain(model, given: np.ndarray, truth: np.ndarray, before: np.ndarray, of: Callable = luma) -> float:
    """By how much PSNR, 8 bits, no border, is higher than that of `before`, in dB, the mean over frames."""
    gains = []
    for window, target, start in zip(windows(given, model.num_frame), truth, before, strict=True):
        restored = np.rint(np.clip(np.asarray(model(window))[0], 0, 1) * 255)
        gains.append(psnr(of(restored), of(target)) - psnr(of(start), of(target)))
    return float(np.mean(gains))


def test_the_files_are_those_of_the_records_and_small():
    files = sorted(path.name for path in SHIPPED.iterdir() if path.suffix == ".safetensors")
    assert files == sorted(record.file for _, record in RECORDS.values())
    assert sum((SHIPPED / file).stat().st_size for file in files) <= 6_000_000


@pytest.mark.parametrize("name", RECORDS)
def test_a_file_is_whole_and_has_a_card(name: str):
    _, record = RECORDS[name]
    path = SHIPPED / record.file
    assert (path.stat().st_size, sha256_of(path)) == (record.size, record.sha256)
    card = (PROJECT / "docs/models" / f"{name}.md").read_text()
    assert record.sha256 in card
    assert f"{record.parameters:,}" in card


@pytest.mark.parametrize("name", RECORDS)
def test_a_name_gives_the_network(name: str, network: Callable):
    model = network(name)
    assert model.count_params() == RECORDS[name][1].parameters


@REAL
@pytest.mark.slow
@pytest.mark.parametrize(("folder", "least"), [("reds_7f", 1.1), ("vid4_foliage", 0.95)])
def test_super_resolution_is_better_than_bicubic(folder: str, least: float, network: Callable):
    small, truth = frames_of(f"{folder}/BIx4") / 255, frames_of(f"{folder}/GT")
    bicubic = np.stack([imresize(np.rint(frame * 255).astype(np.uint8), 4) for frame in small])
    assert gain(network("edvr_tiny_x4"), small, truth, bicubic) >= least


@REAL
@pytest.mark.slow
@pytest.mark.parametrize("folder", ["reds_7f", "vid4_foliage"])
def test_denoising_at_25_gains_six_decibels_in_rgb(folder: str, network: Callable):
    truth = frames_of(f"{folder}/GT")[:, :256, :256]
    noise = np.random.default_rng(1).normal(0, 25, truth.shape)
    noisy = (truth + noise) / 255
    told = np.concatenate([noisy, np.full_like(noisy[..., :1], 25 / 255)], axis=-1)
    assert gain(network("denoise_tiny"), told, truth, np.clip(noisy * 255, 0, 255), of=as_it_is) >= 6


@REAL
@pytest.mark.slow
def test_deblurring_is_better_than_its_input(network: Callable):
    blurred, truth = frames_of("adobe240_deblur/blur"), frames_of("adobe240_deblur/GT")
    assert gain(network("deblur_tiny"), blurred / 255, truth, blurred) > 0
