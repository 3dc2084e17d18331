"""Weights as the package ships them: kernels in float16, the rest untouched, the same file each time."""

from pathlib import Path

import numpy as np
import pytest

from ascendvsr.weights.reader import load_checkpoint
from scripts import ship_weights


def test_kernels_are_halved_and_biases_kept(tiny_edvr_checkpoint: Path, tmp_path: Path):
    assert ship_weights.main([str(tiny_edvr_checkpoint), str(tmp_path / "small.safetensors")]) == 0
    before, after = load_checkpoint(tiny_edvr_checkpoint), load_checkpoint(tmp_path / "small.safetensors")
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array.astype(np.float16) if array.ndim == 4 else array)
    assert (tmp_path / "small.safetensors").stat().st_size < 0.6 * tiny_edvr_checkpoint.stat().st_size


def test_the_same_weights_give_the_same_file(tiny_edvr_checkpoint: Path, tmp_path: Path):
    files = [tmp_path / "one.safetensors", tmp_path / "other.safetensors"]
    for file in files:
        ship_weights.main([str(tiny_edvr_checkpoint), str(file)])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_is_printed_has_the_digest(tiny_edvr_checkpoint: Path, tmp_path: Path, capsys):
    import hashlib

    file = tmp_path / "small.safetensors"
    ship_weights.main([str(tiny_edvr_checkpoint), str(file)])
    assert hashlib.sha256(file.read_bytes()).hexdigest() in capsys.readouterr().out


@pytest.mark.parametrize(
    ("checkpoint", "out", "told"),
    [
        ("missing.pth", "small.safetensors", "missing.pth"),
        (None, "small.pth", "small.pth should end in .safetensors"),
    ],
)
def test_bad_input_is_one_line(checkpoint, out, told, tiny_edvr_checkpoint: Path, tmp_path: Path, capsys):
    source = tmp_path / checkpoint if checkpoint else tiny_edvr_checkpoint
    assert ship_weights.main([str(source), str(tmp_path / out)]) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / out).exists()
