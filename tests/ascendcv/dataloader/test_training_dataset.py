"""Training input: which samples, in which order, with which pixels."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ascendcv.dataloader.clips import Clip, verify_frames
from ascendcv.dataloader.samples import Sample, training_samples
from ascendcv.dataloader.train import training_dataset
from ascendcv.utils.errors import InputError
from tests.ascendcv.dataloader.numbered_clips import (
    HEIGHT,
    LENGTHS,
    OPTIONS,
    SCALE,
    WIDTH,
    assert_equal,
    batches,
    frame_numbers,
    make_clips,
    source,
    together,
)

NOISE = {"noise_type": "gaussian", "random_seed": None, "mean": 0.0, "std": 0.05}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return make_clips(tmp_path_factory.mktemp("clips"))


def test_batches_hold_crops_of_one_window_and_the_same_place_of_its_middle_ground_truth(clips: list[Clip]):
    for batch in batches(clips, 12):
        assert batch["lq"].shape == (4, 3, 8, 8, 3)
        assert batch["gt"].shape == (4, 32, 32, 3)
        assert batch["lq"].dtype == batch["gt"].dtype == np.float32
        for lq, gt in zip(batch["lq"], batch["gt"], strict=True):
            first, middle, last = frame_numbers(lq)
            assert (middle - first, last - middle) == (1, 1)
            assert (source(gt)[..., 0] == middle).all()
            for channel in (1, 2):  # row and column, whichever way they run after the turns
                coarse = source(lq)[1, ..., channel]
                np.testing.assert_array_equal(source(gt)[..., channel] // SCALE, coarse.repeat(4, 0).repeat(4, 1))


def test_every_epoch_has_every_window_once_in_an_order_of_its_own(clips: list[Clip]):
    windows = [10 * clip + middle for clip, length in enumerate(LENGTHS) for middle in range(1, length - 1)]
    size = len(windows)
    seen = [frame_numbers(lq)[1] for lq in together(batches(clips, 3 * size, batch_size=1))["lq"]]
    epochs = [seen[:size], seen[size : 2 * size], seen[2 * size :]]
    assert all(sorted(epoch) == windows for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs} | {tuple(windows)}) == 4
    other_seed = [frame_numbers(lq)[1] for lq in together(batches(clips, size, batch_size=1, seed=8))["lq"]]
    assert sorted(other_seed) == windows
    assert other_seed != epochs[0]


@pytest.mark.parametrize("changes", [{"num_threads": 4}, {"queue_size": 1}, {"read_mode": "python"}])
def test_threads_queues_and_decoders_change_nothing(clips: list[Clip], changes: dict):
    assert_equal(batches(clips, 10, noise=NOISE), batches(clips, 10, noise=NOISE, **changes))


@pytest.mark.parametrize("read_mode", ["tf", "python"])
def test_a_run_goes_on_at_any_step_with_the_batches_that_it_would_have_had(clips, read_mode: str):
    options = {"noise": NOISE, "random_reverse": True, "read_mode": read_mode}
    whole = batches(clips, 9, **options)
    assert_equal(whole[5:], batches(clips, 4, start_step=5, **options))
    far = batches(clips, 1, start_step=10**9, **options)  # no samples are skipped one by one
    assert far[0]["lq"].shape == (4, 3, 8, 8, 3)


@pytest.mark.parametrize("workers", [2, 4])
def test_the_workers_batches_make_up_the_global_batch(clips: list[Clip], workers: int):
    parts = [batches(clips, 4, noise=NOISE, shard=(index, workers)) for index in range(workers)]
    assert_equal(batches(clips, 4, noise=NOISE), [together(list(part)) for part in zip(*parts, strict=True)])


def test_turns_and_positions_are_drawn_evenly(clips: list[Clip]):
    lq = source(together(batches(clips, 100))["lq"])[:, 0]
    rows, columns = lq[..., 1], lq[..., 2]
    transposed = rows[:, 0, 1] != rows[:, 0, 0]
    upright_rows = np.where(transposed[:, None, None], rows.transpose(0, 2, 1), rows)
    upright_columns = np.where(transposed[:, None, None], columns.transpose(0, 2, 1), columns)
    upside_down = upright_rows[:, 0, 0] > upright_rows[:, 1, 0]
    mirrored = upright_columns[:, 0, 0] > upright_columns[:, 0, 1]
    for turned in (transposed, upside_down, mirrored):
        assert 0.4 < turned.mean() < 0.6
    assert 0.06 < (transposed & upside_down & mirrored).mean() < 0.19  # independent: 1/8
    tops, lefts = rows.min((1, 2)), columns.min((1, 2))
    assert (np.bincount(tops, minlength=5) > 400 / 5 / 2).all()
    assert (np.bincount(lefts, minlength=7) > 400 / 7 / 2).all()
    assert (tops.max(), lefts.max()) == (HEIGHT - 8, WIDTH - 8)


def test_turns_can_be_left_out(clips: list[Clip]):
    lq = source(together(batches(clips, 20, flip=False, transpose=False, crop_size=(6, 8)))["lq"])
    assert (np.diff(lq[..., 1], axis=2) == 1).all()
    assert (np.diff(lq[..., 2], axis=3) == 1).all()
    upright = batches(clips, 20, transpose=False)
    assert all((np.diff(source(batch["lq"])[..., 1], axis=3) == 0).all() for batch in upright)


def test_half_of_the_windows_run_backwards_where_that_is_wanted(clips: list[Clip]):
    for center, changes in ((1, {}), (0, {"center_frame_idx": 0})):
        batch = together(batches(clips, 50, random_reverse=True, **changes))
        numbers = np.array([frame_numbers(lq) for lq in batch["lq"]])
        backwards = numbers[:, 0] > numbers[:, 2]
        assert 0.4 < backwards.mean() < 0.6
        assert (np.abs(np.diff(numbers, axis=1)) == 1).all()
        np.testing.assert_array_equal(source(batch["gt"])[:, 0, 0, 0], numbers[:, center])


def test_an_interval_spreads_the_window(clips: list[Clip]):
    batch = together(batches(clips, 20, interval=2))
    numbers = np.array([frame_numbers(lq) for lq in batch["lq"]])
    assert (np.diff(numbers, axis=1) == 2).all()
    np.testing.assert_array_equal(source(batch["gt"])[:, 0, 0, 0], numbers[:, 1])
    assert training_samples(clips[1:2], num_frames=3, crop_size=(8, 8), interval=3) == [Sample(0, 0)]


def test_noise_falls_on_the_input_and_has_a_seed_of_its_own(clips: list[Clip]):
    clean, noisy = batches(clips, 3), batches(clips, 3, noise=NOISE)
    other = batches(clips, 3, noise=NOISE | {"random_seed": 1})
    for one, two, three in zip(clean, noisy, other, strict=True):
        np.testing.assert_array_equal(one["gt"], two["gt"])
        np.testing.assert_array_equal(one["gt"], three["gt"])
        assert 0.01 < np.abs(one["lq"] - two["lq"]).mean() < 0.05
        assert (two["lq"] != three["lq"]).any()
    first, second = (batch["lq"] for batch in noisy[:2])
    assert (first[0] - clean[0]["lq"][0] != second[0] - clean[1]["lq"][0]).any()


@pytest.mark.parametrize("read_mode", ["tf", "python"])
def test_16_bit_frames_keep_their_depth(tmp_path: Path, read_mode: str):
    clips = make_clips(tmp_path, lambda frame: frame.astype(np.uint16) * 256 + 1)
    clips = [Clip(clip.name, clip.lq, clip.gt, clip.lq_size, clip.gt_size, bits=16) for clip in clips]
    batch = batches(clips, 1, read_mode=read_mode)[0]
    values = batch["gt"] * 65535
    np.testing.assert_allclose(values % 256, 1, atol=0.02)


def test_a_set_of_8_and_16_bit_frames_has_one_range(tmp_path: Path, clips: list[Clip]):
    deep = make_clips(tmp_path, lambda frame: frame.astype(np.uint16) * 257)
    mixed = [Clip(c.name, c.lq, d.gt, c.lq_size, c.gt_size, bits=16) for c, d in zip(clips, deep, strict=True)]
    for read_mode in ("tf", "python"):
        assert_equal(batches(clips, 3), batches(mixed, 3, read_mode=read_mode))


def test_gray_transparent_palette_and_jpeg_frames_become_rgb_alike_in_both_modes(tmp_path: Path):
    clips = make_clips(tmp_path / "png")
    jpeg = make_clips(tmp_path / "jpg", ending="jpg")
    for path, mode in zip(clips[0].lq, ("L", "LA", "P", "RGBA", "1"), strict=True):
        with Image.open(path) as image:
            image.convert(mode).save(path)
    for path in clips[0].gt:
        with Image.open(path) as image:
            image.convert("L").save(path)
    for read in (clips, jpeg):
        assert_equal(batches(read, 8), batches(read, 8, read_mode="python"))
    assert all((batch["gt"] == batch["gt"][..., :1]).all() for batch in batches(clips[:1], 4))


def test_a_strategy_s_replicas_share_a_batch(clips: list[Clip]):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    distributed = strategy.experimental_distribute_dataset(training_dataset(clips, **OPTIONS))
    for mine, theirs in zip(batches(clips, 2), distributed, strict=False):
        np.testing.assert_array_equal(mine["lq"], theirs["lq"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": 7}, r"clip 0 .* has 5 frames; a training window of 7 frames at interval 1 needs 7"),
        ({"interval": 3}, r"clip 0 .* has 5 frames; a training window of 3 frames at interval 3 needs 7"),
        ({"crop_size": (16, 16)}, r"clip 0 has frames of 14x12 pixels, smaller than the crop of 16x16"),
        ({"crop_size": (8, 10)}, r"`transpose` .* `crop_size` \[8, 10\] should be square"),
        ({"shard": (0, 3)}, r"a global batch of 4 cannot be shared equally by 3 workers"),
        ({"read_mode": "cv2"}, r"`read_mode` is 'cv2'; it should be tf or python"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(clips: list[Clip], changes: dict, message: str):
    with pytest.raises(InputError, match=message):
        training_dataset(clips, **OPTIONS | changes)


def test_training_needs_ground_truth(clips: list[Clip]):
    clip = clips[0]
    with pytest.raises(InputError, match=r"clip 0 .* has no ground truth"):
        training_dataset([Clip("0", clip.lq, [], clip.lq_size, clip.gt_size)], **OPTIONS)


def test_the_content_decides_the_format_not_the_ending(clips: list[Clip], tmp_path: Path):
    others = make_clips(tmp_path, ending="webp")
    for clip in others:
        for path in [*clip.lq, *clip.gt]:
            path.rename(path.with_suffix(".png"))
    named = [
        dataclasses.replace(
            clip,
            lq=[path.with_suffix(".png") for path in clip.lq],
            gt=[path.with_suffix(".png") for path in clip.gt],
        )
        for clip in others
    ]
    assert_equal(batches(named, 5), batches(clips, 5))


@pytest.mark.parametrize("read_mode", ["tf", "python"])
def test_a_frame_that_turns_out_damaged_ends_the_input_and_can_be_named(tmp_path: Path, read_mode: str):
    clips = make_clips(tmp_path)
    whole = clips[1].gt[3].read_bytes()
    clips[1].gt[3].write_bytes(whole[:60] + bytes(40) + whole[100:])
    with pytest.raises(tf.errors.OpError):
        batches(clips, 20, read_mode=read_mode)
    with pytest.raises(InputError, match=r"1/gt/3\.png"):
        verify_frames(clips)


@pytest.mark.parametrize("read_mode", ["tf", "python"])
def test_a_damaged_frame_replaces_its_samples_by_others_and_is_named_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, read_mode: str
):
    clips = make_clips(tmp_path)
    before = batches(clips, 9, read_mode=read_mode)
    whole = clips[1].gt[3].read_bytes()
    clips[1].gt[3].write_bytes(whole[:60] + bytes(40) + whole[100:])
    after = batches(clips, 9, read_mode=read_mode, on_error="replace")
    affected = [
        (step, place)
        for step, batch in enumerate(before)
        for place, sample in enumerate(batch["lq"])
        if frame_numbers(sample)[1] == 13
    ]
    assert affected
    for step, (old, new) in enumerate(zip(before, after, strict=True)):
        for place in range(4):
            if (step, place) in affected:
                assert frame_numbers(new["lq"][place])[1] != 13
            else:
                np.testing.assert_array_equal(old["lq"][place], new["lq"][place])
    assert "1/gt/3.png is no readable image" in caplog.text
    assert f"is replaced by another one ({len(affected)} so far)" in caplog.text
    resumed = batches(clips, 4, read_mode=read_mode, on_error="replace", start_step=5)
    assert_equal(after[5:], resumed)


def test_a_frame_that_vanished_or_changed_its_size_is_damaged_too(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    clips = make_clips(tmp_path)
    clips[0].lq[1].unlink()
    Image.new("RGB", (5, 5)).save(clips[2].gt[2])
    assert len(batches(clips, 9, on_error="replace")) == 9
    assert "0/lq/1.png" in caplog.text
    assert "2/gt/2.png has 5x5 pixels; when training began it had 56x48" in caplog.text


def test_where_nothing_can_be_read_training_ends_and_says_so(tmp_path: Path):
    clips = make_clips(tmp_path)
    for clip in clips:
        for path in clip.lq:
            path.unlink()
    failures = []
    with pytest.raises(tf.errors.OpError):
        batches(clips, 1, on_error="replace", on_failure=failures.append)
    assert "none of 100 samples in a row can be read, the last because" in str(failures[0])
    with pytest.raises(tf.errors.OpError):
        batches(clips, 1, on_error="stop", on_failure=failures.append)
    assert "lq/" in str(failures[1])
    with pytest.raises(InputError, match=r"`on_error` is 'skip'; it should be replace or stop"):
        training_dataset(clips, **OPTIONS, on_error="skip")


def test_ground_truth_may_be_there_of_the_middle_frames_only(clips: list[Clip]):
    clip = clips[0]  # of five frames
    middle = dataclasses.replace(clip, gt=[None, None, clip.gt[2], None, None])
    options = {"num_frames": 5, "random_reverse": True}
    assert_equal(batches([middle], 4, **options), batches([clip], 4, **options))
    for others in ({"num_frames": 3}, {"num_frames": 5, "target": "all"}):
        with pytest.raises(InputError, match=r"clip 0 has ground truth of some frames only, .* \(`num_frames`\)"):
            training_dataset([middle], **OPTIONS | others)
