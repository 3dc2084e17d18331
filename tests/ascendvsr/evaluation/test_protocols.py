"""The papers' protocols: the right frames, prepared as each paper says, measured and averaged its way."""

import csv
import json

import keras
import numpy as np
import pytest

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import read_image, write_image
from ascendcv.dataloader.layouts import DVD_SCORED, DVD_TEST
from ascendcv.metrics.psnr import psnr
from ascendcv.metrics.ssim import ssim
from ascendcv.metrics.ssim_matlab import ssim_matlab
from ascendcv.utils.color import luma
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.datasets import evaluation_clips, training_clips, training_windows
from ascendvsr.evaluation.evaluate import evaluate
from ascendvsr.evaluation.protocols import PROTOCOLS, protocol_of, rounded, truncated
from ascendvsr.evaluation.scoring import evaluate_model
from ascendvsr.models import card_named
from ascendvsr.restoration.settings import Settings
from ascendvsr.restoration.sigma import with_noise
from tests.networks import Mixture, Neighbors, runner


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
    """`Neighbors` is not symmetric in time if only the past counts, so both middle frames differ."""

    class Past(Neighbors):
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
    model = Neighbors(reach=0, in_channels=4)
    numbers = [scores(clean, "rvrt", model, sigma=25) for _ in range(2)]
    assert numbers[0]["total"]["psnr"] == numbers[1]["total"]["psnr"]
    row = numbers[0]["videos"][0]["per_frame"][1]
    truth = [read_image(path).astype(np.float32) / 255 for path in clean[0].gt]
    noisy = list(with_noise(truth, 25, seed=0))
    assert np.std(noisy[1] - truth[1]) == pytest.approx(25 / 255, rel=0.02)
    assert np.min(noisy) < 0
    assert row["psnr_input"] == pytest.approx(psnr(rounded(255 * noisy[1]), 255 * truth[1]), abs=1e-4)


def test_noisy_clips_get_no_more_noise(clips):
    found = scores(clips(2), "rvrt", Neighbors(reach=0, in_channels=4), sigma=0)
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


# --- of data sets -------------------------------------------------------------------------------------------

# name -> (measures, frames of a clip of seven that count, mean of the clips' means, window ends)
OF_SETS = {
    "reds4": (("psnr", "ssim"), range(7), True, "reflection_circle"),
    "vid4": (("psnr", "ssim", "psnr_y", "ssim_y"), range(7), True, "reflection_circle"),
    "vimeo90k": (("psnr", "ssim", "psnr_y", "ssim_y"), [3], True, "reflection_circle"),
    "udm10": (("psnr", "ssim", "psnr_y", "ssim_y"), range(7), True, "reflection_circle"),
    "gopro": (("psnr", "ssim"), range(7), False, "replicate"),
    "dvd": (("psnr", "ssim"), range(7), False, "replicate"),
    "davis": (("psnr", "ssim"), range(7), True, "replicate"),
    "set8": (("psnr", "ssim"), range(7), True, "replicate"),
    "edvr": (("psnr", "ssim", "psnr_y", "ssim_y"), range(7), True, "reflection_circle"),
}


@pytest.mark.parametrize("name", list(OF_SETS))
def test_the_protocol_of_a_set_fixes_frames_ends_color_rounding_and_mean(clips, name):
    measures, frames, mean_of_videos, window_ends = OF_SETS[name]
    protocol = protocol_of(load_config(settings={"eval.protocol": name}))
    assert (protocol.mean_of_videos, protocol.window_ends) == (mean_of_videos, window_ends)
    made = clips(7)
    found = scores(made, name, Brighter(0.3 / 255), baseline=False)
    rows = found["videos"][0]["per_frame"]
    assert [row["frame"] for row in rows] == [f"{index:03d}.png" for index in frames]
    assert set(rows[0]) == {"frame", *measures}
    restored, truth = (read_image(paths[frames[0]]) for paths in (made[0].lq, made[0].gt))
    assert rows[0]["psnr"] == pytest.approx(psnr(restored, truth))  # 0.3 of a level is gone when rounded
    if "psnr_y" in measures:
        assert rows[0]["psnr_y"] == pytest.approx(psnr(luma(restored), luma(truth)))
    similarity = ssim_matlab if name in ("gopro", "dvd") else ssim
    assert rows[0]["ssim"] == pytest.approx(similarity(restored, truth))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_is_a_setting_with_words(name):
    assert load_config(settings={"eval.protocol": name}).eval.protocol == name
    assert PROTOCOLS[name].facts


def test_window_ends_are_those_of_the_protocol_whatever_the_settings_say(clips):
    """The first frame of a window that reflects in a circle is the fifth of the clip."""
    made = clips(7)

    class First(Mixture):
        def call(self, clip, training=False):
            return clip[:, 0]

    sharp = [Clip("c", made[0].gt, made[0].gt, (64, 80), (64, 80))]
    settings = Settings(window_ends="replicate")
    row = scores(sharp, "edvr", First(scale=1), settings=settings, baseline=False)["videos"][0]["per_frame"][0]
    expected = psnr(read_image(made[0].gt[4]), read_image(made[0].gt[0]))
    assert row["psnr"] == pytest.approx(expected, abs=1e-4)
    own = scores(sharp, "rvrt", First(scale=1), settings=settings, baseline=False)["videos"][0]["per_frame"][0]
    assert own["psnr"] == np.inf


def test_edvr_on_vimeo_scores_the_middle_frame_alone(clips):
    protocol = protocol_of(load_config(settings={"eval.protocol": "edvr", "data.layout": "vimeo"}))
    found = evaluate_model(runner(Mixture(scale=1, num_frame=7, center_frame_idx=3)), clips(7, 7), protocol)
    assert [row["frame"] for video in found["videos"] for row in video["per_frame"]] == ["003.png", "003.png"]
    assert "the middle frame of each clip alone" in protocol.facts


def test_the_recipe_of_edvr_for_vimeo_reads_vimeo(tmp_path, photograph):
    """Two training clips and one for testing, of seven frames each as they lie in the published set."""
    for number, name in enumerate(("00001/0001", "00001/0002", "00002/0003")):
        for index in range(7):
            truth = photograph[40 * number + index :, 3 * index :][:256, :448]
            place = f"sequences/{name}/im{index + 1}.png"
            write_image(tmp_path / "vimeo_septuplet" / place, truth)
            write_image(tmp_path / "vimeo_septuplet_matlabLRx4" / place, imresize(truth, 0.25))
    (tmp_path / "vimeo_septuplet/sep_trainlist.txt").write_text("00001/0001\n00001/0002\n")
    (tmp_path / "vimeo_septuplet/sep_testlist.txt").write_text("00002/0003\n")
    cfg = load_config("edvr/edvr_l_x4_sr_vimeo90k", settings={"data.data_dir": str(tmp_path)})
    windows = training_windows(cfg, training_clips(cfg))
    assert len(windows) == 2
    clips = evaluation_clips(cfg)
    assert [(clip.name, len(clip.lq)) for clip in clips] == [("00002/0003", 7)]
    network = runner(Mixture(scale=4, num_frame=7, center_frame_idx=3))
    found = evaluate_model(network, clips, protocol_of(cfg), baseline=False)
    assert found["total"]["frames"] == 1
    assert found["videos"][0]["per_frame"][0]["frame"] == "im4.png"
