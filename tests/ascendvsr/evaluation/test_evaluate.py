"""Evaluation: the right frames against the right truth, by a protocol that stands beside the numbers."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import read_image, write_image
from ascendcv.dataloader.reds import read_set
from ascendcv.metrics.psnr import psnr
from ascendcv.metrics.ssim import ssim
from ascendcv.utils.color import luma
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.evaluation.evaluate import evaluate
from ascendvsr.evaluation.protocols import by_keys
from ascendvsr.evaluation.scoring import evaluate_model
from ascendvsr.models import card_named
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.restoration.runner import TimedRunner
from tests.networks import Mixture, runner
from tests.support import TINY_EDVR


@pytest.fixture
def configured(tmp_path, reds_set):
    """Settings for the evaluation of `reds_set`."""

    def make(**settings):
        keys = {key.replace("__", "."): value for key, value in settings.items()}
        folders = {"output_dir": str(tmp_path / "out"), "data.data_dir": str(reds_set)}
        return load_config(settings=TINY_EDVR | folders | keys)

    return make


def test_numbers_are_those_of_the_metrics_on_each_frame(reds_set):
    clips = read_set(reds_set, "val.json")
    numbers = evaluate_model(runner(Mixture(scale=4)), clips, by_keys(crop_border=3, rounding=True))
    assert [video["name"] for video in numbers["videos"]] == ["000", "011"]
    rows = [row for video in numbers["videos"] for row in video["per_frame"]]
    pairs = [pair for clip in clips for pair in zip(clip.lq, clip.gt, strict=True)]
    for row, (lq, gt) in zip(rows, pairs, strict=True):
        low, truth = read_image(lq), read_image(gt)
        images = {"": low.repeat(4, axis=0).repeat(4, axis=1), "_bicubic": imresize(low, 4)}
        assert row["frame"] == lq.name
        for suffix, image in images.items():
            assert row[f"psnr{suffix}"] == pytest.approx(psnr(image, truth, crop_border=3))
            assert row[f"ssim{suffix}"] == pytest.approx(ssim(image, truth, crop_border=3))
            planes = luma(image), luma(truth)
            assert row[f"psnr_y{suffix}"] == pytest.approx(psnr(*planes, crop_border=3))
            assert row[f"ssim_y{suffix}"] == pytest.approx(ssim(*planes, crop_border=3))


def test_the_total_is_the_mean_over_frames_and_stands_beside_that_over_clips(reds_set):
    clips = read_set(reds_set, "val.json")
    del clips[1].lq[1:], clips[1].gt[1:]
    numbers = evaluate_model(runner(Mixture(scale=4)), clips, by_keys(names=("psnr",)))
    frames = [row["psnr"] for video in numbers["videos"] for row in video["per_frame"]]
    assert numbers["total"]["frames"] == len(frames) == 4
    assert numbers["total"]["psnr"] == pytest.approx(np.mean(frames))
    assert numbers["mean_of_videos"]["psnr"] == pytest.approx((np.mean(frames[:3]) + frames[3]) / 2)


@pytest.mark.parametrize(("rounding", "error"), [(False, 0.25), (True, 0.0)])
def test_rounding_is_to_8_bits_and_before_the_metrics(tmp_path, reds_set, rounding, error):
    """A network that is a quarter of a level off is exact once rounded."""
    clips = read_set(reds_set, "val.json")[:1]
    clips = [type(clips[0])("c", clips[0].gt, clips[0].gt, clips[0].gt_size, clips[0].gt_size)]

    class Off(Mixture):
        def call(self, clip, training=False):
            return super().call(clip) + 0.25 / 255

    numbers = evaluate_model(runner(Off(scale=1)), clips, by_keys(rounding=rounding, names=("psnr",)))
    mse = 255**2 / 10 ** (numbers["total"]["psnr"] / 10)
    assert mse == pytest.approx(error**2, abs=0.004)
    assert numbers["total"]["psnr_input"] == np.inf


def test_a_cropping_network_is_compared_with_the_cropped_truth(reds_set):
    class Cropping(Mixture):
        def call(self, clip, training=False):
            return super().call(clip)[:, :-4, :-8]

    numbers = evaluate_model(runner(Cropping(scale=4)), read_set(reds_set, "val.json"), by_keys(names=("psnr",)))
    whole = evaluate_model(runner(Mixture(scale=4)), read_set(reds_set, "val.json"), by_keys(names=("psnr",)))
    assert numbers["total"]["psnr"] == pytest.approx(whole["total"]["psnr"], abs=1)


def command(cfg, network=lambda: runner(Mixture(scale=4))) -> dict:
    return evaluate(cfg, card_named(cfg.model.name), network)


def test_the_command_prints_and_writes_numbers_with_their_protocol(tmp_path, configured, capsys):
    keys = {"eval__crop_border": 2, "eval__rounding": True, "eval__window_ends": "reflection_circle"}
    cfg = configured(checkpoint=str(tmp_path / "tiny.weights.h5"), **keys)
    result = command(cfg)
    lines = capsys.readouterr().out.splitlines()
    total = result["total"]
    told = {line.split(":")[0]: line for line in lines}
    line = told["total, mean over all frames"]
    assert f"PSNR {total['psnr']:.4f} dB" in line
    assert f"bicubic: PSNR {total['psnr_bicubic']:.4f} dB" in line
    assert "6 frames" in line
    assert "ms per frame" in told["000"]

    written = json.loads((tmp_path / "out/result/metrics.json").read_text())
    assert written == json.loads((tmp_path / "out/result/tiny/reds-val/metrics.json").read_text())
    assert written["total"] == total
    protocol = written["protocol"]
    assert protocol["facts"].startswith("clipped and rounded to 8 bits; RGB")
    assert "border 2" in protocol["facts"]
    assert protocol["window_ends"] == "reflection_circle"
    assert protocol["frames"] == 6

    with open(tmp_path / "out/result/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["video"], row["frame"]) for row in rows[2:4]] == [("000", "00000002.png"), ("011", "00000000.png")]
    assert np.mean([float(row["psnr"]) for row in rows]) == pytest.approx(total["psnr"])
    assert {row["facts"] for row in rows} == {protocol["facts"]}


def test_the_lines_of_the_release_are_printed_as_it_printed_them(configured, capsys):
    result = command(configured())
    out = capsys.readouterr().out
    number = r"(\d+\.\d+)"
    video = rf"^Evaluate (\w+)\nVideo \1 PSNR = {number}\n\tInference time: (\d+\.\d\d)$"
    found = re.findall(video, out, re.MULTILINE)
    assert [name for name, _, _ in found] == ["000", "011"]
    assert [float(psnr) for _, psnr, _ in found] == [video["psnr"] for video in result["videos"]]
    assert [float(ms) for _, _, ms in found] == pytest.approx(
        [v["ms_per_frame"] for v in result["videos"]], abs=0.01
    )
    assert re.fullmatch(rf"PSNR = {number}", out.splitlines()[-1])[1] == str(result["total"]["psnr"])


def test_the_time_is_that_of_the_network_and_compiling_is_no_part_of_it(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    network = runner(Mixture(scale=4))

    def slow(frames, state=None, levels=None):
        clock[0] += 5.0 if frames.shape not in seen else 1.0  # the first call of a shape compiles
        seen.add(frames.shape)
        return frames[:, 2], state

    seen: set = set()
    timed = TimedRunner(network)
    timed._runner = slow
    clip, wide = np.zeros((1, 5, 8, 8, 3), np.float32), np.zeros((1, 5, 8, 9, 3), np.float32)
    for frames in (clip, clip, clip):
        timed(frames)
    clock[0] += 100.0  # reading, scoring
    assert timed.seconds == 3.0
    timed(wide)
    assert timed.seconds == 8.0  # there is no other call of this shape
    timed.restart()
    timed(clip)
    assert timed.seconds == 1.0


def test_results_of_other_checkpoints_and_sets_stay(tmp_path, configured, reds_set):
    (reds_set / "sets/other.json").write_bytes((reds_set / "sets/val.json").read_bytes())
    for change in (
        {},
        {"data__eval_set": "other.json"},
        {"eval__protocol": "rvrt"},
        {"checkpoint": "b.pth"},
        {"checkpoint": "elsewhere/a.pth"},
    ):
        command(configured(**{"checkpoint": "a.pth"} | change))
    found = {str(path.parent.relative_to(tmp_path / "out/result")) for path in tmp_path.rglob("*/*/metrics.json")}
    assert found == {".", "a/reds-val", "a/reds-other", "a/reds-val-rvrt", "b/reds-val", "a/reds-val-2"}
    command(configured(checkpoint="a.pth"))
    assert len(list((tmp_path / "out/result").rglob("metrics.json"))) == 6


def test_images_are_saved_by_choice_and_are_those_that_were_measured(tmp_path, configured):
    command(configured(eval__save_images=True, checkpoint="tiny.pth"))
    low = read_image(tmp_path / "reds/images/011/blur4/00000001.png")
    saved = read_image(tmp_path / "out/result/tiny/reds-val/011/blur4/00000001.png")
    np.testing.assert_array_equal(saved, low.repeat(4, axis=0).repeat(4, axis=1))


def test_tiles_cover_every_pixel(configured):
    whole = command(configured())
    cfg = configured(data__eval_in_patch=True, data__eval_in_size=[7, 9], data__eval_pad_size=3)
    tiled = command(cfg)
    assert tiled["total"]["psnr"] == pytest.approx(whole["total"]["psnr"], abs=1e-3)
    assert tiled["protocol"]["tile"] == {"size": (7, 9), "overlap": 3}


def test_edvr_is_measured(configured, tiny_edvr):
    result = command(configured(), lambda: KerasRunner(tiny_edvr))
    assert np.isfinite(result["total"]["psnr"])


def test_a_clip_without_ground_truth_is_named_before_the_network_is_made(tmp_path, configured):
    shutil.rmtree(tmp_path / "reds/images/011/truth")
    with pytest.raises(InputError, match=r"clip 011 has no ground truth"):
        command(configured(), lambda: pytest.fail("too early"))
    assert not (tmp_path / "out").exists()


def test_results_that_were_there_stay_when_a_frame_is_damaged(tmp_path, configured):
    cfg = configured(checkpoint="tiny.pth")
    command(cfg)
    before = (tmp_path / "out/result/metrics.json").read_bytes()
    damaged = tmp_path / "reds/images/011/truth/00000001.png"
    data = bytearray(damaged.read_bytes())
    data[100:300] = bytes(200)
    damaged.write_bytes(data)
    with pytest.raises(InputError, match=str(damaged)):
        command(cfg)
    assert (tmp_path / "out/result/metrics.json").read_bytes() == before
    written = sorted(path.relative_to(tmp_path / "out/result") for path in (tmp_path / "out/result").rglob("*.*"))
    own = [f"tiny/reds-val/metrics.{ending}" for ending in ("csv", "json", "md", "png")]
    assert list(map(str, written)) == ["metrics.csv", "metrics.json", *own]


def test_gray_frames_and_16_bit_truth_are_measured_as_rgb_on_0_to_255(tmp_path, configured):
    folder = tmp_path / "reds/images/000"
    for path in [*folder.rglob("*.png")]:
        gray = read_image(path)[..., 1:2]
        write_image(path, gray.astype(np.uint16) * 257 if path.parent.name == "truth" else gray)
    clips = read_set(tmp_path / "reds", "val.json")[:1]
    row = evaluate_model(runner(Mixture(scale=4)), clips, by_keys(rounding=True))["videos"][0]["per_frame"][0]
    low, truth = read_image(clips[0].lq[0]), read_image(clips[0].gt[0])
    expected = psnr(low.repeat(4, axis=0).repeat(4, axis=1), truth / 257)
    assert row["psnr"] == pytest.approx(expected)
