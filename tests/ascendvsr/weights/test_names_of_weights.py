"""The name of published weights where a path could stand: asked before the download, then the same as the file."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.image import write_image
from ascendcv.utils.errors import InputError
from ascendvsr.cli import main
from ascendvsr.models import CDVDTSP, EDVR, SpyNet, zoo
from ascendvsr.models.zoo import Address, Record, Result
from ascendvsr.weights import commands, load_checkpoint, load_weights, save_weights, state_dict
from ascendvsr.weights.cache import sha256_of
from tests.scripts.file_server import Server, serve


@pytest.fixture
def server(tmp_path: Path, tiny_edvr_checkpoint: Path) -> Iterator[Server]:
    (tmp_path / "served").mkdir()
    shutil.copy(tiny_edvr_checkpoint, tmp_path / "served/tiny.weights.h5")
    with serve(tmp_path / "served") as server:
        yield server


@pytest.fixture(autouse=True)
def published(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """Weights called tiny_x4, the only ones; a run's results go below the test's own folder."""
    monkeypatch.setenv("ASCENDVSR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    record = Record(
        name="tiny_x4",
        task="x4 super-resolution",
        file="tiny.weights.h5",
        sha256=sha256_of(server.folder / "tiny.weights.h5"),
        size=(server.folder / "tiny.weights.h5").stat().st_size,
        license="Apache-2.0",
        sources=(Address(f"{server.address}/tiny.weights.h5"),),
        results=(Result("REDS4", 20.0, 0.5, "rvrt"), Result("Vid4", 21.0, None, "vid4", "Y")),
    )
    monkeypatch.setattr(zoo, "records", lambda: (record,))
    return record


def test_without_a_terminal_nothing_is_downloaded_unless_told(server, reds_set, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115
    command = ["eval", "--model", "tiny_x4", "data.data_dir", str(reds_set)]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "tiny_x4 is not here yet: tiny.weights.h5" in said
    assert "license Apache-2.0" in said
    assert "say --yes, or `ascendvsr download tiny_x4` first" in said
    assert server.requests == []

    assert main([*command, "--yes"]) == 0
    assert "license of the weights: Apache-2.0" in capsys.readouterr().err
    assert json.loads(Path("outputs/edvr/result/metrics.json").read_text())["network"] == "EDVR"
    assert main(command) == 0  # it is there now
    assert len(server.requests) == 1


class Terminal:
    def __init__(self, answer: str):
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "downloads"), [("y\n", True), ("Yes\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_a_person_is_asked(server, monkeypatch, capsys, answer, downloads):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    if downloads:
        assert Path(commands.weights_file("tiny_x4", yes=False)).exists()
    else:
        with pytest.raises(InputError, match="not downloaded: say --yes"):
            commands.weights_file("tiny_x4", yes=False)
    assert "download it? [y/N]" in capsys.readouterr().err
    assert len(server.requests) == downloads


def test_the_command_prints_the_path_and_takes_a_folder(server, tmp_path, capsys):
    assert main(["download", "tiny_x4", "--to", str(tmp_path / "there")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'there/tiny.weights.h5'}\n"
    assert (tmp_path / "there/tiny.weights.h5").exists()


def test_an_unknown_name_is_refused_with_what_there_is(capsys):
    assert main(["download", "tiny_x5"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "near are tiny_x4" in said
    assert "test sets are REDS4, Vid4" in said


def test_reading_never_downloads(server):
    with pytest.raises(InputError, match=r"the weights tiny_x4 are not here: `ascendvsr download` fetches them"):
        load_checkpoint("tiny_x4")
    assert server.requests == []
    main(["download", "tiny_x4"])
    assert load_checkpoint("tiny_x4").keys() == load_checkpoint(server.folder / "tiny.weights.h5").keys()


def test_a_file_of_the_same_name_is_meant_where_there_is_one(server, tmp_path):
    shutil.copy(server.folder / "tiny.weights.h5", tmp_path / "tiny_x4")
    assert "conv_first.weight" in load_checkpoint("tiny_x4")
    assert commands.weights_file("tiny_x4", yes=True) == "tiny_x4"
    assert server.requests == []


def test_a_network_is_made_from_a_name(server, tiny_edvr_checkpoint):
    model = EDVR.from_preset("tiny_x4")
    expected = load_checkpoint(tiny_edvr_checkpoint)
    found = state_dict(model)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], array) for name, array in expected.items())
    fresh = EDVR.from_preset("tiny_x4", load_weights=False, size="crop")
    assert fresh.size == "crop"
    assert not np.array_equal(state_dict(fresh)["conv_first.weight"], expected["conv_first.weight"])
    load_weights(fresh, "tiny_x4")
    assert np.array_equal(state_dict(fresh)["conv_first.weight"], expected["conv_first.weight"])


def test_a_network_is_made_from_a_file(tmp_path):
    network = SpyNet()
    save_weights(network, tmp_path / "spynet.weights.h5")
    assert isinstance(SpyNet.from_preset(tmp_path / "spynet.weights.h5"), SpyNet)


def test_another_network_is_refused_with_the_right_one():
    with pytest.raises(InputError, match=r"tiny_x4 is EDVR, 8 channels.*: say EDVR\.from_preset\('tiny_x4'\)"):
        CDVDTSP.from_preset("tiny_x4")
    with pytest.raises(InputError, match=r"no published weights are called 'gone\.pth'"):
        EDVR.from_preset("gone.pth")


@pytest.fixture
def reds4(tmp_path: Path, photograph: np.ndarray) -> Path:
    """Ground truth of two clips, 64x80, two frames each."""
    for name, top in (("000", 100), ("011", 250)):
        for index in range(2):
            frame = photograph[top + index : top + index + 64, 180:260]
            write_image(tmp_path / f"REDS4/GT/{name}/{index:08d}.png", frame)
    return tmp_path / "REDS4"


def test_a_published_number_is_measured_on_input_that_is_made(reds4, capsys):
    assert main(["verify", "tiny_x4", str(reds4), "--yes"]) == 0
    said = capsys.readouterr().out
    assert "has no sharp_bicubic: it is made of GT, bicubic x4" in said
    metrics = json.loads(Path("outputs/verify/tiny_x4/result/metrics.json").read_text())
    psnr, ssim = (metrics["mean_of_videos"][name] for name in ("psnr", "ssim"))
    *_, head, columns, psnr_line, ssim_line = said.splitlines()
    assert head == "tiny_x4 on REDS4 (RGB), protocol rvrt: 2 clips, 4 frames"
    assert columns.split() == ["published", "measured", "difference"]
    assert psnr_line.split() == ["PSNR", "(dB)", "20.00", f"{psnr:.3f}", f"{psnr - 20:+.3f}"]
    assert ssim_line.split() == ["SSIM", "0.5000", f"{ssim:.4f}", f"{ssim - 0.5:+.4f}"]
    assert list(reds4.iterdir()) == [reds4 / "GT"]


def test_luma_where_the_paper_measured_that(reds4, capsys):
    assert main(["verify", "tiny_x4", str(reds4), "--test-set", "Vid4", "--yes"]) == 0
    said = capsys.readouterr().out.splitlines()
    metrics = json.loads(Path("outputs/verify/tiny_x4/result/metrics.json").read_text())
    assert said[-1].split()[2:4] == ["21.00", f"{metrics['mean_of_videos']['psnr_y']:.3f}"]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("nowhere", [], "there is no folder nowhere, and no test set of this name"),
        ("UDM10", [], "no number of tiny_x4 was published on UDM10, but on REDS4, Vid4"),
        (".", [], "which test set is .? Say --test-set REDS4 or Vid4"),
        (".", ["--test-set", "DVD10"], "no number of tiny_x4 was published on DVD10"),
        (".", ["--test-set", "REDS4"], "has neither sharp_bicubic/ nor GT/: it is not REDS4"),
    ],
)
def test_what_cannot_be_verified_is_told(capsys, data, options, message):
    assert main(["verify", "tiny_x4", data, *options, "--yes"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert message in said
