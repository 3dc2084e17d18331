"""Exported networks in their runtimes: what the Keras model gives, in the same loops, without TensorFlow."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from ascendcv.dataloader.image import read_image
from ascendcv.utils.errors import InputError
from ascendvsr.cli import main
from ascendvsr.deployment.metadata import read_metadata, write_metadata
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.runner import Runner
from ascendvsr.restoration.runtimes import read_exported
from ascendvsr.restoration.settings import Settings
from tests.ascendvsr.restoration.exported_networks import (
    described,
    mixture,
    mixture_of_pixels,
    neighbors,
    recurrence,
)
from tests.networks import Mixture, Neighbors, Recurrence, runner
from tests.support import PROJECT

pytestmark = pytest.mark.needs("onnx", "onnxruntime", "openvino")

PROPORTIONS = (0.2, 0.5, 0.3)
FILES = {"onnxruntime": "network.onnx", "openvino": "network.xml"}
both = pytest.mark.parametrize("runtime", FILES)


def session(path, runtime, **options):
    return read_exported(path, runtime).runner(**options)


def frames(photograph, count=5, height=20, width=28):
    return [photograph[100 + 3 * t :, 180 + 2 * t :][:height, :width] / np.float32(255) for t in range(count)]


def assert_same(found, expected):
    np.testing.assert_allclose(np.stack(list(found)), np.stack(list(expected)), rtol=0, atol=2e-6)


@both
def test_windows_of_any_size_in_any_batch(tmp_path, photograph, runtime):
    network = session(mixture(tmp_path / FILES[runtime], [None, 3, None, None, 3], PROPORTIONS), runtime)
    assert isinstance(network, Runner)
    keras_runner = runner(Mixture(3, 1, 2, PROPORTIONS))
    for height, width, batch in ((20, 28, 1), (33, 17, 2), (20, 28, 4)):
        clip, settings = frames(photograph, 5, height, width), Settings(batch_size=batch)
        assert_same(restored_frames(network, clip, settings), restored_frames(keras_runner, clip, settings))


@both
def test_larger_frames_in_tiles_of_the_only_size(tmp_path, photograph, runtime):
    path = mixture(tmp_path / FILES[runtime], [2, 3, 16, 20, 3], PROPORTIONS)
    exported = read_exported(path, runtime)
    settings = exported.fitted(Settings(batch_size=3))
    assert (settings.tile, settings.tile_overlap) == ((16, 20), (8, 10))
    clip = frames(photograph, 5, 37, 50)
    expected = restored_frames(runner(Mixture(3, 1, 2, PROPORTIONS)), clip, Settings())
    assert_same(restored_frames(exported.runner(), clip, settings), expected)


@both
def test_pixels_and_folded_windows(tmp_path, photograph, runtime):
    network = session(mixture_of_pixels(tmp_path / FILES[runtime], 3, 20, 28), runtime)
    clip = frames(photograph, 5)
    expected = restored_frames(runner(Mixture(3, 1, 2)), clip, Settings())
    assert_same(restored_frames(network, clip, Settings(batch_size=3)), expected)


@both
def test_sizes_that_are_no_multiples_are_padded(tmp_path, photograph, runtime):
    path = mixture(tmp_path / FILES[runtime], [1, 3, None, None, 3], PROPORTIONS, multiple_of=[8, 16])
    clip = frames(photograph, 5, 21, 35)
    expected = restored_frames(runner(Mixture(3, 1, 2, PROPORTIONS)), clip, Settings())
    assert_same(restored_frames(session(path, runtime), clip, Settings()), expected)


@both
@pytest.mark.parametrize("tile", [None, (16, 20)])
def test_steps_with_a_state_for_each_tile(tmp_path, photograph, runtime, tile):
    network = session(recurrence(tmp_path / FILES[runtime], tile or (20, 28)), runtime)
    clip, settings = frames(photograph), Settings(tile=tile, tile_overlap=4)
    expected = restored_frames(runner(Recurrence()), clip, settings)
    assert_same(restored_frames(network, clip, settings), expected)


@both
@pytest.mark.parametrize("count", [1, 3, 4, 11])
def test_clips_of_one_length(tmp_path, photograph, runtime, count):
    exported = read_exported(neighbors(tmp_path / FILES[runtime], 4), runtime)
    settings = exported.fitted(Settings())
    assert (settings.tile_frames, settings.tile_frames_overlap) == (4, 1)
    clip = frames(photograph, count)
    expected = restored_frames(runner(Neighbors()), clip, settings)
    assert_same(restored_frames(exported.runner(), clip, settings), expected)


def test_openvino_gives_the_same_each_time_whatever_the_sizes_between(tmp_path, photograph):
    network = session(mixture(tmp_path / "network.xml", [None, 3, None, None, 3], PROPORTIONS), "openvino")
    sizes = [(20, 28), (33, 17), (9, 40), (21, 28), (20, 29), (5, 5)]
    clips = [np.stack(frames(photograph, 3, *size))[np.newaxis] for size in sizes]
    first = [network(clip)[0] for clip in clips]
    for _ in range(10):
        for clip, expected in zip(clips, first, strict=True):
            np.testing.assert_array_equal(network(clip)[0], expected)


def test_threads_and_precision(tmp_path, photograph):
    import openvino

    paths = {name: mixture(tmp_path / file, [1, 3, 20, 28, 3], PROPORTIONS) for name, file in FILES.items()}
    clip = frames(photograph)
    expected = list(restored_frames(runner(Mixture(3, 1, 2, PROPORTIONS)), clip, Settings()))
    for runtime, path in paths.items():
        network = session(path, runtime, threads=1)
        assert network.dtype == "float32"
        assert_same(restored_frames(network, clip, Settings()), expected)
    with pytest.raises(InputError, match="--precision bfloat16 is for --runtime openvino"):
        session(paths["onnxruntime"], "onnxruntime", precision="bfloat16")
    network = session(paths["openvino"], "openvino", precision="bfloat16")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(InputError, match="this processor has none"):
            network(np.stack(clip[:3])[np.newaxis])
    else:
        found = np.stack(list(restored_frames(network, clip, Settings())))
        assert 1e-5 < np.abs(found - np.stack(expected)).max() < 0.02


@both
def test_the_command_needs_no_tensorflow(tmp_path, frame_folder, runtime):
    """A folder of frames by the command, where TensorFlow and Keras cannot be imported."""
    path = mixture(tmp_path / FILES[runtime], [None, 3, None, None, 3], (0, 1, 0))
    clip = frame_folder("clip", count=3)
    options = ["--runtime", runtime, "--model", str(path), "--batch", "2", "--threads", "1"]
    options += ["--tile", "0", "24", "32", "--tile-overlap", "0", "8", "8", "--report", str(tmp_path / "page.html")]
    script = (
        "import sys\n"
        "sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from ascendvsr.cli import main\n"
        f"raise SystemExit(main(['restore', {str(clip)!r}, {str(tmp_path / 'out')!r}, *{options!r}]))"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    for name in os.listdir(clip):
        expected = read_image(clip / name).repeat(2, axis=0).repeat(2, axis=1)
        np.testing.assert_array_equal(read_image(tmp_path / "out" / name), expected)
    assert "EDVR" in (tmp_path / "page.html").read_text()


@pytest.fixture
def refused(tmp_path, frame_folder, capsys):
    """Runs `restore` on a clip, which it refuses in one line; gives the line."""
    numbers = itertools.count()

    def run(path, runtime, *options, size=(32, 40)):
        number = next(numbers)
        clip = frame_folder(f"clip{number}", count=3, height=size[0], width=size[1])
        out = tmp_path / f"out{number}"
        arguments = ["--model", str(path)] if path is not None else []
        arguments += ["--runtime", runtime] if runtime else []
        capsys.readouterr()
        assert main(["restore", str(clip), str(out), *arguments, *map(str, options)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("ascendvsr: ")
        assert said.count("\n") == 1
        assert not out.exists() or not os.listdir(out)
        return said

    return run


@both
def test_files_that_are_no_exports(tmp_path, refused, runtime):
    path = mixture(tmp_path / FILES[runtime], [1, 3, None, None, 3], PROPORTIONS)
    content = path.read_bytes()
    damaged = {
        "empty": b"",
        "text": b"these are no weights",
        "noise": np.random.default_rng(0).bytes(4096),
        "beginning": content[:20],
        "half": content[: len(content) // 2],
        "almost": content[:-1],
        "later": content[1:],
    }
    for name, part in damaged.items():
        file = tmp_path / f"{name}{path.suffix}"
        file.write_bytes(part)
        assert str(file) in refused(file, runtime)
    assert "there is no such file" in refused(tmp_path / f"nowhere{path.suffix}", runtime)
    folder = tmp_path / f"folder{path.suffix}"
    folder.mkdir()
    refused(folder, runtime)


@both
def test_a_graph_that_is_damaged_though_it_says_what_it_is(tmp_path, refused, runtime):
    path = mixture(tmp_path / FILES[runtime], [1, 3, None, None, 3], PROPORTIONS)
    metadata = read_metadata(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Resize", b"Resixe").replace(b"Interpolate", b"Interpolatt"))
    write_metadata(path, metadata)
    assert f"{path}: {runtime} cannot load it" in refused(path, runtime)


def test_weights_of_openvino_that_are_missing_or_truncated(tmp_path, refused):
    path = mixture(tmp_path / "network.xml", [1, 3, None, None, 3], PROPORTIONS)
    weights = path.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:5])
    assert "openvino cannot load it" in refused(path, "openvino")
    weights.unlink()
    assert "openvino cannot load it" in refused(path, "openvino")


@pytest.mark.parametrize(
    "changes",
    [
        {"num_frames": 0},
        {"scale": -1},
        {"multiple_of": [0, 1]},
        {"multiple_of": [1]},
        {"network": "NoNetwork"},
        {"kind": "picture"},
        {"metadata_version": 99},
        {"settings": {"edvr.no_such_key": 1}},
        {"settings": {"edvr.mid_channels": "many"}},
        {"scale": 3},
        {"channels": 4},
        {"num_frames": 5},
        {"center": "middle"},
        {"first": "../elsewhere.onnx"},
        {"first": "nowhere.onnx"},
        {"states": [["frames", "restored"]]},
        {"inputs": []},
        {"outputs": [{"name": "other", "shape": [1], "dtype": "float32", "layout": "NHWC", "range": [0, 1]}]},
    ],
)
def test_metadata_that_are_wrong(tmp_path, refused, changes):
    import onnx

    path = mixture(tmp_path / "network.onnx", [1, 3, None, None, 3], PROPORTIONS)
    model = onnx.load(path)
    model.metadata_props[0].value = json.dumps(described([1, 3, None, None, 3]) | changes)
    onnx.save(model, path)
    assert str(tmp_path) in refused(path, "onnxruntime")


def test_what_does_not_fit_together(tmp_path, refused):
    free = mixture(tmp_path / "free.onnx", [1, 3, None, None, 3], PROPORTIONS)
    fixed = mixture(tmp_path / "fixed.onnx", [1, 3, 24, 36, 3], PROPORTIONS)
    assert "frames of 36x24 pixels, and those of" in refused(fixed, "onnxruntime", size=(23, 60))
    assert "leave --tile out" in refused(fixed, "onnxruntime", "--tile", 0, 16, 16, "--tile-overlap", 0, 4, 4)
    assert "leave --tile out" in refused(fixed, "onnxruntime", "--tile", "auto")
    assert "--runtime openvino takes files that end in .xml" in refused(free, "openvino")
    assert "say --runtime onnxruntime" in refused(free, None)
    assert "name its file with --model" in refused(None, "onnxruntime")
    assert "device cannot be gpu" in refused(free, "onnxruntime", "--set", "device", "gpu")
    assert "eval.precision" in refused(free, "onnxruntime", "--precision", "float8")
    assert "num_threads" in refused(free, "onnxruntime", "--threads", -1)
    assert "takes no noise level" in refused(free, "onnxruntime", "--sigma", 20)
    first = recurrence(tmp_path / "steps.onnx", (32, 40)).with_stem("steps_first")
    assert "is for the first frame of a video only" in refused(first, "onnxruntime")
    first.unlink()
    assert "steps_first.onnx" in refused(first.with_stem("steps"), "onnxruntime")
    flow = mixture(tmp_path / "flow.onnx", [1, 2, None, None, 3], (1, 0), kind="flow", network="SpyNet")
    assert "restores nothing" in refused(flow, "onnxruntime")


@both
def test_a_runtime_that_is_not_installed(tmp_path, refused, monkeypatch, runtime):
    path = mixture(tmp_path / FILES[runtime], [1, 3, None, None, 3], PROPORTIONS)
    monkeypatch.setitem(sys.modules, runtime, None)
    extra = {"onnxruntime": "onnx"}.get(runtime, runtime)
    assert f"{runtime} is not installed: pip install 'ascendvsr[{extra}]'" in refused(path, runtime)
