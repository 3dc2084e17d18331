"""The command `flow`, as a user runs it."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ascendcv.utils.flow_io import read_flo
from ascendvsr.cli import main
from tests.golden.case import Case
from tests.support import PROJECT, command_line

VECTORS = PROJECT / "tests/golden/vectors"
PUBLISHED_SPYNET = PROJECT.parent / "shared/data/spynet_weights/spynet_sintel_final.pth"


@pytest.fixture
def pair(tmp_path, photograph) -> tuple[Path, Path]:
    """A photograph, and what a camera sees that moved 3 pixels to the right and 2 down."""
    for name, (left, top) in {"a": (180, 100), "b": (183, 102)}.items():
        Image.fromarray(photograph[top : top + 96, left : left + 128]).save(tmp_path / f"{name}.png")
    return tmp_path / "a.png", tmp_path / "b.png"


@pytest.fixture(scope="session")
def spynet(tmp_path_factory) -> Path:
    return _checkpoint(tmp_path_factory.mktemp("spynet") / "spynet.npz", "rvrt/spynet_64")


def _checkpoint(path: Path, case: str) -> Path:
    np.savez(path, **Case(VECTORS / f"{case}.json").state_dict())
    return path


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = command_line("flow", *arguments, "device", "cpu")
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)


def test_it_writes_flow_colors_and_the_warped_frame_and_prints_psnr(tmp_path, pair, spynet):
    """With weights of PWC-Net by rule: what it estimates is no motion of these frames."""
    checkpoint = _checkpoint(tmp_path / "pwc.npz", "deblur_devil/pwcnet")
    process = run(*pair, tmp_path / "out/x.flo", "--model", "pwcnet", "--checkpoint", checkpoint)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert "PWC-Net of deblur-devil: motion of" in process.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x.flo", "x.png", "x_warped.png"]
    flow = read_flo(tmp_path / "out/x.flo")
    assert flow.shape == (96, 128, 2)
    assert np.asarray(Image.open(tmp_path / "out/x.png")).shape == (96, 128, 3)
    first, second, warped = (
        np.asarray(Image.open(path), np.float64) for path in (*pair, tmp_path / "out/x_warped.png")
    )
    assert f"{_psnr(second, first):.2f} dB as it is, {_psnr(warped, first):.2f} dB warped" in process.stdout


def _psnr(image: np.ndarray, reference: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((image - reference) ** 2))


@pytest.mark.skipif(not PUBLISHED_SPYNET.exists(), reason="the published weights of SpyNet are not here")
def test_published_weights_find_the_motion(tmp_path, pair):
    process = run(*pair, tmp_path / "x", "--model", "spynet", "--checkpoint", PUBLISHED_SPYNET)
    assert process.returncode == 0, process.stderr
    flow = read_flo(tmp_path / "x.flo")[16:-16, 16:-16]
    np.testing.assert_allclose(flow.mean(axis=(0, 1)), [-3, -2], atol=0.1)
    first, second, warped = (
        np.asarray(Image.open(path), np.float64) for path in (*pair, tmp_path / "x_warped.png")
    )
    assert _psnr(warped, first) > _psnr(second, first) + 10


@pytest.fixture
def refusal(monkeypatch, capsys) -> Callable[..., str]:
    """What the command says of arguments that it refuses, in a line."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest keeps its own handlers

    def run(*arguments: object) -> str:
        assert main(["flow", *map(str, arguments)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


def test_a_checkpoint_of_another_network_is_refused(tmp_path, pair, spynet, refusal):
    said = refusal(*pair, tmp_path / "x", "--model", "pwcnet", "--checkpoint", spynet)
    assert "spynet.npz holds SpyNet: say --model spynet, not pwcnet" in said
    other = tmp_path / "other.npz"
    np.savez(other, conv_first=np.zeros((3, 3), np.float32))
    said = refusal(*pair, tmp_path / "x", "--model", "spynet", "--checkpoint", other)
    assert "other.npz holds no flow network" in said
    assert not (tmp_path / "x.flo").exists()


def test_frames_of_two_sizes_and_missing_ones_are_refused(tmp_path, pair, spynet, refusal):
    Image.new("RGB", (30, 20)).save(tmp_path / "small.png")
    options = [tmp_path / "x", "--model", "spynet", "--checkpoint", spynet]
    assert "small.png has 30x20 pixels" in refusal(pair[0], tmp_path / "small.png", *options)
    assert "none.png does not exist" in refusal(pair[0], tmp_path / "none.png", *options)
    assert "'device' has no value" in refusal(*pair, *options, "device")


def test_bad_input_ends_a_process_with_one_line_and_status_2(tmp_path, pair):
    process = run(*pair, tmp_path / "x", "--model", "spynet", "--checkpoint", tmp_path / "none.pth")
    assert (process.returncode, process.stdout) == (2, "")
    assert len(process.stderr.splitlines()) == 1
    assert "none.pth" in process.stderr
