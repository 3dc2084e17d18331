"""Exported files say of themselves what network they are; files that say nothing, or nonsense, are refused."""

import json

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.deployment.metadata import read_metadata, write_metadata

pytestmark = pytest.mark.needs("onnx", "openvino", "ai_edge_litert")

FRAMES = {"name": "frames", "shape": [1, 4, 6, 3], "dtype": "float32", "layout": "NHWC", "range": [0, 1]}
FACTS = {
    "metadata_version": 1,
    "version": "0.1.0",
    "format": "onnx",
    "network": "EDVR",
    "kind": "window",
    "step": None,
    "first": None,
    "num_frames": 5,
    "center": 2,
    "scale": 4,
    "channels": 3,
    "color": "RGB",
    "inputs": [FRAMES],
    "outputs": [FRAMES | {"name": "restored"}],
    "states": [],
    "precision": "float32",
    "multiple_of": [1, 1],
    "checkpoint": {"file": 'a <"quoted"> näme.pth', "sha256": "0" * 64, "license": "Apache-2.0"},
    "settings": {"edvr.mid_channels": 8},
    "tolerance": {"accepted": 1e-4, "unit": "of [0, 1]"},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A graph of one operation as a file of each kind, without metadata: ending -> path."""
    import onnx
    import openvino
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("models")
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["frames"], ["restored"])],
        "graph",
        [info("frames", onnx.TensorProto.FLOAT, [1, 4, 6, 3])],
        [info("restored", onnx.TensorProto.FLOAT, [1, 4, 6, 3])],
    )
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), folder / "model.onnx"
    )
    openvino.save_model(openvino.convert_model(folder / "model.onnx"), folder / "model.xml")
    relu = tf.function(tf.nn.relu, input_signature=[tf.TensorSpec([1, 4, 6, 3], name="frames")])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([relu.get_concrete_function()])
    (folder / "model.tflite").write_bytes(converter.convert())
    return {path.suffix: path for path in folder.iterdir()}


@pytest.fixture(params=[".onnx", ".xml", ".tflite"])
def model(request, models, tmp_path):
    """A copy of each of them."""
    path = tmp_path / f"model{request.param}"
    path.write_bytes(models[request.param].read_bytes())
    if request.param == ".xml":
        path.with_suffix(".bin").write_bytes(models[".bin"].read_bytes())
    return path


def test_what_is_written_is_read_and_replaces_what_was_there(model):
    write_metadata(model, FACTS | {"network": "DBN"})
    write_metadata(model, FACTS)
    assert read_metadata(model) == FACTS


def test_the_runtime_computes_as_before(model):
    write_metadata(model, FACTS)
    x = np.random.default_rng(0).standard_normal((1, 4, 6, 3)).astype(np.float32)
    if model.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(model))
        assert json.loads(session.get_modelmeta().custom_metadata_map["ascendvsr"]) == FACTS
        (y,) = session.run(None, {"frames": x})
    elif model.suffix == ".xml":
        import openvino

        y = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[0]
    else:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(model))
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(y, np.maximum(x, 0))


def test_a_file_that_says_nothing_of_itself_is_refused(model):
    with pytest.raises(InputError, match=f"{model.name} says nothing of its network"):
        read_metadata(model)


def told_by(path):
    """The metadata, or the one line by which the file is refused."""
    try:
        return read_metadata(path)
    except InputError as error:
        return str(error)


def is_one_line_about(path, told) -> bool:
    return isinstance(told, str) and str(path) in told and "\n" not in told


def test_a_file_that_is_cut_anywhere_is_read_or_refused_in_one_line(model):
    write_metadata(model, FACTS)
    content = model.read_bytes()
    refused = 0
    for length in range(0, len(content), max(1, len(content) // 60)):
        model.write_bytes(content[:length])
        told = told_by(model)
        assert told == FACTS or is_one_line_about(model, told)
        refused += told != FACTS
    assert refused > 10


@pytest.mark.parametrize("seed", range(20))
def test_a_file_with_wrong_bytes_is_read_or_refused(model, seed):
    write_metadata(model, FACTS)
    content = np.frombuffer(model.read_bytes(), np.uint8).copy()
    random = np.random.default_rng(seed)
    content[random.integers(0, len(content), 20)] = random.integers(0, 256, 20)
    model.write_bytes(content.tobytes())
    told = told_by(model)
    assert isinstance(told, dict) or is_one_line_about(model, told)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"metadata_version": 2, "version": "9.0"}, "written by ascendvsr 9.0, a newer version"),
        ({"kind": "magic"}, "kind is 'magic'"),
        ({"network": 7}, "network is 7"),
        ({"scale": True}, "scale is True"),
        ({"inputs": []}, "no inputs"),
        ({"inputs": [FRAMES | {"shape": [1, -4, 6, 3]}]}, "shape of frames"),
        ({"inputs": ["frames"]}, "is no tensor"),
        ({"states": [["state_a", "next_a"]]}, "the state"),
        ({"first": "../first.onnx"}, "no name of a file beside it"),
    ],
)
def test_metadata_that_means_nothing_is_refused(models, tmp_path, changes, told):
    path = tmp_path / "model.onnx"
    path.write_bytes(models[".onnx"].read_bytes())
    with pytest.raises(InputError, match=told):
        write_metadata(path, FACTS | changes)


@pytest.mark.parametrize("name", ["missing.onnx", "model.txt", "folder.onnx"])
def test_what_is_no_model_is_refused(tmp_path, name):
    (tmp_path / "model.txt").write_text("text")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(InputError, match=name):
        read_metadata(tmp_path / name)
