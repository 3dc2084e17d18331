"""Files for other runtimes: each is run there, equals the network, and is nothing before that is known."""

import functools
import json

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.deployment import formats as formats_module
from ascendvsr.deployment.export import compared, export_files, export_model
from ascendvsr.deployment.formats import FORMATS
from ascendvsr.deployment.metadata import read_metadata
from ascendvsr.deployment.origin import Origin
from ascendvsr.deployment.parity import noise
from ascendvsr.deployment.serving import Served
from ascendvsr.restoration.runtimes import read_exported
from tests.ascendvsr.deployment.small_networks import SMALL, built
from tests.networks import Mixture, Neighbors, Recurrence, card_for, runner

pytestmark = pytest.mark.needs("tf2onnx", "onnx", "onnxruntime", "openvino", "ai_edge_litert")

RUNTIMES = {".onnx": "onnxruntime", ".xml": "openvino", ".tflite": "litert"}
PORTABLE = ("onnx", "openvino", "litert")
BLURRED = functools.partial(Mixture, proportions=[0.1, 0.2, 0.4, 0.1, 0.2])


def served(model, **form) -> Served:
    length = getattr(model, "num_frame", 3)
    size = {"height": 9, "width": 14} if form.pop("fixed", False) else {}
    return Served(card_for(model), model, length, **size, **form)


def session(path):
    """A written file as what restoration computes with."""
    metadata = read_metadata(path)
    opened = formats_module.FORMATS[metadata["format"]].load(
        {"serving_default": path}, {"serving_default": metadata}
    )
    return opened["serving_default"]


def clips(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random(shape, dtype=np.float32)


@pytest.mark.parametrize("name", PORTABLE)
@pytest.mark.parametrize(
    ("form", "dtypes"),
    [
        ({}, ("float32", "float32")),
        ({"folded": True}, ("uint8", "uint8")),
        ({"batch": 2}, ("uint8", "float32")),
        ({"batch": 2, "folded": True}, ("float16", "float16")),
    ],
)
def test_a_file_of_each_runtime_gives_the_networks_pixels_in_every_form(tmp_path, name, form, dtypes):
    model, fixed = BLURRED(), name == "litert"
    form = form | {"input_dtype": dtypes[0], "output_dtype": dtypes[1], "fixed": fixed}
    (report,) = export_files(served(model, **form), [FORMATS[name]], tmp_path)
    *_, file = report["files"]
    assert {path.name for path in tmp_path.iterdir()} == {*report["files"], "export_report.json"}
    metadata = read_metadata(tmp_path / file)
    frames, restored = metadata["inputs"][0], metadata["outputs"][0]
    batch = form.get("batch", 1)
    size = [9, 14] if fixed else [None, None]
    assert frames["shape"] == ([batch * 5] if form.get("folded") else [batch, 5]) + [*size, 3]
    assert (frames["dtype"], restored["dtype"]) == dtypes

    x = clips(batch, 5, 9, 14, 3)
    x = np.rint(x * 255) / np.float32(255) if dtypes[0] == "uint8" else x.astype(dtypes[0]).astype(np.float32)
    given = (np.rint(x * 255) if dtypes[0] == "uint8" else x).astype(dtypes[0])
    y = session(tmp_path / file)({"frames": given.reshape(-1, 9, 14, 3) if form.get("folded") else given})[
        "restored"
    ]
    assert y.dtype == dtypes[1]
    expected = np.asarray(model(x))
    if dtypes[1] == "uint8":
        np.testing.assert_allclose(y, 255 * expected, atol=0.51)
    else:
        np.testing.assert_allclose(y, expected, atol=1e-6 if dtypes[1] == "float32" else 1e-3)


def test_any_number_of_windows_of_any_size(tmp_path):
    model = BLURRED()
    export_files(served(model, batch=None), [FORMATS["onnx"], FORMATS["openvino"]], tmp_path)
    for file in ("Mixture.onnx", "Mixture.xml"):
        opened = session(tmp_path / file)
        for shape in ((3, 5, 7, 11, 3), (1, 5, 1, 2, 3)):
            np.testing.assert_allclose(
                opened({"frames": clips(*shape)})["restored"], model(clips(*shape)), atol=1e-6
            )


def test_the_report_tells_of_every_file_in_the_folder(tmp_path):
    origin = Origin(checkpoint={"file": "w.pth", "sha256": "0" * 64, "license": "MIT"}, settings={"model.scale": 2})
    for name in ("onnx", "openvino"):
        export_files(served(BLURRED()), [FORMATS[name]], tmp_path, origin=origin)
    reports = json.loads((tmp_path / "export_report.json").read_text())
    assert sorted(reports) == ["Mixture.onnx", "Mixture.xml"]
    report = reports["Mixture.xml"]
    assert report["files"] == {file: (tmp_path / file).stat().st_size for file in ("Mixture.bin", "Mixture.xml")}
    assert report["metadata"] == read_metadata(tmp_path / "Mixture.xml")
    assert report["metadata"]["checkpoint"] == origin.checkpoint
    assert len({tuple(case["shape"]) for case in report["cases"]}) == 3
    assert all(side % 4 for case in report["cases"] for side in case["shape"][2:4][:1] if side != 70)
    assert report["largest_difference"] <= 1e-6
    (tmp_path / "Mixture.onnx").unlink()
    export_files(served(BLURRED()), [FORMATS["openvino"]], tmp_path)
    assert list(json.loads((tmp_path / "export_report.json").read_text())) == ["Mixture.xml"]


@pytest.mark.parametrize("name", ["onnx", "openvino"])
@pytest.mark.parametrize("wrong", [0.01, float("nan"), "stops"])
def test_what_differs_or_is_stopped_leaves_nothing_and_replaces_nothing(tmp_path, name, wrong):
    class TwoFaced(Mixture):
        """It computes something else in a graph of unknown size than in one of known size."""

        def call(self, clip, training=False):
            if clip.shape[2] is None:
                return super().call(clip) + (0.0 if wrong == "stops" else wrong)
            if wrong == "stops":
                raise KeyboardInterrupt
            return super().call(clip)

    card = card_for(BLURRED())
    export_files(served(BLURRED()), [FORMATS[name]], tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    expected = KeyboardInterrupt if wrong == "stops" else RuntimeError
    with pytest.raises(expected):
        export_files(Served(card, TwoFaced(), 5), [FORMATS[name]], tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_operation_without_a_counterpart_is_an_error_in_one_line(tmp_path):
    class Bessel(Mixture):
        def call(self, clip, training=False):
            import tensorflow as tf

            return tf.math.bessel_i0e(super().call(clip))

    for name in ("onnx", "litert"):
        with pytest.raises(RuntimeError, match=r"Bessel.*has no counterpart in") as error:
            export_files(served(Bessel(), fixed=True), [FORMATS[name]], tmp_path)
        assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_recurrent_network_is_two_files_that_restore_a_video(tmp_path):
    model = Recurrence()
    reports = export_files(served(model), [FORMATS["onnx"], FORMATS["openvino"]], tmp_path)
    assert list(reports[0]["files"]) == ["Recurrence_first.onnx", "Recurrence.onnx"]
    keras_runner, states = runner(model), {}
    for file in ("Recurrence.onnx", "Recurrence.xml"):
        facts = read_metadata(tmp_path / file)
        assert facts["states"] == [["state_restored", "next_restored"]]
        first = read_metadata(tmp_path / facts["first"])
        assert (facts["step"], first["step"]) == ("next", "first")
        assert [tensor["name"] for tensor in first["inputs"]] == ["frames"]
    for _ in range(3):
        window = clips(1, 3, 6, 7, 3)
        expected, states["keras"] = keras_runner(window, states.get("keras"))
        kind = FORMATS["onnx"]
        paths = {"first": tmp_path / "Recurrence_first.onnx", "serving_default": tmp_path / "Recurrence.onnx"}
        opened = kind.load(paths, {key: read_metadata(path) for key, path in paths.items()})
        given = {"frames": window}
        if "onnx" in states:
            outputs = opened["serving_default"](given | {"state_restored": states["onnx"]})
        else:
            outputs = opened["first"](given)
        states["onnx"] = outputs["next_restored"]
        np.testing.assert_allclose(outputs["restored"], expected, atol=1e-6)


def test_a_file_is_compared_again(tmp_path):
    model = Neighbors()
    export_files(served(model, input_dtype="uint8"), [FORMATS["onnx"]], tmp_path)
    path = tmp_path / "Neighbors.onnx"
    report = compared(path, read_metadata(path), card_for(model), model, Origin())
    assert report["largest_difference"] <= 1e-6
    with pytest.raises(RuntimeError, match="the onnx differs from the Keras model"):
        compared(path, read_metadata(path), card_for(model), Neighbors(reach=2), Origin())


@pytest.mark.parametrize("name", ["litert", "ascend"])
@pytest.mark.parametrize("form", [{}, {"fixed": True, "batch": None}])
def test_what_takes_fixed_sizes_only_says_so(tmp_path, name, form):
    with pytest.raises(InputError, match=f"{name} takes fixed sizes only"):
        export_files(served(BLURRED(), **form), [FORMATS[name]], tmp_path)


def test_a_library_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(formats_module.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(InputError, match=r"the format onnx needs tf2onnx: pip install 'ascendvsr\[onnx\]'"):
        export_files(served(BLURRED()), [FORMATS["onnx"]], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_deformable_convolutions_are_nodes_of_their_own_and_weights_can_be_halved(tmp_path):
    import onnx

    _, model, _ = built("EDVR")
    sizes = {}
    for precision in ("float32", "float16"):
        path = tmp_path / f"{precision}.onnx"
        report = export_model(model, path, "onnx-standard", precision=precision)
        sizes[precision] = path.stat().st_size
        nodes = [node.op_type for node in onnx.load(path).graph.node]
        assert nodes.count("DeformConv") == 20  # 5 frames, 3 levels and the cascade
        assert "GatherND" not in nodes
        assert report["unsaturated"] > 0.5
    assert report["metadata"]["precision"] == "float16"
    large = sum(np.size(variable) for variable in model.variables if np.size(variable) >= 1024)
    assert sizes["float32"] - sizes["float16"] > 1.8 * large  # two bytes each, less a Cast for each tensor
    exported = read_exported(tmp_path / "float32.onnx", "onnxruntime").runner()
    frames = clips(1, 5, 21, 30, 3)
    np.testing.assert_allclose(exported(frames)[0], model(frames), atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_node_that_ascend_takes_for_a_deformable_convolution(tmp_path):
    """Its graph runs nowhere here; with ONNX's own node in its place it is equal, or it would not be there."""
    import onnx

    _, model, _ = built("EDVR")
    path = tmp_path / "edvr.onnx"
    export_model(model, path, "ascend-deformable", size=(20, 28))
    graph = onnx.load(path)
    assert [entry.version for entry in graph.opset_import if entry.domain == ""] == [16]
    nodes = [node for node in graph.graph.node if node.op_type == "DeformableConv2D"]
    assert len(nodes) == 20
    assert {attribute.name for attribute in nodes[0].attribute} >= {
        "strides",
        "pads",
        "groups",
        "deformable_groups",
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.needs("nncf")
@pytest.mark.parametrize("name", ["openvino", "litert"])
def test_eight_bits_are_fitted_to_frames_and_tell_what_they_cost(tmp_path, name):
    frames = [np.roll(noise(64), 2 * time, axis=1) for time in range(12)]
    card, model, length = built("EDVR")
    form = Served(card, model, length, height=24, width=32)
    (report,) = export_files(form, [FORMATS[name]], tmp_path, "int8", Origin(frames=frames))
    assert report["metadata"]["precision"] == "int8"
    assert 30 < report["psnr"] < 100
    with pytest.raises(InputError, match="int8 is for fixed sizes only"):
        export_files(Served(card, model, length), [FORMATS["openvino"]], tmp_path, "int8")


FREE, FIXED = {"batch": None}, {"height": 36, "width": 52}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("form", [FREE, FIXED], ids=["free", "fixed"])
def test_every_network_in_every_format(tmp_path, name, form):
    card, model, length = built(name)
    kinds = [kind for kind in FORMATS.values() if form is FIXED or not kind.only_fixed]
    reports = export_files(Served(card, model, length, **form), kinds, tmp_path, origin=Origin(frames=[noise()]))
    assert [report["format"] for report in reports] == [kind.name for kind in kinds]
    if card.restores:  # flows are as large as untrained weights make them: the proof goes by the largest
        assert max(report["largest_difference"] for report in reports) < 1e-3
    assert min(report["unsaturated"] for report in reports) > 0.3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_openvino_gives_the_same_each_time_at_changing_sizes(tmp_path):
    """Its free shapes gave other results from run to run: SpyNet's flow was off by hundreds of pixels."""
    _, model, _ = built("SpyNet")
    export_model(model, tmp_path / "flow.xml", "openvino")
    exported = read_exported(tmp_path / "flow.xml", "openvino").runner()
    for number in range(10):
        pair = clips(1, 2, 33 + 7 * (number % 3), 50 + number % 2, 3)
        expected = np.asarray(model((pair[:, 0], pair[:, 1])))
        np.testing.assert_allclose(exported(pair)[0], expected, atol=1e-4 * np.abs(expected).max())
