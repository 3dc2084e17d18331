"""The command `export`: what cannot be is told in one line."""

import subprocess
import sys

import pytest

from tests.support import command_line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "onx"], "there is no format 'onx'; there are savedmodel, pb, onnx, onnx-standard"),
        (["--format", "litert"], "litert takes fixed sizes only"),
        (["--format", "pb", "--weights-dtype", "float16"], "pb has no float16; those with it: onnx"),
        (["--size", "180"], "--size should be height and width"),
        (["--size", "0", "320"], "--size should be height and width"),
        (["--batch", "0"], "--batch 0 should be"),
        (["--check", "missing.onnx"], "missing.onnx: there is no such file"),
        (["--check", "a.onnx", "b.onnx"], "--check takes FILE"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_at_once(tmp_path, words, told):
    done = subprocess.run(
        command_line("export", "--checkpoint", "edvr_tiny_x4", *words), capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["freeze", "export"])
def test_a_disk_that_is_full_ends_in_one_line_and_leaves_nothing(tmp_path, command):
    """The system refuses to let any file grow beyond a megabyte, less than the weights."""
    words = ["output_dir", "out"] if command == "freeze" else ["--format", "pb", "--output", "out"]
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)); "
    main = f"sys.argv[0:1] = []; import runpy; runpy.run_path({command_line()[1]!r}, run_name='__main__')"
    arguments = [command, "--checkpoint", "edvr_tiny_x4", "--size", "16", "16", *words]
    if command == "freeze":
        arguments = [command, "--checkpoint", "edvr_tiny_x4", *words, "data.eval_in_size", "[16, 16]"]
    done = subprocess.run(
        [sys.executable, "-c", limit + main, "main", *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr == "ascendvsr: out/EDVR.pb could not be written: File too large\n"
    assert [path.name for path in (tmp_path / "out").glob("*") if path.name != "config"] == []
