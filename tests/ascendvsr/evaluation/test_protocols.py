"""The papers' protocols: the right frames, prepared as each paper says, measured and averaged its way."""

import csv
import json

import keras
import numpy as np
import pytest

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.image import read_image, write_image
from ascendcv.dataloader.layouts import DVD_SCORED, DVD_TEST
from ascendcv.metrics.psnr import psnr
from ascendcv.metrics.ssim import ssim
from ascendcv.utils.color import luma
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.evaluation.evaluate import evaluate
from ascendvsr.evaluation.protocols import PROTOCOLS, protocol_of, rounded, truncated
from ascendvsr.evaluation.scoring import evaluate_model
from ascendvsr.models import card_named
from ascendvsr.restoration.sigma import with_noise
from tests.networks import Mixture, Neighbours, runner


@pytest.fixture
def clips(tmp_path, photograph):
    """A maker of clips of blurred and sharp frames, 64x80 pixels: one for each length that is given."""

    def make(*lengths: int, names=("first", "second")) -> list[Clip]:
        made = []
        for name, length in zip(names, lengths, strict=False):
            files = {"blur": [], "gt": []}
            for index in range(length):
                top, left = 100 + 3 * index, 180 + 2 * index
                truth = photograph[top : top + 64, left : left + 80]
                blurred = (truth // 2 + photograph[top + 1 : top + 65, left + 2 : left + 82] // 2).astype(np.uint8)
                for folder, image in (("gt", truth), ("blur", blurred)):
                    path = tmp_path / "pairs" / folder / name / f"{index:03d}.png"
                    write_image(path, image)
                    files[folder].append(path)
            made.append(Clip(name, files["blur"], files["gt"], (64, 80), (64, 80)))
        return made

    return make


def scores(clips: list[Clip], name: str, model=None, **options) -> dict:
    return evaluate_model(runner(model or Mixture(scale=1)), clips, PROTOCOLS[name], **options)


class Brighter(Mixture):
    """What it restores is brighter by `by`, in parts of 1."""

    def __init__(self, by: float):
        super().__init__(scale=1)
        self.by = by

    def call(self, clip, training=False):
        return super().call(clip) + self.by


def test_rounding_half_to_even_and_half_up():
    values = np.array([-3, 0.5, 1.5, 2.5, 254.5, 300], np.float32)
    np.testing.assert_array_equal(rounded(values), [0, 0, 2, 2, 254, 255])
    np.testing.assert_array_equal(truncated(values), [0, 1, 2, 3, 255, 255])


def test_rvrt_rounds_and_takes_the_mean_of_clips(clips):
    made = clips(3, 1)
    found = scores(made, "rvrt", Brighter(0.3 / 255))
    pictures = [[read_image(path) for path in paths] for paths in (made[0].lq, made[0].gt)]
    row = found["videos"][0]["per_frame"][1]
    pair = [images[1] for images in pictures]
    assert row["psnr"] == pytest.approx(psnr(*pair))  # 0.3 of a level is gone when rounded
    assert row["ssim_y"] == pytest.approx(ssim(*map(luma, pair)))
    assert PROTOCOLS["rvrt"].mean_of_videos
    mean = np.mean([video["psnr"] for video in found["videos"]])
    assert found["mean_of_videos"]["psnr"] == pytest.approx(mean)


def test_cdvd_tsp_leaves_four_pixels_out(clips):
    made = clips(2)
    row = scores(made, "cdvd_tsp")["videos"][0]["per_frame"][0]
    pair = read_image(made[0].lq[0]), read_image(made[0].gt[0])
    assert row["psnr"] == pytest.approx(psnr(*pair, crop_border=4))
    assert row["ssim"] == pytest.approx(ssim(*pair, crop_border=4))
    assert "psnr_y" not in row


def test_pvdnet_eval_neither_clips_nor_rounds(clips):
    made = clips(2)
    row = scores(made, "pvdnet_eval", Brighter(0.5))["videos"][0]["per_frame"][0]
    blurred, truth = (read_image(path).astype(np.float32) for path in (made[0].lq[0], made[0].gt[0]))
    assert row["psnr"] == pytest.approx(psnr(blurred + 127.5, truth), abs=1e-4)


def test_pvdnet_paper_aligns_and_skips_the_first_frame(clips):
    """Brightness by a factor and a shift by a pixel do not count, but for the border that is left empty."""
    made = clips(3)

    class Displaced(Mixture):
        def call(self, clip, training=False):
            return 0.5 * keras.ops.roll(super().call(clip), (1, 2), axis=(1, 2))

    sharp = [Clip("c", made[0].gt, made[0].gt, (64, 80), (64, 80))]
    found = scores(sharp, "pvdnet_paper", Displaced(scale=1), baseline=False)
    assert found["total"]["frames"] == 2
    assert [row["frame"] for row in found["videos"][0]["per_frame"]] == ["001.png", "002.png"]
    assert found["total"]["psnr"] > 35
    assert evaluate_model(runner(Displaced(scale=1)), sharp, PROTOCOLS["cdvd_tsp"])["total"]["psnr"] < 15


def test_pvdnet_paper_leaves_sixteen_pixels_out(clips):
    class Framed(Mixture):
        """Restores all but the outer `width` pixels, which it turns black."""

        def __init__(self, width: int):
            super().__init__(scale=1)
            self.width = width

        def call(self, clip, training=False):
            edges = [(0, 0), (self.width, self.width), (self.width, self.width), (0, 0)]
            inside = super().call(clip)[:, self.width : -self.width, self.width : -self.width]
            return keras.ops.pad(inside, edges)

    (made,) = clips(2)
    sharp = [Clip("c", made.gt, made.gt, (64, 80), (64, 80))]
    at_border, inside = (scores(sharp, "pvdnet_paper", Framed(width))["total"]["psnr"] for width in (16, 17))
    assert at_border == scores(sharp, "pvdnet_paper")["total"]["psnr"]
    assert inside < at_border - 10


def test_pvdnet_paper_transposes_frames_that_are_not_1280_wide(photograph):
    """As the original does; the numbers are those of the frame as it lies."""
    image, truth = photograph[:64, :80], photograph[1:65, 2:82]
    measure = PROTOCOLS["pvdnet_paper"].measure
    upright, turned = measure(image, truth), measure(image.swapaxes(0, 1), truth.swapaxes(0, 1))
    assert upright["psnr"] == pytest.approx(turned["psnr"])
    assert upright["ssim"] == pytest.approx(turned["ssim"])


def test_deblur_devil_searches_the_shift_and_counts_the_frames_of_dvd(clips):
    made = clips(20, names=("IMG_0030",))
    found = scores(made, "deblur_devil", baseline=False)
    counted = [row["frame"] for row in found["videos"][0]["per_frame"]]
    assert counted == [f"{index:03d}.png" for index in DVD_SCORED if index < 20]
    assert set(found["total"]) == {"psnr", "total_loss", "frames", "ms_per_frame"}
    assert len(PROTOCOLS["deblur_devil"].frames("another", 20)) == 20
    assert len(PROTOCOLS["deblur_devil"].frames(DVD_TEST[3], 100)) == 30


def test_vimeo_is_the_mean_of_both_middle_frames_of_the_mirrored_clip(clips):
    """`Neighbours` is not symmetric in time if only the past counts, so both middle frames differ."""

    class Past(Neighbours):
        def call(self, clip, training=False):
            self.lengths.append(clip.shape[1])
            before = keras.ops.concatenate([clip[:, :1], clip[:, :-1]], axis=1)
            return 0.75 * clip + 0.25 * before

    made, model = clips(7), Past()
    protocol = protocol_of(load_config(settings={"eval.protocol": "rvrt", "data.layout": "vimeo"}))
    found = evaluate_model(runner(model), made, protocol, baseline=False)
    assert model.lengths == [14]
    (row,) = found["videos"][0]["per_frame"]
    assert row["frame"] == "003.png"
    frames = [read_image(path).astype(np.float32) for path in made[0].lq]
    expected = 0.75 * frames[3] + 0.125 * frames[2] + 0.125 * frames[4]
    assert row["psnr_y"] == pytest.approx(psnr(luma(np.rint(expected)), luma(read_image(made[0].gt[3]))), abs=0.05)


def test_clean_clips_get_noise_of_one_seed_each(clips):
    made = clips(2, 2)
    clean = [Clip(clip.name, clip.gt, clip.gt, (64, 80), (64, 80)) for clip in made]
    model = Neighbours(reach=0, in_channels=4)
    numbers = [scores(clean, "rvrt", model, sigma=25) for _ in range(2)]
    assert numbers[0]["total"]["psnr"] == numbers[1]["total"]["psnr"]
    row = numbers[0]["videos"][0]["per_frame"][1]
    truth = [read_image(path).astype(np.float32) / 255 for path in clean[0].gt]
    noisy = list(with_noise(truth, 25, seed=0))
    assert np.std(noisy[1] - truth[1]) == pytest.approx(25 / 255, rel=0.02)
    assert np.min(noisy) < 0
    assert row["psnr_input"] == pytest.approx(psnr(rounded(255 * noisy[1]), 255 * truth[1]), abs=1e-4)


def test_noisy_clips_get_no_more_noise(clips):
    found = scores(clips(2), "rvrt", Neighbours(reach=0, in_channels=4), sigma=0)
    assert found["total"]["psnr"] == pytest.approx(found["total"]["psnr_input"])


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_number_is_printed_and_written_with_the_name_of_its_protocol(tmp_path, clips, capsys, name):
    clips(2, 2)
    settings = {"data.layout": "pairs", "data.data_dir": str(tmp_path), "data.eval_set": "pairs", "model.scale": 1}
    cfg = load_config(settings=settings | {"eval.protocol": name, "output_dir": str(tmp_path / "out")})
    result = evaluate(cfg, card_named(cfg.model.name), lambda: runner(Mixture(scale=1)))
    lines = capsys.readouterr().out.splitlines()
    numbers = [line for line in lines if " dB" in line]
    assert len(numbers) == 3
    assert all(line.startswith(f"{name}: ") for line in numbers)
    own = result["mean_of_videos" if name == "rvrt" else "total"]
    assert f"PSNR {own['psnr']:.4f} dB" in numbers[2]
    assert any(line.startswith(f"protocol {name}: {PROTOCOLS[name].facts}") for line in lines)
    assert json.loads((tmp_path / "out/result/metrics.json").read_text())["protocol"]["name"] == name
    with open(tmp_path / "out/result/metrics.csv", newline="") as file:
        assert {row["protocol"] for row in csv.DictReader(file)} == {name}


def test_a_clip_of_which_nothing_counts_is_named_before_the_network_is_made(tmp_path, clips):
    clips(2, 1)
    settings = {"data.layout": "pairs", "data.data_dir": str(tmp_path), "data.eval_set": "pairs", "model.scale": 1}
    cfg = load_config(settings=settings | {"eval.protocol": "pvdnet_paper", "output_dir": str(tmp_path / "out")})
    with pytest.raises(InputError, match="clip second has 1 frame, none of which counts"):
        evaluate(cfg, card_named(cfg.model.name), lambda: pytest.fail("too early"))
