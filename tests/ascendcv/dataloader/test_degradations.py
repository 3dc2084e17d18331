"""Chains of degradations: what each step does, what is drawn, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.degradations import centers, check_for_training, read_chain
from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import read_image, write_image
from ascendcv.utils.errors import InputError
from tests.support import PROJECT

DATA = PROJECT.parent / "shared/data"


@pytest.fixture
def clip(photograph: np.ndarray) -> list[np.ndarray]:
    """Six frames of a picture that moves, of 48x64 pixels."""
    return [np.ascontiguousarray(photograph[2 * t : 2 * t + 48, t : t + 64]) for t in range(6)]


def degraded(frames: list[np.ndarray], *steps: str, seed: int = 0) -> list[np.ndarray]:
    return list(read_chain(steps).apply(frames, np.random.default_rng(seed))[0])


@pytest.mark.parametrize("name", ["reds_7f", "vid4_foliage"])
@pytest.mark.skipif(not DATA.is_dir(), reason="the published frames are not here")
def test_published_low_quality_frames_are_made_bit_for_bit(name: str):
    frames = [read_image(path) for path in sorted((DATA / name / "GT").iterdir())]
    published = [read_image(path) for path in sorted((DATA / name / "BIx4").iterdir())]
    np.testing.assert_array_equal(degraded(frames, "bicubic scale=4 rounding=each"), published)
    rounded_once = degraded(frames, "bicubic scale=4 rounding=end")
    assert 0 < np.mean(np.stack(rounded_once) != published) < 0.2


def test_the_second_rounding_rule_rounds_once_as_basicsr_s_vectors(photograph: np.ndarray):
    vector = np.load(PROJECT / "tests/golden/vectors/common/imresize.npz")
    (frame,) = degraded([vector["image"]], "bicubic scale=4 rounding=end")
    difference = np.abs(frame.astype(int) - vector["down4_uint8"].astype(int))
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-3


def test_the_two_blurred_degradations_are_those_of_kair_and_duf():
    vector = np.load(PROJECT / "tests/golden/vectors/common/bd_matlab.npz")
    (frame,) = degraded([vector["image"]], "bd")
    assert np.abs(frame.astype(int) - vector["bd_uint8"].astype(int)).max() <= 1
    vector = np.load(PROJECT / "tests/golden/vectors/common/duf_downsample.npz")
    image = np.ascontiguousarray(vector["frames"][0, 0].transpose(1, 2, 0))
    (frame,) = degraded([image], "duf scale=4")
    expected = vector["x4"][0, 0].transpose(1, 2, 0)
    assert np.abs(frame / 255 - expected).max() <= 0.6 / 255


def test_noise_has_the_deviation_that_it_says(clip: list[np.ndarray]):
    gray = [np.full((64, 64, 3), 128, np.uint8) for _ in range(4)]
    noise = np.stack(degraded(gray, "gaussian sigma=20")) - 128.0
    assert abs(noise.std() - 20) < 0.5
    assert abs(noise.mean()) < 0.5
    assert not np.array_equal(noise[0], noise[1])
    poisson = np.stack(degraded(gray, "poisson peak=64")) / 255 * 64
    assert abs(poisson.var() / poisson.mean() - 1) < 0.05
    speckle = np.stack(degraded(gray, "speckle sigma=0.1")) - 128.0
    assert abs(speckle.std() - 12.8) < 0.4
    peppered = np.stack(degraded(gray, "salt-pepper amount=0.2 salt=0.25"))
    assert abs(np.mean(peppered == 255) - 0.05) < 0.01
    assert abs(np.mean(peppered == 0) - 0.15) < 0.01


def test_a_map_gives_each_pixel_its_own_noise(tmp_path: Path):
    levels = np.zeros((32, 32), np.uint8)
    levels[:, 16:] = 40
    write_image(tmp_path / "map.png", levels)
    gray = [np.full((32, 32, 3), 128, np.uint8)] * 8
    noise = np.stack(degraded(gray, f"gaussian map={tmp_path / 'map.png'}")) - 128.0
    assert not noise[:, :, :16].any()
    assert abs(noise[:, :, 16:].std() - 40) < 2
    with pytest.raises(InputError, match=r"map.png has 32x32 pixels; the frames have 16x16"):
        degraded([np.zeros((16, 16, 3), np.uint8)], f"gaussian map={tmp_path / 'map.png'}")


@pytest.mark.parametrize("step", ["jpeg quality=20", "video crf=35", "video codec=hevc crf=35"])
def test_compression_loses_details_and_no_frames(clip: list[np.ndarray], step: str):
    for frames in (clip, [frame[:-1, :-1] for frame in clip]):  # odd sizes too
        coded = degraded(frames, step)
        assert [frame.shape for frame in coded] == [frame.shape for frame in frames]
        error = np.stack(coded).astype(float) - np.stack(frames)
        assert 1 < np.sqrt((error**2).mean()) < 30
    assert np.array_equal(coded, degraded(frames, step))


def test_means_are_linear_or_of_light(clip: list[np.ndarray]):
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert degraded([black, white], "average frames=2")[0][0, 0, 0] == 128
    assert degraded([black, white], "average frames=2 gamma=2.2")[0][0, 0, 0] == round(255 * 0.5 ** (1 / 2.2))
    means = degraded(clip, "average frames=3 step=2")
    np.testing.assert_array_equal(means[1], np.rint(np.mean(clip[2:5], axis=0)).astype(np.uint8))
    assert list(centers(range(6), read_chain(["average frames=3 step=2"]))) == [1, 3]
    assert list(centers(range(6), read_chain(["bd"]))) == list(range(6))


@pytest.mark.skipif(not DATA.is_dir(), reason="the real frames are not here")
def test_a_real_blurred_clip_is_far_from_sharp_and_a_made_one_is_alike():
    sharp = [read_image(path) for path in sorted((DATA / "adobe240_deblur/GT").iterdir())]
    made = degraded(sharp, "average frames=3")
    assert 20 < _psnr(made[0], sharp[1]) < 40


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(20 * np.log10(255 / np.sqrt(((one.astype(float) - other) ** 2).mean())))


def test_chains_are_their_steps_one_after_the_other(clip: list[np.ndarray]):
    by_one = degraded(degraded(clip, "bicubic scale=4"), "jpeg quality=50")
    np.testing.assert_array_equal(degraded(clip, "bicubic scale=4", "jpeg quality=50"), by_one)
    assert read_chain(["bicubic scale=2", "bd"]).scale == 8


def test_ranges_are_drawn_once_per_clip_and_told(clip: list[np.ndarray]):
    chain = read_chain(["gaussian sigma=5..50", "jpeg quality=30..90"])
    told = [chain.apply(clip, np.random.default_rng(seed))[1] for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2]
    assert 5 <= told[0][0]["sigma"] <= 50
    assert 30 <= told[0][1]["quality"] <= 90


def test_16_bits_stay_16_bits(clip: list[np.ndarray]):
    deep = [frame.astype(np.uint16) * 257 for frame in clip]
    for step in (
        "bicubic",
        "bd",
        "gaussian sigma=0",
        "poisson",
        "jpeg quality=95",
        "average frames=1",
        "speckle sigma=0",
    ):
        frames = degraded(deep, step)
        assert frames[0].dtype == np.uint16
        assert frames[0].max() > 255
    np.testing.assert_array_equal(degraded(deep, "bicubic")[0], imresize(deep[0], 0.25))


def test_frames_are_made_as_they_are_taken():
    def endless():
        while True:
            yield np.zeros((8, 8, 3), np.uint8)

    frames, _ = read_chain(["average frames=3", "bicubic scale=2", "gaussian sigma=1"]).apply(
        endless(), np.random.default_rng(0)
    )
    assert next(frames).shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "no degradation is named"),
        (["blurr"], "no degradation is called 'blurr'; there are bicubic, bd"),
        ([""], "no degradation is called ''"),
        (["bicubic size=4"], "bicubic takes scale=..., rounding=..., not 'size=4'"),
        (["bicubic scale=2..4"], "scale should be a whole number from 1 to 16, not '2..4'"),
        (["bicubic rounding=half"], "rounding should be each or end"),
        (["gaussian"], "gaussian takes sigma="),
        (["gaussian sigma=5 map=x"], "gaussian takes sigma="),
        (["gaussian sigma=9..5"], "sigma should be a number from 0 to 255, or a range"),
        (["gaussian sigma=nan"], "sigma should be"),
        (["jpeg"], "jpeg needs quality="),
        (["jpeg quality=0"], "quality should be a whole number from 1 to 100"),
        (["video crf=60"], "crf should be"),
        (["bicubic", "average frames=3"], "average should be the first step"),
    ],
)
def test_what_is_no_step_is_refused(steps: list[str], message: str):
    with pytest.raises(InputError, match=message):
        read_chain(steps)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["bicubic scale=2"], "makes frames 2 times smaller, and `scale` is 4"),
        (["bicubic", "gaussian map=x.png"], "a map of deviations is of whole frames"),
        (["average frames=4", "bicubic"], "an odd number of frames is averaged"),
        (["average frames=3 step=2", "bicubic"], "leave step out"),
    ],
)
def test_what_crops_cannot_take_is_refused_for_training(steps: list[str], message: str):
    with pytest.raises(InputError, match=message):
        check_for_training(read_chain(steps), 4)
