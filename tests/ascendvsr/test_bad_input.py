"""Bad input, given to the real command: one clear line, the right exit status, and nothing harmed."""

import hashlib
import os
import pickle
import resource
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import PROJECT, command_line


def digests(folder: Path) -> dict[Path, str]:
    """Every file below a folder and what it holds."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_refused(result: subprocess.CompletedProcess, *words: object) -> None:
    """Exit status 2 and one line, without a traceback, that holds all of `words`."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("ascendvsr: ")]
    assert len(lines) == 1, result.stderr
    for word in words:
        assert str(word) in lines[0]


@pytest.fixture
def restore(ascendvsr, tiny_edvr_checkpoint, tmp_path):
    """`ascendvsr inference` with small weights, into the folder `restored`."""

    def run(source: Path, *settings: object, **options: object) -> subprocess.CompletedProcess:
        arguments = ["--input", source, "--output", tmp_path / "restored", *settings]
        return ascendvsr("inference", "--checkpoint", tiny_edvr_checkpoint, *arguments, **options)

    return run


def test_a_missing_folder_is_named(restore, tmp_path):
    assert_refused(restore(tmp_path / "nowhere"), tmp_path / "nowhere")
    assert not (tmp_path / "restored").exists()


def test_an_empty_folder_is_named(restore, tmp_path):
    (tmp_path / "empty").mkdir()
    assert_refused(restore(tmp_path / "empty"), tmp_path / "empty")
    assert not (tmp_path / "restored").exists()


def test_a_folder_of_other_files_is_named(restore, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("no frames here")
    assert_refused(restore(tmp_path / "notes"), tmp_path / "notes")


def test_a_truncated_frame_in_the_middle_is_named(restore, frame_folder, tmp_path):
    clip = frame_folder()
    broken = clip / "00000003.png"
    broken.write_bytes(broken.read_bytes()[:200])
    before = digests(clip)
    assert_refused(restore(clip), broken)
    assert digests(clip) == before


def test_frames_of_two_sizes_are_named(restore, frame_folder):
    clip = frame_folder()
    Image.new("RGB", (41, 32)).save(clip / "00000004.png")
    assert_refused(restore(clip), "00000004.png", "32", "40", "41")


def test_one_frame_is_restored(restore, frame_folder, tmp_path):
    result = restore(frame_folder(count=1))
    assert result.returncode == 0, result.stderr
    assert Image.open(tmp_path / "restored" / "00000000.png").size == (160, 128)


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16"])
def test_gray_alpha_and_16_bit_frames_stay_what_they_are(restore, frame_folder, tmp_path, mode):
    clip = frame_folder(count=3)
    for path in clip.iterdir():
        image = Image.open(path)
        if mode == "I;16":
            gray = np.asarray(image.convert("L")).astype(np.uint16) * 257
            image = Image.fromarray(gray)
        else:
            image = image.convert(mode)
        image.save(path)
    result = restore(clip)
    assert result.returncode == 0, result.stderr
    restored = Image.open(tmp_path / "restored" / "00000001.png")
    assert restored.mode == mode
    assert restored.size == (160, 128)


def test_other_files_in_the_folder_are_counted_and_left_alone(restore, frame_folder, tmp_path):
    clip = frame_folder(count=2)
    (clip / "Thumbs.db").write_bytes(b"not a frame")
    result = restore(clip)
    assert result.returncode == 0, result.stderr
    assert "1 other file" in result.stdout + result.stderr
    assert sorted(path.name for path in (tmp_path / "restored").iterdir()) == ["00000000.png", "00000001.png"]


def test_a_missing_checkpoint_is_named(ascendvsr, frame_folder, tmp_path):
    assert_refused(ascendvsr("inference", "--input", frame_folder(), "--checkpoint", tmp_path / "no.pth"), "no.pth")


def test_no_checkpoint_at_all_says_which_option_is_missing(ascendvsr, frame_folder):
    assert_refused(ascendvsr("inference", "--input", frame_folder()), "--checkpoint")


def test_the_weights_of_something_else_are_described(ascendvsr, frame_folder, tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, **{"backbone.stem.weight": np.zeros((8, 3, 7, 7), np.float32)})
    result = ascendvsr("inference", "--input", frame_folder(), "--checkpoint", path)
    assert_refused(result, path, "backbone.stem.weight")


def test_the_weights_of_another_edvr_are_described(ascendvsr, frame_folder, tiny_edvr_checkpoint):
    arguments = ["--input", frame_folder(), "--checkpoint", tiny_edvr_checkpoint]
    result = ascendvsr("inference", *arguments, "--config-file", "configs/edvr/edvr_m_x4_sr_reds.yaml")
    assert_refused(result, "edvr.mid_channels", "64", "8")


def test_the_weights_of_a_flow_network_are_sent_to_the_flow_command(ascendvsr, frame_folder, tmp_path):
    from ascendvsr.models.flow.spynet import SpyNet
    from ascendvsr.weights.mapping import state_dict

    weights = tmp_path / "spynet.npz"
    np.savez(weights, **state_dict(SpyNet()))
    result = ascendvsr("inference", "--checkpoint", weights, "--input", frame_folder())
    assert_refused(result, weights, "SpyNet", "restores nothing", "`ascendvsr flow`")


def test_a_truncated_checkpoint_is_named(ascendvsr, frame_folder, tiny_edvr_checkpoint, tmp_path):
    path = tmp_path / "half.weights.h5"
    path.write_bytes(tiny_edvr_checkpoint.read_bytes()[:20000])
    assert_refused(ascendvsr("inference", "--input", frame_folder(), "--checkpoint", path), path)


def test_a_hostile_checkpoint_is_refused_by_name_of_what_it_asked_for(ascendvsr, frame_folder, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'executed'}",)

    path = tmp_path / "hostile.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"params": Hostile()}, protocol=2))
        archive.writestr("archive/version", "3\n")
    result = ascendvsr("inference", "--input", frame_folder(), "--checkpoint", path)
    assert_refused(result, path, "system")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["edvr.mid_channel", 64], ["edvr.mid_channel", "edvr.mid_channels"]),
        (["edvr.mid_channels", "many"], ["edvr.mid_channels", "a whole number", "many"]),
        (["edvr.num_groups", 2], ["edvr.num_groups", "one group"]),
        (["edvr.mid_channels"], ["edvr.mid_channels", "no value"]),
    ],
)
def test_wrong_settings_are_named(settings, words):
    result = subprocess.run(command_line("train", *settings), cwd=PROJECT, capture_output=True, text=True)
    assert_refused(result, *words)


def test_an_unknown_command_is_named():
    result = subprocess.run(command_line("sharpen"), cwd=PROJECT, capture_output=True, text=True)
    assert_refused(result, "sharpen", "inference")


def test_a_full_disk_ends_with_status_1_and_whole_files_only(restore, frame_folder, tmp_path):
    def limit_file_size() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    clip = frame_folder(count=3, height=64, width=80)
    before = digests(clip)
    result = restore(clip, preexec_fn=limit_file_size)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert "too large" in result.stderr
    assert digests(clip) == before
    assert not list((tmp_path / "restored").glob("*"))


def test_ctrl_c_in_the_middle_leaves_whole_frames_only(frame_folder, tiny_edvr_checkpoint, tmp_path):
    clip, restored = frame_folder(count=1500), tmp_path / "restored"
    arguments = ["--input", clip, "--output", restored, "output_dir", tmp_path / "outputs"]
    command = command_line("inference", "--checkpoint", tiny_edvr_checkpoint, *arguments)
    process = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 400
    while not list(restored.glob("*.png")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    frames = list(restored.iterdir())
    assert 0 < len(frames) < 1500
    assert all(path.suffix == ".png" and not path.name.startswith(".") for path in frames)
    for path in frames:
        assert np.asarray(Image.open(path)).shape == (128, 160, 3)


def test_training_on_a_set_that_is_not_there_says_how_to_make_it(ascendvsr, tmp_path):
    result = ascendvsr("train", "data.data_dir", tmp_path / "nothing")
    assert_refused(result, tmp_path / "nothing")


def test_a_device_that_is_not_there_is_named(restore, frame_folder):
    assert_refused(restore(frame_folder(count=2), "device", "npu"), "npu")
