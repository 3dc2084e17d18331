"""`evaluate RESTORED GT`: what is there is scored, whatever it lies in, and merged exactly."""

import csv
import json
import math
import shutil
import subprocess
import sys
import types
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ascendcv.dataloader.image import read_image, write_image
from ascendcv.metrics.ms_ssim import ms_ssim
from ascendcv.metrics.psnr import psnr
from ascendcv.metrics.ssim import ssim
from ascendcv.utils.color import luma
from ascendcv.utils.errors import InputError
from ascendvsr.evaluation import perceptual, results, temporal, vmaf
from ascendvsr.evaluation.protocols import PROTOCOLS, by_keys
from ascendvsr.evaluation.scores import score
from tests.support import PROJECT, command_line

SHARED = PROJECT.parent / "shared/data"
VECTORS = PROJECT / "tests/golden/vectors/common"


@pytest.fixture
def clips(tmp_path, photograph):
    """A maker of ROOT/restored/CLIP and ROOT/truth/CLIP with frames of 48x64 pixels."""

    def make(lengths: dict[str, int], first: int = 0, height: int = 48, width: int = 64) -> tuple[Path, Path]:
        for number, (name, length) in enumerate(lengths.items()):
            for index in range(length):
                top, left = 60 + 40 * number + index, 100 + 2 * index
                truth = photograph[top : top + height, left : left + width]
                noise = np.random.default_rng([number, index]).normal(0, 5 + index, truth.shape)
                restored = np.clip(np.rint(truth + noise), 0, 255).astype(np.uint8)
                for side, image in (("restored", restored), ("truth", truth)):
                    write_image(tmp_path / side / name / f"{first + index:08d}.png", image)
        return tmp_path / "restored", tmp_path / "truth"

    return make


def images(restored: Path, truth: Path, frame: str) -> tuple[np.ndarray, np.ndarray]:
    return read_image(restored / frame), read_image(truth / frame)


# --- numbers and files --------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_metrics(clips):
    restored, truth = clips({"000": 3, "011": 2})
    found = score(restored, truth, PROTOCOLS["vid4"])
    assert [video["name"] for video in found["videos"]] == ["000", "011"]
    for video in found["videos"]:
        for row in video["per_frame"]:
            a, b = images(restored / video["name"], truth / video["name"], f"{row['frame']}")
            assert row["psnr"] == pytest.approx(psnr(a, b))
            assert row["ssim_y"] == pytest.approx(ssim(luma(a), luma(b)))
    rows = [row["psnr"] for video in found["videos"] for row in video["per_frame"]]
    assert found["total"] == found["total"] | {"psnr": math.fsum(rows) / 5, "frames": 5}
    assert (found["sums"]["psnr"], found["counts"]["psnr"]) == (math.fsum(rows), 5)
    means = [video["psnr"] for video in found["videos"]]
    assert found["mean_of_videos"]["psnr"] == pytest.approx(np.mean(means))


def test_the_command_prints_and_writes_strict_json_csv_markdown_and_a_plot(clips, ascendvsr, tmp_path):
    restored, truth = clips({"000": 2, "a|b": 2})
    shutil.copy(truth / "000/00000001.png", restored / "000/00000001.png")  # identical: an infinite PSNR
    done = ascendvsr("evaluate", restored, truth, "--protocol", "reds4", "--output", tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    assert "000: PSNR inf, SSIM" in done.stdout
    folder = tmp_path / "scores"
    assert {path.name for path in folder.iterdir()} == {f"metrics.{end}" for end in ("json", "csv", "md", "png")}

    def refuse(constant: str):
        raise AssertionError(f"{constant} is no JSON")

    written = json.loads((folder / "metrics.json").read_text(), parse_constant=refuse)
    assert written["total"]["psnr"] == "inf"
    assert written["protocol"]["name"] == "reds4"
    assert written["protocol"]["facts"] == PROTOCOLS["reds4"].facts
    assert written["protocol"]["restored"] == str(restored)
    assert math.isinf(results.read(folder / "metrics.json")["total"]["psnr"])
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["video"], row["frame"], row["protocol"]) for row in rows][1:3] == [
        ("000", "00000001.png", "reds4"),
        ("a|b", "00000000.png", "reds4"),
    ]
    table = (folder / "metrics.md").read_text().splitlines()
    assert table[0] == "| clip | frames | PSNR | SSIM |"
    assert table[2].startswith("| 000 | 2 | inf | 0.")
    assert table[3].startswith("| a\\|b | 2 | ")
    assert (folder / "metrics.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_folder_for_them_scores_lie_beside_what_was_restored(clips, ascendvsr):
    restored, truth = clips({"000": 1})
    assert ascendvsr("evaluate", restored, truth).returncode == 0
    assert (restored.parent / "restored_scores/metrics.json").exists()


def test_with_a_checkpoint_it_is_eval(ascendvsr, reds_set, tiny_edvr_checkpoint, tmp_path):
    words = ("data.data_dir", reds_set, "--checkpoint", tiny_edvr_checkpoint, "eval.crop_border", 2)
    assert (done := ascendvsr("evaluate", *words)).returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "Evaluate 000"
    assert done.stdout.splitlines()[-1].startswith("PSNR = ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name what was restored and its ground truth"),
        (("nowhere", "{truth}"), "there is no file or folder nowhere"),
        (("{restored}", "{truth}", "--protocol", "reds5"), "reds5"),
        (("{restored}", "{truth}", "--measures", "psnr,lpip"), "no measure is called 'lpip'"),
        (("{restored}", "{truth}", "--measures", "tof"), "--flow WEIGHTS"),
        (("{restored}", "{truth}", "--weights", "ema"), "--weights is of a restoration"),
        (("{restored}", "{truth}", "--tile", 0, 64, 64), "--tile is of a restoration"),
        (("{restored}", "{truth}", "--measures", "tof", "--flow", "{truth}/000/00000000.png"), "00000000.png"),
        (("--merge", "{truth}/000/00000000.png"), "holds no results"),
        (("{restored}", "--merge", "{truth}/000/00000000.png"), "has no value"),
    ],
)
def test_what_cannot_be_measured_ends_in_one_line(clips, tmp_path, words, said):
    restored, truth = clips({"000": 1})
    words = [str(word).format(restored=restored, truth=truth) for word in words]
    done = subprocess.run(
        command_line("evaluate", *words), cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
    assert not (tmp_path / "restored_scores").exists()


# --- what lies where ----------------------------------------------------------------------------------------


def test_frames_are_paired_by_name_or_number_never_by_position(clips):
    restored, truth = clips({"000": 4}, first=7)
    (restored / "000/00000007.png").unlink()
    with pytest.raises(InputError, match=r"restored/000.* lacks 00000007\.png"):
        score(restored, truth, by_keys())
    (truth / "000/00000007.png").unlink()
    expected = score(restored, truth, by_keys())["total"]
    for path in sorted((restored / "000").iterdir()):
        path.rename(path.with_name(f"clip2_{int(path.stem)}_x4.png"))
    assert score(restored, truth, by_keys())["total"] == expected


def test_clips_that_are_not_restored_do_not_count_and_are_told(clips, capsys):
    restored, truth = clips({"000": 2, "011": 2, "015": 2})
    shutil.rmtree(restored / "011")
    found = score(restored, truth, by_keys())
    assert [video["name"] for video in found["videos"]] == ["000", "015"]
    assert "1 clips of" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"no ground truth for 011 of"):
        score(truth, restored, by_keys())


def test_folders_of_eval_and_of_the_data_set_are_paired_by_clip(clips, tmp_path):
    restored, truth = clips({"000": 2, "011": 2})
    expected = score(restored, truth, by_keys())["total"]
    for side, inner in ((restored, "blur4"), (truth, "truth")):
        for clip in list(side.iterdir()):
            (side / "moved" / clip.name).mkdir(parents=True)
            clip.rename(side / "moved" / clip.name / inner)
    assert score(restored / "moved", truth / "moved", by_keys())["total"] == expected


def test_hidden_and_foreign_folders_do_not_count(clips):
    restored, truth = clips({"000": 1})
    for name in ("__MACOSX", ".thumbnails"):
        shutil.copytree(restored / "000", restored / name)
    (restored / "000/notes.txt").write_text("x")
    assert len(score(restored, truth, by_keys())["videos"]) == 1


def to_video(folder: Path, path: Path) -> Path:
    """A video without loss: FFV1 in RGB."""
    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        for index, file in enumerate(sorted(folder.iterdir())):
            image = read_image(file)
            if not index:
                stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "bgr0"
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_videos_and_folders_are_compared_frame_by_frame(clips, tmp_path):
    restored, truth = clips({"000": 3, "011": 2})
    made = tmp_path / "videos"
    for name in ("000", "011"):
        to_video(restored / name, made / f"{name}.mkv")
    found, expected = score(made, truth, by_keys()), score(restored, truth, by_keys())
    assert [video["name"] for video in found["videos"]] == ["000", "011"]
    assert found["total"]["psnr"] == pytest.approx(expected["total"]["psnr"])
    single = score(made / "011.mkv", truth / "011", by_keys())
    assert single["total"]["psnr"] == found["videos"][1]["psnr"]
    shutil.copytree(restored / "000", made / "015")  # a folder of frames beside videos
    shutil.copytree(truth / "000", truth / "015")
    both = score(made, truth, by_keys())
    assert {video["name"]: video["frames"] for video in both["videos"]} == {"000": 3, "011": 2, "015": 3}
    with pytest.raises(InputError, match=r"011 has 2 frames, and .*000\.mkv has more"):
        score(made / "000.mkv", truth / "011", by_keys())


@pytest.mark.parametrize("sides", [(True, True), (True, False), (False, True)])
def test_lmdbs_are_compared_with_lmdbs_and_folders(tmp_path, sides):
    """An LMDB that BasicSR wrote, and a folder with its pictures at half their brightness."""
    facts = json.loads((VECTORS / "lmdb_reds.json").read_text())
    arrays = np.load(VECTORS / "lmdb_reds.npz")
    pictures = arrays["decoded_bgr"][..., ::-1]
    places = []
    for name, in_lmdb in zip(("restored", "truth"), sides, strict=True):
        places.append(tmp_path / (f"{name}.lmdb" if in_lmdb else name))
        if in_lmdb:
            places[-1].mkdir()
            (places[-1] / "data.mdb").write_bytes(arrays["data_mdb"].tobytes())
            (places[-1] / "meta_info.txt").write_text(facts["meta_info.txt"])
            continue
        for key, picture in zip(facts["keys"], pictures, strict=True):
            write_image(places[-1] / f"{key}.png", picture // 2)
    found = score(*places, by_keys(names=("psnr",)))
    assert [video["name"] for video in found["videos"]] == ["000", "001"]
    assert [f"{video['name']}/{row['frame']}" for video in found["videos"] for row in video["per_frame"]] == [
        f"{key}.png" for key in facts["keys"]
    ]
    expected = np.inf if all(sides) else np.mean([psnr(picture, picture // 2) for picture in pictures])
    assert found["total"]["psnr"] == pytest.approx(expected)


def test_single_pictures_are_compared(clips):
    restored, truth = clips({"000": 1})
    names = [side / "000/00000000.png" for side in (restored, truth)]
    assert score(*names, by_keys())["total"]["frames"] == 1


def test_other_sizes_are_named_before_anything_is_measured(clips):
    restored, truth = clips({"000": 1, "011": 1})
    image = read_image(restored / "011/00000000.png")
    write_image(restored / "011/00000000.png", image[:12, :16])
    with pytest.raises(InputError, match=r"restored/011 has frames of 16x12 pixels and .*truth/011 of 64x48"):
        score(restored, truth, by_keys())


def test_16_bits_and_gray_are_compared_on_0_to_255(clips):
    restored, truth = clips({"000": 1})
    gray = read_image(restored / "000/00000000.png")[..., 1:2]
    write_image(restored / "000/00000000.png", gray.astype(np.uint16) * 257)
    write_image(truth / "000/00000000.png", np.rot90(gray, 2).copy())
    found = score(restored, truth, by_keys(names=("psnr",)))["total"]["psnr"]
    assert found == pytest.approx(psnr(gray, np.rot90(gray, 2)))


# --- protocols ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("truths", [range(7), [3]])
@pytest.mark.parametrize("restored_frames", [range(7), [3]])
def test_vimeo_scores_the_fourth_of_seven_frames_alone(clips, truths, restored_frames):
    restored, truth = clips({"00001/0001": 7, "00001/0266": 7}, first=1)
    for side, kept in ((restored, restored_frames), (truth, truths)):
        for path in side.rglob("*.png"):
            index = int(path.stem) - 1
            path.rename(path.with_name(f"im{index + 1}.png")) if index in kept else path.unlink()
    if list(restored_frames) == list(truths) == [3]:
        restored, truth = restored / "00001", truth / "00001"
    found = score(restored, truth, PROTOCOLS["vimeo90k"])
    assert [row["frame"] for video in found["videos"] for row in video["per_frame"]] == ["im4.png"] * 2
    name = found["videos"][0]["name"]
    a, b = images(restored / name, truth / name, "im4.png")
    assert found["videos"][0]["psnr_y"] == pytest.approx(psnr(luma(a), luma(b)))


def test_a_protocol_that_leaves_the_first_frame_out_does_so_of_videos_too(clips, tmp_path):
    restored, truth = clips({"000": 3}, height=80, width=96)
    video = to_video(restored / "000", tmp_path / "000.mkv")
    assert score(video, truth / "000", PROTOCOLS["pvdnet_paper"])["total"]["frames"] == 2


# --- merging ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_parts_are_merged_to_the_last_bit(clips, tmp_path, seed):
    """Parts are clips, or frames of a clip; their order does not matter."""
    lengths = {"000": 5, "011": 3, "015": 4}
    restored, truth = clips(lengths)
    whole = score(restored, truth, PROTOCOLS["rvrt"])
    random = np.random.default_rng(seed)
    part_of = {path: random.integers(3) for path in sorted(restored.rglob("*.png"))}
    parts = []
    for number in range(3):
        for path in (path for path, part in part_of.items() if part == number):
            for side in (restored, truth):
                place = path.relative_to(restored)
                target = tmp_path / str(number) / side.name / place
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(side / place, target)
        result = score(tmp_path / str(number) / "restored", tmp_path / str(number) / "truth", PROTOCOLS["rvrt"])
        results.write(tmp_path / str(number) / "scores", result)
        parts.append(results.read(tmp_path / str(number) / "scores/metrics.json"))
    random.shuffle(parts)
    found = results.merged(parts)
    for key in ("total", "mean_of_videos", "videos", "sums", "counts"):
        assert found[key] == whole[key]
    assert found["protocol"]["frames"] == 12


def test_parts_of_other_protocols_and_frames_measured_twice_are_refused(clips):
    restored, truth = clips({"000": 2})
    one = score(restored, truth, PROTOCOLS["rvrt"])
    with pytest.raises(InputError, match=r"name is 'rvrt' of one and 'reds4' of another"):
        results.merged([one, score(restored, truth, PROTOCOLS["reds4"])])
    with pytest.raises(InputError, match=r"frame 00000000\.png of clip 000 was measured twice"):
        results.merged([one, one])


def test_the_command_merges(clips, tmp_path):
    restored, truth = clips({"000": 2, "011": 1})
    for name in ("000", "011"):
        results.write(tmp_path / name, score(restored / name, truth / name, PROTOCOLS["rvrt"]))
    files = [tmp_path / name / "metrics.json" for name in ("000", "011")]
    command = command_line("evaluate", "--merge", *files, "--output", tmp_path / "all")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    expected = score(restored, truth, PROTOCOLS["rvrt"])
    assert results.read(tmp_path / "all/metrics.json")["mean_of_videos"] == expected["mean_of_videos"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"videos": []}', '{"videos": [{"name": 1}], "protocol": {}}'])
def test_what_holds_no_results_is_named(tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(InputError, match=r"metrics\.json holds no results"):
        results.read(tmp_path / "metrics.json")


# --- further measures ---------------------------------------------------------------------------------------


def test_further_measures_of_images(clips):
    restored, truth = clips({"000": 1}, height=176, width=170)
    found = score(restored, truth, PROTOCOLS["reds4"], ["ms_ssim", "ms_ssim_y", "psnr_y", "aligned"])["total"]
    a, b = images(restored / "000", truth / "000", "00000000.png")
    assert found["ms_ssim"] == pytest.approx(ms_ssim(a, b))
    assert found["ms_ssim_y"] == pytest.approx(ms_ssim(luma(a), luma(b)))
    assert found["psnr_y"] == pytest.approx(psnr(luma(a), luma(b)))
    assert {"psnr_aligned", "ssim_aligned", "psnr", "ssim", "frames"} <= found.keys()


def test_alignment_undoes_a_shift_and_a_factor(clips):
    restored, truth = clips({"000": 1}, height=120, width=120)
    image = read_image(truth / "000/00000000.png")
    write_image(restored / "000/00000000.png", (np.roll(image, (2, 3), (0, 1)) * 0.9).astype(np.uint8))
    found = score(restored, truth, PROTOCOLS["reds4"], ["aligned"])["total"]
    assert found["psnr_aligned"] > found["psnr"] + 10


def moving(shift: int, count: int = 4, noise: float = 0) -> list[np.ndarray]:
    """Frames [48, 64, 3] in 0..255 of a texture that moves to the right by `shift` pixels per frame."""
    texture = np.random.default_rng(0).uniform(0, 255, (48, 64 + 20, 3))
    frames = [texture[:, 10 - shift * index :][:, :64] for index in range(count)]
    random = np.random.default_rng(1)
    return [(frame + random.normal(0, noise, frame.shape)).astype(np.float32) for frame in frames]


def test_steadiness_by_a_known_flow():
    """The function knows that all moves by one pixel, and finds out which way."""
    import tensorflow as tf

    def one_pixel(reference, supporting):
        left = tf.reduce_mean((reference[:, :, 1:] - supporting[:, :, :-1]) ** 2)
        right = tf.reduce_mean((reference[:, :, :-1] - supporting[:, :, 1:]) ** 2)
        shape = tf.shape(reference)[:3]
        return tf.stack([tf.where(left < right, -1.0, 1.0) * tf.ones(shape), tf.zeros(shape)], axis=-1)

    truth, steadiness = moving(1), temporal.Steadiness(temporal.by_flow(one_pixel))
    assert steadiness.add(0, truth[0], truth[0]) == {}
    same = steadiness.add(1, truth[1], truth[1])
    assert same["tof"] == 0
    assert same["warping_error"] == pytest.approx(0, abs=1e-4)
    noisy = moving(1, noise=25)
    steadiness = temporal.Steadiness(temporal.by_flow(one_pixel))
    steadiness.add(0, noisy[0], truth[0])
    flickering = steadiness.add(1, noisy[1], truth[1])
    assert flickering["warping_error"] == pytest.approx(2 * (25 / 255) ** 2, rel=0.1)
    against = temporal.Steadiness(temporal.by_flow(one_pixel))
    against.add(0, moving(-1)[0], truth[0])
    assert against.add(1, moving(-1)[1], truth[1])["tof"] == pytest.approx(1)  # 2 pixels in x, 0 in y
    assert against.add(3, truth[3], truth[3]) == {}


@pytest.mark.slow
def test_steadiness_by_a_network_on_real_frames(tmp_path):
    spynet = SHARED / "spynet_weights/spynet_sintel_final.pth"
    folders = [path for path in (SHARED / "reds_7f").rglob("*") if path.is_dir()] if spynet.exists() else []
    truth = next((path for path in folders if len(list(path.glob("*.png"))) == 7), None)
    if truth is None:
        pytest.skip(f"{SHARED} is not there")
    for path in truth.glob("*.png"):
        image = read_image(path)[:128, :160]
        noisy = image + np.random.default_rng(int(path.stem)).normal(0, 20, image.shape)
        write_image(tmp_path / "truth" / path.name, image)
        write_image(tmp_path / "noisy" / path.name, np.clip(noisy, 0, 255).astype(np.uint8))
    measures = ["tof", "warping_error"]
    found = [
        score(tmp_path / name, tmp_path / "truth", PROTOCOLS["reds4"], measures, str(spynet))
        for name in ("truth", "noisy")
    ]
    assert found[0]["total"]["tof"] == 0
    assert found[0]["counts"]["tof"] == 6
    assert found[1]["total"]["tof"] > 0.05
    assert found[1]["total"]["warping_error"] > found[0]["total"]["warping_error"] + 0.005
    assert found[1]["protocol"]["flow"] == f"SpyNet, {spynet}"


FFMPEG = """#!/bin/sh
case "$*" in
  *-filters*) echo " ... {filters} VV->V";;
  *) {run} ;;
esac
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A program `ffmpeg` on PATH that lists `filters` and runs `run`."""

    def make(filters: str, run: str = "exit 0") -> Path:
        folder = tmp_path / "programs"
        folder.mkdir(exist_ok=True)
        (folder / "ffmpeg").write_text(FFMPEG.format(filters=filters, run=run))
        (folder / "ffmpeg").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return folder / "ffmpeg"

    return make


def test_without_a_program_that_has_libvmaf_vmaf_says_so(clips, program, monkeypatch, tmp_path):
    restored, truth = clips({"000": 1})
    program("scale")
    with pytest.raises(InputError, match=r"vmaf needs the program ffmpeg with libvmaf on PATH.* has none"):
        score(restored, truth, by_keys(), ["vmaf"])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no ffmpeg"):
        score(restored, truth, by_keys(), ["vmaf"])


def test_vmaf_is_what_the_program_writes(clips, program):
    restored, truth = clips({"000": 2})
    frames = [{"metrics": {"vmaf": value}} for value in (90.5, 80.25)]
    program("libvmaf", f"echo '{json.dumps({'frames': frames})}' > vmaf.json")
    found = score(restored, truth, by_keys(), ["vmaf"])
    assert [row["vmaf"] for row in found["videos"][0]["per_frame"]] == [90.5, 80.25]
    assert found["total"]["vmaf"] == 85.375


def test_a_program_that_fails_is_told_of(clips, program):
    restored, truth = clips({"000": 2})
    program("libvmaf", "echo 'no model here' >&2; exit 1")
    with pytest.raises(InputError, match="computes no VMAF: no model here"):
        score(restored, truth, by_keys(), ["vmaf"])


def test_what_the_program_gets_are_both_clips_without_loss(clips, tmp_path):
    restored, truth = (side / "000" for side in clips({"000": 3}))
    pairs = [(read_image(restored / path.name), read_image(path)) for path in sorted(truth.iterdir())]
    files = [tmp_path / "a.mkv", tmp_path / "b.mkv"]
    assert vmaf._write(files, iter(pairs)) == 3
    for side, file in enumerate(files):
        with av.open(str(file)) as video:
            for pair, frame in zip(pairs, video.decode(video=0), strict=True):
                np.testing.assert_array_equal(frame.to_ndarray(format="rgb24"), pair[side])


def test_without_pyiqa_lpips_says_so(clips, monkeypatch):
    restored, truth = clips({"000": 1})
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(InputError, match=r"lpips needs the package pyiqa .*: pip install pyiqa"):
        score(restored, truth, by_keys(), ["lpips"])


def test_pyiqa_gets_images_in_0_to_1(clips, monkeypatch):
    """A stand-in for the package, which fetches its weights from a server."""
    restored, truth = clips({"000": 2})

    def create_metric(name: str, device: str):
        assert device == "cpu"

        def metric(*tensors):
            assert len(tensors) == (1 if name == "niqe" else 2)
            assert all(
                tensor.shape == (1, 3, 48, 64) and 0 <= tensor.min() <= tensor.max() <= 1 for tensor in tensors
            )
            return abs(tensors[0] - tensors[-1]).mean() if name == "lpips" else tensors[0].mean()

        return metric

    class Torch(types.ModuleType):
        from_numpy = staticmethod(lambda array: array)
        no_grad = staticmethod(lambda: pytest.MonkeyPatch.context())

    monkeypatch.setitem(sys.modules, "pyiqa", types.SimpleNamespace(create_metric=create_metric))
    monkeypatch.setitem(sys.modules, "torch", Torch("torch"))
    found = score(restored, truth, PROTOCOLS["reds4"], ["lpips", "niqe"])
    a, b = images(restored / "000", truth / "000", "00000001.png")
    row = found["videos"][0]["per_frame"][1]
    assert row["lpips"] == pytest.approx(np.abs(a / 255.0 - b / 255.0).mean(), rel=1e-5)
    assert row["niqe"] == pytest.approx(a.mean() / 255, rel=1e-5)


def test_a_measure_that_pyiqa_cannot_fetch_is_told_of(monkeypatch):
    def create_metric(name: str, device: str):
        raise OSError("no route to\nhost")

    monkeypatch.setitem(sys.modules, "pyiqa", types.SimpleNamespace(create_metric=create_metric))
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    with pytest.raises(InputError, match="pyiqa cannot make niqe: no route to host"):
        perceptual.measure_named("niqe")
