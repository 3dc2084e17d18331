"""Training input as the recipes of clips, of several crops a window and of noisy clips want it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.photometric import photometric
from ascendcv.dataloader.train import training_dataset
from ascendcv.utils.errors import InputError
from tests.ascendcv.dataloader.numbered_clips import (
    LENGTHS,
    OPTIONS,
    SCALE,
    Batch,
    assert_equal,
    batches,
    frame_numbers,
    make_clips,
    source,
    together,
)

NO_TURNS = {"flip": False, "transpose": False}
# All at once, for what must hold whatever is chosen.
EVERYTHING = {
    "target": "all",
    "margin": 1,
    "crops_per_example": 2,
    "random_reverse": True,
    "mirror": True,
    "rotation": True,
    "colors": {"multiplicative_color": True, "hue": True, "noise": True},
    "frame_noise_std": 0.01,
    "sigma": [0.0, 50.0],
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return make_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def clean_clips(clips: list[Clip]) -> list[Clip]:
    """The same without an input of their own."""
    return [dataclasses.replace(clip, lq=clip.gt, lq_size=clip.gt_size) for clip in clips]


# --- what must hold for any recipe --------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"num_threads": 4}, {"queue_size": 1}, {"read_mode": "python"}])
def test_threads_queues_and_decoders_change_nothing(clips: list[Clip], changes: dict):
    assert_equal(batches(clips, 5, **EVERYTHING), batches(clips, 5, **EVERYTHING | changes))


def test_a_run_goes_on_at_any_step_with_the_batches_that_it_would_have_had(clips: list[Clip]):
    assert_equal(batches(clips, 6, **EVERYTHING)[4:], batches(clips, 2, start_step=4, **EVERYTHING))


def test_the_workers_batches_make_up_the_global_batch(clips: list[Clip]):
    parts = [batches(clips, 4, shard=(index, 2), **EVERYTHING) for index in range(2)]
    assert_equal(batches(clips, 4, **EVERYTHING), [together(list(part)) for part in zip(*parts, strict=True)])


# --- windows and their ground truth -------------------------------------------------------------------------


def test_the_ground_truth_of_every_frame(clips: list[Clip]):
    batch = together(batches(clips, 8, target="all", random_reverse=True, interval=2))
    assert batch["gt"].shape == (32, 3, 32, 32, 3)
    np.testing.assert_array_equal(source(batch["gt"])[..., 0, 0, 0], source(batch["lq"])[..., 0, 0, 0])
    coarse = source(batch["lq"])[..., 1:].repeat(SCALE, 2).repeat(SCALE, 3)
    np.testing.assert_array_equal(source(batch["gt"])[..., 1:] // SCALE, coarse)


def test_with_a_margin_of_half_a_window_every_frame_is_a_center_and_ends_are_repeated(clips: list[Clip]):
    count = sum(LENGTHS)
    batch = together(batches(clips, count, batch_size=1, margin=1))
    windows = sorted(frame_numbers(lq) for lq in batch["lq"])
    expected = [
        [10 * clip + min(max(center + step, 0), length - 1) for step in (-1, 0, 1)]
        for clip, length in enumerate(LENGTHS)
        for center in range(length)
    ]
    assert windows == sorted(expected)
    np.testing.assert_array_equal(source(batch["gt"])[:, 0, 0, 0], [frame_numbers(lq)[1] for lq in batch["lq"]])


def test_a_stride_takes_every_so_manieth_window(clips: list[Clip]):
    # Clips of 5, 7 and 6 frames, in pieces of 2 with one more on either side: an odd frame at the end is dropped.
    batch = together(batches(clips, 8, batch_size=1, num_frames=4, margin=1, stride=2))
    windows = sorted(frame_numbers(lq)[1:3] for lq in batch["lq"])
    assert windows == [[0, 1], [2, 3], [10, 11], [12, 13], [14, 15], [20, 21], [22, 23], [24, 25]]


def test_a_mirrored_window_runs_back_to_its_beginning(clips: list[Clip]):
    for changes in ({}, {"random_reverse": True}):
        batch = together(batches(clips, 4, target="all", mirror=True, **changes))
        assert batch["lq"].shape == (16, 6, 8, 8, 3)
        for frames in (batch["lq"], batch["gt"]):
            np.testing.assert_array_equal(frames[:, 3:], frames[:, 2::-1])
    with pytest.raises(InputError, match=r"`mirror` doubles the frames of a sample"):
        training_dataset(clips, mirror=True, **OPTIONS)


# --- several samples of a window ----------------------------------------------------------------------------


def test_crops_of_one_window_stand_side_by_side_and_have_places_of_their_own(clips: list[Clip]):
    changes = {"crops_per_example": 4, "batch_size": 8, "random_reverse": True}
    places = set()
    for batch in batches(clips, 8, **changes, **NO_TURNS):
        assert batch["lq"].shape == (8, 3, 8, 8, 3)
        numbers = [frame_numbers(lq) for lq in batch["lq"]]
        for example in (numbers[:4], numbers[4:]):
            assert example == [example[0]] * 4
        places |= {tuple(lq[0, 0, 0, 1:]) for lq in source(batch["lq"])}
        np.testing.assert_array_equal(
            source(batch["gt"])[:, 0, 0, 1:] // SCALE, source(batch["lq"])[:, 1, 0, 0, 1:]
        )
    assert len(places) > 20  # of 35


def test_an_epoch_of_several_crops_has_every_window_once(clips: list[Clip]):
    windows = sum(length - 2 for length in LENGTHS)
    batch = together(batches(clips, windows, batch_size=2, crops_per_example=2))
    numbers = [frame_numbers(lq)[1] for lq in batch["lq"][::2]]
    assert len(set(numbers)) == windows


def test_a_batch_that_crops_do_not_fill_is_refused(clips: list[Clip]):
    with pytest.raises(InputError, match=r"a batch of 2 samples .* made of 4 from each window"):
        training_dataset(clips, crops_per_example=4, shard=(0, 2), **OPTIONS)


# --- turns --------------------------------------------------------------------------------------------------


def quarter_turns(batch: Batch) -> np.ndarray:
    """How often each sample was turned counter-clockwise, from the way in which its rows and columns run."""
    rows, columns = np.moveaxis(source(batch["lq"])[:, 0, :, :, 1:], -1, 0)
    upright = columns[:, 0, 1] != columns[:, 0, 0]
    down, right = rows[:, 1, 0] > rows[:, 0, 0], rows[:, 0, 1] > rows[:, 0, 0]
    turned = np.where(upright, np.where(down, 0, 2), np.where(right, 1, 3))
    for sample, turns in zip(source(batch["lq"])[:, 0], turned, strict=True):
        back = np.rot90(sample, -turns)
        assert (np.diff(back[..., 1], axis=0) == 1).all()
        assert (np.diff(back[..., 2], axis=1) == 1).all()
    return turned


def test_quarter_turns_by_a_coin_and_by_four_sides(clips: list[Clip]):
    for changes, expected in (({"rot90": True}, [0, 1]), ({"rotation": True}, [0, 1, 2, 3])):
        batch = together(batches(clips, 50, **changes, **NO_TURNS))
        counts = np.bincount(quarter_turns(batch), minlength=4)
        assert np.flatnonzero(counts).tolist() == expected
        assert counts[expected].min() > 200 / len(expected) * 0.7
        center, gt = source(batch["lq"])[:, 1], source(batch["gt"])
        np.testing.assert_array_equal(gt[..., 1:] // SCALE, center[..., 1:].repeat(SCALE, 1).repeat(SCALE, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rot90": True}, r"`rot90` exchanges height and width"),
        ({"rotation": True}, r"`rotation` exchanges height and width"),
        ({"rotation": True, "rot90": True, "crop_size": (8, 8)}, r"`rotation` includes `rot90`"),
        ({"margin": 2}, r"`margin` 2 should be below half of the 3 frames"),
        ({"stride": 0}, r"`stride` should be 1 or more, not 0"),
    ],
)
def test_what_makes_no_sense_is_refused(clips: list[Clip], changes: dict, message: str):
    with pytest.raises(InputError, match=message):
        training_dataset(clips, **OPTIONS | NO_TURNS | {"crop_size": (6, 8)} | changes)


# --- colors and noise --------------------------------------------------------------------------------------


def test_colors_are_those_of_the_sample_s_own_seed_for_input_and_ground_truth(clips: list[Clip]):
    plain = together(batches(clips, 4))
    chosen = {"multiplicative_color": True, "channel_permutation": True}
    colored = together(batches(clips, 4, colors=chosen))
    for index in range(16):
        (frames, truth), (lq, gt) = ([batch[key][index] for key in ("lq", "gt")] for batch in (plain, colored))
        assert (lq != frames).any()
        # Equal colors before are equal colors after, in the input as in the ground truth.
        before = np.concatenate([frames.reshape(-1, 3), truth.reshape(-1, 3)])
        after = np.concatenate([lq.reshape(-1, 3), gt.reshape(-1, 3)])
        _, first, which = np.unique(before, axis=0, return_index=True, return_inverse=True)
        np.testing.assert_array_equal(after, after[first][which.ravel()])
    assert len({tuple(gt.mean((0, 1)).round(3)) for gt in colored["gt"]}) == 16


def test_colors_follow_the_published_order(clips: list[Clip], monkeypatch: pytest.MonkeyPatch):
    """The whole of a sample's colors is one call, after its crop and turns and before other noise."""
    calls = []

    def spy(lq, gt, seed, **chosen):
        calls.append((lq.shape.as_list(), gt.shape.as_list(), chosen))
        return photometric(lq, gt, seed, **chosen)

    monkeypatch.setattr("ascendcv.dataloader.train.photometric", spy)
    chosen = {"brightness": True, "hue": False}
    batches(clips, 1, colors=chosen, sigma=[5, 5])
    assert calls == [([3, 8, 8, 3], [32, 32, 3], chosen)]
    batches(clips, 1, colors={"brightness": False})
    assert len(calls) == 1


def test_clean_clips_get_noise_of_one_deviation_each_that_is_not_clipped(clean_clips: list[Clip]):
    changes = {"scale": 1, "target": "all", "crop_size": (24, 24)}
    batch = together(batches(clean_clips, 25, sigma=[10, 50], **changes))
    assert batch["sigma"].shape == (100,)
    assert 10 / 255 <= batch["sigma"].min() < 14 / 255
    assert 46 / 255 < batch["sigma"].max() <= 50 / 255
    noise = batch["lq"] - batch["gt"]
    np.testing.assert_allclose(noise.std((1, 2, 3, 4)), batch["sigma"], rtol=0.05)
    assert batch["lq"].min() < -0.05  # the pixels of these clips are dark
    clean = together(batches(clean_clips, 2, **changes))
    np.testing.assert_array_equal(clean["lq"], clean["gt"])
    assert "sigma" not in clean


def test_clean_clips_are_read_as_if_input_and_ground_truth_were_two(clips: list[Clip], clean_clips: list[Clip]):
    for target in ("center", "all"):
        for read_mode in ("tf", "python"):
            batch = batches(clean_clips, 4, scale=1, target=target, read_mode=read_mode)
            for one in batch:
                gt = one["gt"] if target == "all" else one["gt"][:, np.newaxis]
                lq = one["lq"] if target == "all" else one["lq"][:, 1:2]
                np.testing.assert_array_equal(lq, gt)


def test_noise_falls_on_half_of_the_input_frames(clips: list[Clip]):
    changes = {"frame_noise_std": 0.01}
    clean, noisy = (together(batches(clips, 25, **options)) for options in ({}, changes))
    np.testing.assert_array_equal(clean["gt"], noisy["gt"])
    noise = noisy["lq"] - clean["lq"]
    hit = noise.any((2, 3, 4))
    assert 0.4 < hit.mean() < 0.6
    assert not np.array_equal(hit[:, 0], hit[:, 1])  # a coin for each frame
    assert noisy["lq"].min() == 0.0  # clipped


# --- decoded frames that are kept ---------------------------------------------------------------------------


def test_a_cache_changes_nothing_and_follows_a_file_that_changes(tmp_path: Path):
    clips = make_clips(tmp_path / "clips")
    options = {"cache": str(tmp_path / "cache")} | EVERYTHING
    plain = batches(clips, 6, **EVERYTHING)
    assert_equal(plain, batches(clips, 6, **options))  # as it fills
    assert_equal(plain, batches(clips, 6, **options))  # full
    kept = list((tmp_path / "cache").rglob("*.npy"))
    assert len(kept) == 2 * sum(LENGTHS)
    other = make_clips(tmp_path / "clips", lambda frame: 255 - frame)
    assert_equal(batches(other, 6, **EVERYTHING), batches(clips, 6, **options))
