"""What users of the originals type: settings written in another way, options of another program, unused keys."""

import json
import os
import shutil
import signal

import pytest

from ascendvsr import cli
from ascendvsr.config import load_config
from ascendvsr.config.schema import sections, settings
from ascendvsr.habits import HABITS
from ascendvsr.unused import UNUSED


def refusal(capsys, *words: str) -> str:
    """The one line with which a command line is refused."""
    assert cli.main(list(words)) == 2
    line, end = capsys.readouterr().err.rsplit("\n", 1)
    assert end == ""
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "words",
    [
        ["train", "solver.print_interval=7", "device", "cpu"],
        ["train", "device", "cpu", "solver.print_interval=7"],
        ["device=cpu", "mode=train", "solver.print_interval", "7"],
        ["device", "cpu", "mode", "train", "solver.print_interval=7"],
    ],
)
def test_a_setting_may_be_written_with_an_equals_sign(words: list[str]):
    command, arguments = cli._parse(words)
    assert command == "train"
    cfg = load_config(None, arguments.settings)
    assert (cfg.device, cfg.solver.print_interval) == ("cpu", 7)


def test_what_stands_behind_the_first_equals_sign_is_the_value():
    _, arguments = cli._parse(["train", "output_dir=a=b", "data.data_dir", "c=d"])
    cfg = load_config(None, arguments.settings)
    assert (cfg.output_dir, cfg.data.data_dir) == ("a=b", "c=d")
    _, arguments = cli._parse(["restore", "clip.mp4", "--set", "device=cpu", "--set", "num_threads", "1"])
    assert load_config(None, arguments.settings).device == "cpu"
    assert arguments.inputs == ["clip.mp4"]


@pytest.mark.parametrize(("written", "meant"), [("GPU", "gpu"), ("NPU", "npu"), ("Cpu", "cpu")])
def test_devices_may_be_written_in_capitals(written: str, meant: str):
    assert load_config(None, ["device", written]).device == meant


def test_an_option_of_an_original_is_answered_with_ours(capsys):
    assert "solver.lr_schedule.type: CA or LD" in refusal(capsys, "train", "-LRS", "CA")
    assert "--config-file NAME" in refusal(capsys, "--opt", "options/train_rvrt.json")
    assert "--checkpoint rvrt_001_reds" in refusal(capsys, "eval", "--task=001_RVRT_videosr_bi_REDS_30frames")
    assert "--lq DIR" in refusal(capsys, "mode", "eval", "--folder_lq", "testsets/REDS4/sharp_bicubic")
    assert "ascendvsr train" in refusal(capsys, "--is_train", "--mode", "PVDNet_DVD")


def test_every_answer_names_things_that_there_are():
    for _, ours in HABITS.values():
        for word in ours.replace(",", " ").replace(":", " ").split():
            if "." in word and word.partition(".")[0] in sections():
                assert word in settings(), word


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["train", "checkpoint", "epoch:10"],
            "does not use checkpoint: continue_training latest, best, epoch:N",
        ),
        (["train", "inference.input", "clip"], "inference uses it"),
        (["eval", "--checkpoint", "W.pth", "solver.lr_schedule.base_lr", "1"], "solver.lr_schedule.base_lr: train"),
        (
            ["inference", "--checkpoint", "W.pth", "continue_training=True"],
            "does not use continue_training",
        ),
        (
            ["restore", "in.mp4", "--set", "eval.protocol", "rvrt"],
            "does not use eval.protocol: eval uses it",
        ),
        (["freeze", "init_from", "W.pth"], "freeze does not use init_from"),
    ],
)
def test_a_key_that_a_command_does_not_use_is_refused(capsys, words: list[str], told: str):
    assert told in refusal(capsys, *words)


def test_unused_keys_are_keys():
    known = set(settings()) | sections()
    assert {key for keys in UNUSED.values() for key in keys} <= known


def test_rvrt_s_options_are_settings_of_eval():
    words = "eval --checkpoint W --sigma 50 --lq in --gt out --tile 0 256 256 --tile-overlap 2 20 20 num_threads 1"
    _, arguments = cli._parse(words.split())
    cfg = load_config(None, arguments.settings)
    assert (cfg.data.layout, cfg.data.eval_set) == ("pairs", ".")
    assert (cfg.data.data_dir, cfg.data.gt_folder) == (os.path.abspath("in"), os.path.abspath("out"))
    assert (cfg.eval.tile_frames, cfg.eval.tile_frames_overlap, cfg.data.eval_pad_size) == (0, 2, 20)
    assert (cfg.data.eval_in_patch, cfg.data.eval_in_size, cfg.inference.sigma) == (True, [256, 256], "50")
    whole = load_config(None, cli._parse(["eval", "--checkpoint", "W", "--tile", "0", "0", "0"])[1].settings)
    assert (whole.eval.tile_frames, whole.data.eval_in_patch) == (0, False)


def test_pairs_are_measured_tile_by_tile(reds_set, tiny_edvr_checkpoint, tmp_path, monkeypatch):
    """The clips of `reds_set` as RVRT's test sets lie."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest keeps its own handlers
    for kind, folder in (("blur4", "in"), ("truth", "out")):
        for clip in ("000", "011"):
            shutil.copytree(reds_set / "images" / clip / kind, tmp_path / folder / clip)

    def measured(*words: object) -> dict:
        common = ["--checkpoint", tiny_edvr_checkpoint, "device", "cpu", "output_dir", tmp_path / "outputs"]
        assert cli.main(["eval", *map(str, [*words, *common])]) == 0
        return json.loads((tmp_path / "outputs/result/metrics.json").read_text())

    pairs = ["--lq", tmp_path / "in", "--gt", tmp_path / "out"]
    found = measured(*pairs, "--tile", 0, 12, 12, "--tile-overlap", 2, 8, 8, "--protocol", "rvrt")
    assert found["protocol"]["tile"] == {"size": [12, 12], "overlap": 8}
    assert [video["name"] for video in found["videos"]] == ["000", "011"]
    expected = measured("data.data_dir", reds_set, "eval.rounding", True)
    assert found["total"]["psnr"] == pytest.approx(expected["total"]["psnr"], abs=0.2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["eval", "--gt", "out"], "--gt is the ground truth of what --lq names"),
        (["eval", "--tile-overlap", "2", "20", "30"], "in height and width tiles overlap alike"),
        (["restore"], "name what to restore"),
        (
            ["restore", "clip.mp4", "--gt", "out", "--checkpoint", "edvr_tiny_x4"],
            "there is no file or folder out",
        ),
    ],
)
def test_pairs_and_tiles_that_make_no_sense_are_refused(capsys, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"")
    assert told in refusal(capsys, *words)
