"""Graphs against the lists of what accelerators' compilers take: what is refused, what is doubtful, what passes."""

import re

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.cli import main
from ascendvsr.deployment.operators import TARGETS, check_operators, operator_table, versions

pytestmark = pytest.mark.needs("onnx")


def graph_file(path, nodes, shape=(1, 3, 8, 8), dtype="float32", opset=17, constants=(), outputs=("y",)):
    """An ONNX file of the nodes, whose input is `x`."""
    import onnx
    from onnx import helper, numpy_helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    frames = helper.make_tensor_value_info("x", kind, shape)
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()]
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **node[3]) for node in nodes], "g", [frames], results, weights
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]), path)
    return path


def node(operation, inputs, outputs, **attributes):
    return operation, inputs.split(), outputs.split(), attributes


def findings(path, target="ascend"):
    return [(finding.refused, finding.what, finding.where) for finding in check_operators(target, path).findings]


CONVOLUTION = node("Conv", "x w", "y")
WEIGHTS = {"w": np.ones((4, 3, 3, 3), np.float32)}


def test_a_graph_that_passes_names_the_command(tmp_path):
    path = graph_file(tmp_path / "conv.onnx", [CONVOLUTION], constants=WEIGHTS)
    report = check_operators("ascend", path)
    assert report.fits
    assert report.operations == {"Conv": 1}
    assert (report.opset, report.findings) == (17, ())
    assert f"--model={path} --output=conv" in report.lines()[-1]
    assert '--input_shape="x:1,3,8,8"' in report.lines()[-1]
    assert re.search(r"hicann/ops-math at [0-9a-f]{10} of 20\d\d-\d\d-\d\d", "\n".join(report.lines()))


@pytest.mark.parametrize(
    ("nodes", "opset", "what", "advice"),
    [
        ([node("DeformConv", "x w x", "y")], 19, "DeformConv, which is not on the list", "--format ascend"),
        ([node("Conv", "x w", "y")], 19, "Conv of opset 19", "has it at opset 8-18"),
        ([node("DeformableConv2D", "x w x", "y")], 17, "DeformableConv2D of opset 17", "at opset 9-16"),
        ([node("Corr", "x x", "y")], 18, "Corr of opset 18", "at opset 8-16"),
        ([node("Elsewhere", "x", "y", domain="com.example")], 17, "com.example::Elsewhere", "compose it"),
    ],
)
def test_operations_that_atc_does_not_know(tmp_path, nodes, opset, what, advice):
    path = graph_file(tmp_path / "graph.onnx", nodes, opset=opset, constants=WEIGHTS)
    report = check_operators("ascend", path)
    assert not report.fits
    assert report.findings[0].refused
    assert what in report.findings[0].what
    assert advice in report.findings[0].advice
    assert report.lines()[2].startswith("refused: ")
    assert "atc" not in report.lines()[-1]


def test_operations_that_some_devices_lack(tmp_path):
    path = graph_file(
        tmp_path / "g.onnx", [node("GridSample", "x g", "y")], constants={"g": np.zeros((1, 2, 2, 2))}
    )
    report = check_operators("ascend", path)
    assert report.fits
    assert "A2, A3 and 950" in report.findings[0].advice


def test_operations_inside_branches_are_seen(tmp_path):
    from onnx import helper

    inner = [
        helper.make_graph([helper.make_node("DeformConv", ["x", "x", "x"], ["z"])], "b", [], [_value("z")])
    ] * 2
    nodes = [node("If", "c", "y", then_branch=inner[0], else_branch=inner[1])]
    path = graph_file(tmp_path / "if.onnx", nodes, opset=18, constants={"c": np.array(True)})
    assert (True, "DeformConv, which is not on the list") in [found[:2] for found in findings(path)]


def _value(name):
    import onnx

    return onnx.ValueInfoProto(name=name)


def test_free_sizes_and_what_is_computed_from_them(tmp_path):
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape two", "height"),
        node("Range", "zero height one", "rows"),
        node("Gather", "x rows", "y", axis=2),
    ]
    constants = {name: np.array(value, np.int64) for name, value in (("two", 2), ("zero", 0), ("one", 1))}
    free = graph_file(tmp_path / "free.onnx", nodes, shape=(1, 3, "H", "W"), constants=constants)
    found = {what: (refused, where) for refused, what, where in findings(free)}
    assert found["inputs of free sizes"] == (True, ("x",))
    assert found["sizes that are computed from the shape of the input"][0] is True
    assert found["Gather by indices that are computed from the shape of the input"] == (True, ("y",))
    fixed = graph_file(tmp_path / "fixed.onnx", nodes, constants=constants)
    assert check_operators("ascend", fixed).fits
    assert "which makes them constants" in "\n".join(check_operators("ascend", fixed).lines())


def test_types_sizes_and_axes(tmp_path):
    wide = [node("Cast", "x", "l", to=7), node("Add", "l l", "y")]
    path = graph_file(tmp_path / "wide.onnx", wide)
    assert (False, "numbers of 64 bits that are computed", ("l", "y")) in findings(path)
    path = graph_file(tmp_path / "input.onnx", [node("Abs", "x", "y")], dtype="int64")
    assert (True, "an input of int64", ("x",)) in findings(path)
    nodes = [node("Reshape", "x six", "s"), node("Abs", "s", "y")]
    path = graph_file(tmp_path / "axes.onnx", nodes, constants={"six": np.array([1, 3, 2, 4, 2, 4])})
    assert (False, "tensors of more than 5 axes", ("s", "y")) in findings(path)
    nodes = [node("Slice", "x begin end", "none"), node("Concat", "none x", "y", axis=0)]
    path = graph_file(tmp_path / "zero.onnx", nodes, constants={"begin": np.array([0]), "end": np.array([0])})
    assert (True, "tensors with a size of 0", ("none",)) in findings(path)
    resize = [node("Resize", "x roi scales", "y")]
    constants = {"roi": np.zeros(0, np.float32), "scales": np.array([1, 1, 2, 2], np.float32)}
    assert findings(graph_file(tmp_path / "resize.onnx", resize, constants=constants)) == []


@pytest.mark.needs("openvino")
def test_openvino_files(tmp_path):
    import openvino
    from openvino import opset13 as operations

    frames = operations.parameter([1, 4, 8, 8], np.float32, name="frames")
    taps = operations.constant(np.zeros((1, 18, 6, 6), np.float32))
    kernel = operations.constant(np.ones((2, 4, 3, 3), np.float32))
    zeros, ones = [0, 0], [1, 1]
    moved = operations.deformable_convolution(operations.relu(frames), taps, kernel, ones, zeros, zeros, ones)
    path = tmp_path / "network.xml"
    openvino.save_model(openvino.Model([moved], [frames]), path, compress_to_fp16=False)
    report = check_operators("openvino-npu", path)
    assert report.operations == {"ReLU": 1, "DeformableConvolution": 1}
    assert report.fits
    assert report.inputs["frames"].shape == (1, 4, 8, 8)
    frames = operations.parameter([-1, 4, -1, 8], np.float32, name="frames")
    kinds = operations.is_inf(operations.reshape(frames, operations.shape_of(frames), special_zero=False))
    openvino.save_model(openvino.Model([kinds], [frames]), path, compress_to_fp16=False)
    found = [what for refused, what, _ in findings(path, "openvino-npu") if refused]
    assert found[0].startswith("IsInf, which is not on the list")
    assert found[1:] == ["inputs of free sizes", "sizes that are computed from the shape of the input"]


@pytest.mark.needs("ai_edge_litert")
def test_litert_files(tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    path = tmp_path / "network.tflite"
    for version, code, fits in ((1, schema.BuiltinOperator.ABS, True), (99, schema.BuiltinOperator.ABS, False)):
        path.write_bytes(_litert_file(schema, code, version))
        report = check_operators("litert", path)
        assert report.operations == {"ABS": 1}
        assert report.fits is fits
        assert report.inputs["frames"].shape == (1, 8)
    path.write_bytes(_litert_file(schema, schema.BuiltinOperator.CUSTOM, 1, b"FlexStridedSlice"))
    assert findings(path, "litert")[0][:2] == (True, "FlexStridedSlice, which is not on the list")


def _litert_file(schema, code, version, custom=None):
    import flatbuffers

    def made(kind, **values):
        thing = kind()
        for name, value in values.items():
            setattr(thing, name, value)
        return thing

    tensors = [
        made(schema.TensorT, name=name, shape=[1, 8], type=schema.TensorType.FLOAT32, buffer=0)
        for name in (b"frames", b"restored")
    ]
    operator = made(schema.OperatorT, opcodeIndex=0, inputs=[0], outputs=[1])
    part = made(schema.SubGraphT, tensors=tensors, inputs=[0], outputs=[1], operators=[operator])
    kind = made(
        schema.OperatorCodeT,
        builtinCode=code,
        deprecatedBuiltinCode=min(code, 127),
        version=version,
        customCode=custom,
    )
    model = made(schema.ModelT, version=3, operatorCodes=[kind], subgraphs=[part], buffers=[schema.BufferT()])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("target", TARGETS)
def test_files_that_are_no_graphs(tmp_path, target):
    suffix = TARGETS[target].suffix
    files = {
        "empty": b"",
        "text": b"no graph",
        "noise": np.random.default_rng(0).bytes(4096),
        "short": b"\x1c\0\0\0TFL3",
    }
    for name, content in files.items():
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{name}{suffix} is damaged or no {suffix} model") as refused:
            check_operators(target, path)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="there is no such file"):
        check_operators(target, tmp_path / f"nowhere{suffix}")
    with pytest.raises(InputError, match=f"takes files that end in {suffix}"):
        check_operators(target, tmp_path / "network.pb")


def test_targets_without_a_list():
    with pytest.raises(InputError, match="there are ascend, openvino-npu, litert"):
        check_operators("toaster", "network.onnx")


@pytest.mark.parametrize("target", TARGETS)
def test_lists_tell_where_they_are_from(target):
    table = operator_table(target)
    assert len(table["operations"]) > 150
    for source in table["sources"]:
        assert source["repository"].startswith("https://github.com/")
        assert re.fullmatch("[0-9a-f]{40}", source["commit"])
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", source["date"])
    assert all(versions(text) for text in table["operations"].values())


def test_what_the_lists_hold():
    ascend = operator_table("ascend")["operations"]
    assert versions(ascend["GridSample"]) == {11, 16, 17, 18}
    assert versions(ascend["DeformableConv2D"]) == set(range(9, 17))
    assert "DeformConv" not in ascend
    assert versions(operator_table("litert")["operations"]["CONV_2D"]) >= {1, 8}
    assert {"GridSample", "DeformableConvolution", "Gather"} <= operator_table("openvino-npu")["operations"].keys()


def test_the_command(tmp_path, capsys):
    """Status 0 where nothing is known to be refused, 1 where something is, 2 for what is no graph."""
    graph_file(tmp_path / "fits.onnx", [CONVOLUTION], constants=WEIGHTS)
    graph_file(tmp_path / "not.onnx", [node("DeformConv", "x w x", "y")], opset=19, constants=WEIGHTS)
    (tmp_path / "text.onnx").write_text("no graph")
    assert main(["export", "--check", "ascend", str(tmp_path / "fits.onnx")]) == 0
    assert "atc --framework=5" in capsys.readouterr().out
    assert main(["export", "--check", "ascend", str(tmp_path / "not.onnx")]) == 1
    printed = capsys.readouterr()
    assert "refused: DeformConv" in printed.out
    assert printed.err.count("\n") == 1
    assert main(["export", "--check", "ascend", str(tmp_path / "text.onnx")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
