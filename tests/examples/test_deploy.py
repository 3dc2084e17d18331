"""The programs in examples/deploy: each reads frames, restores them and writes what the network makes."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.ascendvsr.restoration.exported_networks import mixture, recurrence
from tests.support import PROJECT, command_line

EXAMPLES = PROJECT / "examples/deploy"
PROPORTIONS = np.float32([0.2, 0.5, 0.3])
SHAPE = [1, 3, None, None, 3]


@pytest.fixture
def clip(frame_folder):
    """A folder of five frames, 32x40."""
    return frame_folder("clip", count=5)


def pixels(folder: Path) -> np.ndarray:
    """Frames [T, H, W, 3] in a folder, in the order of their names."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".ppm"))
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def expected_of(clip: Path) -> np.ndarray:
    """The frames that the mixture of windows makes, twice as large."""
    frames = pixels(clip) / np.float32(255)
    padded = np.concatenate([frames[:1], frames, frames[-1:]])
    mixed = sum(part * padded[step : step + len(frames)] for step, part in enumerate(PROPORTIONS))
    return np.rint(mixed.repeat(2, axis=1).repeat(2, axis=2) * 255)


def assert_restored(out: Path, expected: np.ndarray) -> None:
    """To a level: sums in another order may round to another one."""
    assert np.abs(pixels(out).astype(int) - expected).max() <= 1


def run(*command: object, **environment: str) -> None:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=os.environ | environment, timeout=300
    )
    assert done.returncode == 0, done.stderr


def run_python(name: str, network: Path, clip: Path, out: Path) -> None:
    run(sys.executable, EXAMPLES / name, network, clip, out)


def built(name: str, tmp_path: Path, *options: object) -> Path:
    """A program of C++, compiled."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++ here")
    program = tmp_path / Path(name).stem
    run(compiler, "-std=c++17", "-O0", "-Wall", "-Werror", EXAMPLES / name, "-o", program, *options)
    return program


def run_program(program: Path, network: Path, clip: Path, out: Path, libraries: Path) -> None:
    """On the frames as PPM images."""
    folder = clip.with_name("ppm")
    folder.mkdir()
    out.mkdir()
    for path in clip.iterdir():
        Image.open(path).save(folder / f"{path.stem}.ppm")
    run(program, network, out, *sorted(folder.iterdir()), LD_LIBRARY_PATH=str(libraries))


def library_folder(module: str, inside: str = "") -> Path:
    return Path(importlib.import_module(module).__file__).parent / inside


@pytest.mark.needs("onnxruntime", "onnx")
def test_onnxruntime_in_python(clip, tmp_path):
    run_python(
        "onnxruntime_frames.py", mixture(tmp_path / "network.onnx", SHAPE, PROPORTIONS), clip, tmp_path / "out"
    )
    assert_restored(tmp_path / "out", expected_of(clip))


@pytest.mark.needs("onnxruntime", "onnx")
def test_onnxruntime_in_python_with_a_state(clip, tmp_path):
    run_python("onnxruntime_frames.py", recurrence(tmp_path / "network.onnx", (32, 40)), clip, tmp_path / "out")
    frames = pixels(clip) / np.float32(255)
    padded = np.concatenate([frames[:1], frames, frames[-1:]])
    before, expected = frames[0], []
    for number in range(len(frames)):
        window = padded[number : number + 3]
        before = 0.1 * window[0] + 0.4 * window[1] + 0.2 * window[2] + 0.3 * before
        expected.append(np.rint(before * 255))
    assert_restored(tmp_path / "out", np.stack(expected))


@pytest.mark.needs("onnxruntime", "onnx")
def test_onnxruntime_in_cpp(clip, tmp_path):
    libraries = library_folder("onnxruntime", "capi")
    headers = os.environ.get("ONNXRUNTIME_INCLUDE")
    if not headers:
        pytest.skip("ONNX Runtime's package has no headers: ONNXRUNTIME_INCLUDE may name a folder of them")
    library = next(libraries.glob("libonnxruntime.so.*"))
    links = tmp_path / "lib"
    links.mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (links / name).symlink_to(library)
    program = built("onnxruntime_frames.cc", tmp_path, "-isystem", headers, "-L", links, "-lonnxruntime")
    network = mixture(tmp_path / "network.onnx", SHAPE, PROPORTIONS)
    run_program(program, network, clip, tmp_path / "out", links)
    assert_restored(tmp_path / "out", expected_of(clip))


@pytest.mark.needs("openvino", "onnx")
def test_openvino_in_python(clip, tmp_path):
    run_python("openvino_frames.py", mixture(tmp_path / "network.xml", SHAPE, PROPORTIONS), clip, tmp_path / "out")
    assert_restored(tmp_path / "out", expected_of(clip))


@pytest.mark.needs("openvino", "onnx")
def test_openvino_in_cpp(clip, tmp_path):
    folder = library_folder("openvino")
    library = next((folder / "libs").glob("libopenvino.so.*"))
    links = ["-isystem", folder / "include", "-L", folder / "libs", f"-l:{library.name}"]
    program = built("openvino_frames.cc", tmp_path, *links)
    network = mixture(tmp_path / "network.xml", SHAPE, PROPORTIONS)
    run_program(program, network, clip, tmp_path / "out", folder / "libs")
    assert_restored(tmp_path / "out", expected_of(clip))


@pytest.fixture(scope="module")
def traced():
    """The mixture of windows of 32x40 pixels as a function of TensorFlow."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([1, 3, 32, 40, 3], tf.float32, name="frames")])
    def restored(frames):
        mixed = tf.reduce_sum(frames * PROPORTIONS.reshape(-1, 1, 1, 1), axis=1)
        return {"restored": tf.identity(tf.repeat(tf.repeat(mixed, 2, axis=1), 2, axis=2), name="restored")}

    return restored


@pytest.fixture(scope="module")
def frozen_graph(traced, tmp_path_factory):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    path = tmp_path_factory.mktemp("graph") / "network.pb"
    graph = convert_variables_to_constants_v2(traced.get_concrete_function()).graph
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_a_frozen_graph_in_python(clip, tmp_path, frozen_graph):
    run_python("frozen_graph_frames.py", frozen_graph, clip, tmp_path / "out")
    assert_restored(tmp_path / "out", expected_of(clip))


def test_a_frozen_graph_in_c(clip, tmp_path, frozen_graph):
    folder = library_folder("tensorflow")
    libraries = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]
    if not all((folder / name).exists() for name in libraries):
        pytest.skip("TensorFlow's libraries are called otherwise here")
    links = ["-isystem", folder / "include", "-L", folder, *(f"-l:{name}" for name in libraries)]
    program = built("tensorflow_frames.cc", tmp_path, *links)
    run_program(program, frozen_graph, clip, tmp_path / "out", folder)
    assert_restored(tmp_path / "out", expected_of(clip))


@pytest.mark.needs("ai_edge_litert")
def test_litert_in_python(clip, tmp_path, traced):
    import tensorflow as tf

    # By a module with the signature's names, as exported files have them.
    module = tf.Module()
    module.restored = traced
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=traced.get_concrete_function())
    path = tmp_path / "network.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert())
    run_python("litert_frames.py", path, clip, tmp_path / "out")
    assert_restored(tmp_path / "out", expected_of(clip))


def test_litert_in_cpp_compiles(tmp_path):
    headers = os.environ.get("LITERT_INCLUDE")
    if not headers:
        pytest.skip("LiteRT's package has neither headers nor this library: LITERT_INCLUDE may name its sources")
    built("litert_frames.cc", tmp_path, "-isystem", headers, "-c")


@pytest.mark.needs("torch")
def test_frames_by_pytorch_are_those_of_tensorflow(clip, tmp_path, tiny_edvr_checkpoint):
    out = tmp_path / "out"
    run(sys.executable, EXAMPLES / "torch_frames.py", tiny_edvr_checkpoint, clip, out, PYTHONPATH=str(PROJECT))
    run(*command_line("restore", clip, tmp_path / "expected", "--checkpoint", tiny_edvr_checkpoint))
    assert_restored(out, pixels(tmp_path / "expected"))
