"""Every layer and network is to Keras what its own are: saved, connected, copied, trained and exported.

Each is put into a model of one layer, whose inputs have free sizes.
"""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import ascendcv.layers
import ascendvsr.layers
import ascendvsr.models
from tests.networks import tame


class Part:
    """A layer or network to try.

    Args:
        reference: 'module:class'.
        arguments: of its constructor.
        inputs: of `call`: shapes, nested as the arguments are. Sides of images are free.
    """

    def __init__(self, reference: str, arguments: dict, *inputs):
        self.reference, self.arguments, self.inputs = reference, arguments, inputs

    def __repr__(self) -> str:
        return self.reference.rpartition(":")[2]

    @property
    def kind(self) -> type:
        module, name = self.reference.split(":")
        return getattr(importlib.import_module(module), name)

    def make(self, **options) -> keras.Layer:
        return self.kind(**self.arguments, **options)

    def symbolic(self) -> list:
        return keras.tree.map_shape_structure(
            lambda shape: keras.Input(batch_shape=shape if shape.fixed else free(shape)), list(self.inputs)
        )

    def arrays(self) -> list:
        generator = np.random.default_rng(0)
        return keras.tree.map_shape_structure(
            lambda shape: generator.uniform(size=shape).astype("float32"), list(self.inputs)
        )

    def model(self, **options) -> keras.Model:
        """A functional model of this one layer."""
        keras.utils.set_random_seed(0)
        inputs = self.symbolic()
        return keras.Model(inputs, self.make(**options)(*inputs))


class Shape(tuple):
    """Of an input; `fixed`: no side is free."""

    fixed = False


def image(channels: int, side: int = 8) -> Shape:
    return Shape((1, side, side, channels))


def clip(frames: int, channels: int, side: int = 8) -> Shape:
    return Shape((1, frames, side, side, channels))


def fixed(*shape: int) -> Shape:
    shape = Shape(shape)
    shape.fixed = True
    return shape


def free(shape: Shape) -> tuple:
    *first, _, _, channels = shape
    return (None, *first[1:], None, None, channels)


PAIR = (image(3, 64), image(3, 64))
ATTENTION = {"num_heads": 2, "window": (2, 4, 4)}
SWIN = {
    **ATTENTION,
    "mlp_ratio": 2.0,
    "qkv_bias": True,
    "qk_scale": None,
    "use_checkpoint_attn": False,
    "use_checkpoint_ffn": True,
}
TOKENS, VECTOR = clip(2, 8, 4), fixed(8)

NETWORKS = [
    Part(f"ascendvsr.models:{name}", arguments, *inputs)
    for name, arguments, *inputs in (
        ("EDVR", {"num_feat": 8, "num_frame": 3, "deformable_groups": 2, "num_hr_feat": 8}, clip(3, 3)),
        (
            "RVRT",
            {"embed_dims": (12,) * 3, "num_heads": (2,) * 3, "attention_heads": 4, "deformable_groups": 4},
            clip(2, 3),
        ),
        ("CDVDTSP", {"n_sequence": 3, "n_feat": 4, "n_resblock": 1}, clip(3, 3)),
        ("PVDNet", {"num_blocks": 1, "channels": 8}, clip(2, 3)),
        ("DBN", {"num_frame": 3, "num_feat": 4}, clip(3, 3)),
        ("FlowDBN", {"num_frame": 3, "num_feat": 4}, clip(3, 3, 64)),
        ("BasicVSR", {"num_feat": 8, "num_block": 1}, clip(2, 3)),
        ("PWCNet", {}, PAIR),
        ("PWCNetDevil", {"div_flow": 0.1}, PAIR),
        ("FlowNet1S", {"div_flow": 0.1}, PAIR),
        ("SpyNet", {"return_levels": (3, 5)}, PAIR),
        ("LiteFlowNet", {}, PAIR),
    )
]
LAYERS = [
    Part(reference, arguments, *inputs)
    for reference, arguments, *inputs in (
        ("ascendcv.layers:Correlation", {"max_displacement": 2, "strides": 2}, image(4), image(4)),
        (
            "ascendcv.layers:DeformableAttention",
            {"num_heads": 2, "deformable_groups": 2},
            *[clip(2, 4)] * 3,
            clip(2, 2 * 2 * 9 * 2),
        ),
        (
            "ascendcv.layers:DeformableConv2D",
            {
                "filters": 6,
                "kernel_size": (3, 2),
                "strides": (1, 2),
                "padding": "same",
                "deformable_groups": 2,
                "kernel_regularizer": keras.regularizers.L2(1e-4),
                "activation": "relu",
            },
            image(4),
        ),
        ("ascendcv.layers:FlowWarp", {"interpolation": "nearest", "align_corners": False}, image(4), image(2)),
        ("ascendcv.layers:PixelShuffle", {"scale": 2}, image(8)),
        ("ascendcv.layers.batch_norm:BatchNorm", {"momentum": 0.8}, image(4)),
        (
            "ascendcv.layers.conv:Conv2D",
            {"filters": 16, "kernel_initializer": keras.initializers.HeNormal(), "residual_place": "after"},
            image(16),
            image(16),
        ),
        ("ascendcv.layers.conv_transpose:Conv2DTranspose", {"filters": 6, "kernel_size": 4, "stride": 2}, image(4)),
        ("ascendcv.layers.deform_conv:DCNv2Pack", {"filters": 6, "deformable_groups": 2}, image(4), image(5)),
        ("ascendcv.layers.frame_conv:FrameConv", {"filters": 6, "groups": 2, "stride": 2}, clip(2, 4)),
        ("ascendcv.layers.linear:Linear", {"units": 6}, image(4)),
        ("ascendvsr.layers.flow_blocks:FeaturePyramid", {"convs_per_level": 1, "start": "he"}, image(3, 64)),
        ("ascendvsr.layers.flow_blocks:DenseEstimator", {}, image(8)),
        ("ascendvsr.layers.flow_blocks:ContextNetwork", {"start": "he"}, image(8)),
        ("ascendvsr.layers.residual:ResidualBlockNoBN", {"num_feat": 12}, image(12)),
        ("ascendvsr.models.edvr.network:PredeblurModule", {"num_feat": 6, "hr_in": True}, image(3, 16)),
        (
            "ascendvsr.models.edvr.network:PCDAlignment",
            {"num_feat": 4, "deformable_groups": 2, "impl": "auto"},
            *[[image(4, 8), image(4, 4), image(4, 2)]] * 2,
        ),
        ("ascendvsr.models.edvr.network:TSAFusion", {"num_feat": 4, "center_frame_idx": 1}, clip(3, 4)),
        (
            "ascendvsr.models.rvrt.guided_attention:GuidedDeformAttn",
            {"dim": 4, "attention_heads": 2, "deformable_groups": 2},
            *[clip(2, 4)] * 3,
            [clip(2, 4)] * 2,
            [clip(2, 2)] * 2,
        ),
        (
            "ascendvsr.models.rvrt.window_attention:RSTBWithInputConv",
            {"dim": 8, "groups": 1, "num_blocks": 1, "depth": 2, **SWIN},
            TOKENS,
        ),
        ("ascendvsr.models.rvrt.window_attention:RSTB", {"dim": 8, "depth": 2, "swin": SWIN}, TOKENS),
        ("ascendvsr.models.rvrt.window_attention:STG", {"dim": 8, "depth": 2, "swin": SWIN}, TOKENS),
        ("ascendvsr.models.rvrt.window_attention:STL", {"dim": 8, "shifted": True, **SWIN}, TOKENS),
        (
            "ascendvsr.models.rvrt.window_attention:WindowAttention",
            {"dim": 8, "shifted": True, "qkv_bias": False, "qk_scale": 0.5, **ATTENTION},
            TOKENS,
            VECTOR,
            VECTOR,
        ),
        ("ascendvsr.models.rvrt.window_attention:Mlp", {"dim": 4, "hidden": 6}, image(4)),
        ("ascendvsr.models.basicvsr.network:ConvResidualBlocks", {"num_feat": 12, "num_block": 1}, image(5)),
        (
            "ascendvsr.models.cdvd_tsp.network:ReconstructionNetwork",
            {"out_channels": 3, "n_resblock": 1, "n_feat": 4},
            image(10),
        ),
        ("ascendvsr.models.cdvd_tsp.network:ResBlock", {"filters": 4}, image(4)),
        (
            "ascendvsr.models.deblur_devil.dbn:EncoderDecoder",
            {"in_channels": 9, "num_feat": 4, "init_type": "fan_in"},
            image(9, 16),
        ),
        (
            "ascendvsr.models.pvdnet.network:DeblurringNetwork",
            {"num_candidates": 9, "num_blocks": 1, "channels": 8},
            image(9),
            image(9),
        ),
        (
            "ascendvsr.models.flow.pwcnet:Decoder",
            {"level": 5, "impl": "tf"},
            image(128),
            image(128),
            (image(2, 4), image(9, 4)),
        ),
        ("ascendvsr.models.flow.liteflow_blocks:Features", {}, image(3, 64)),
        ("ascendvsr.models.flow.liteflow_blocks:Matching", {"level": 3}, image(64), image(64), image(2, 4)),
        ("ascendvsr.models.flow.liteflow_blocks:Subpixel", {"level": 6}, image(192), image(192), image(2)),
        (
            "ascendvsr.models.flow.liteflow_blocks:Regularization",
            {"level": 5},
            *(image(3), image(3), image(128), image(2)),
        ),
        ("ascendvsr.models.flow.spynet:BasicModule", {}, image(8)),
    )
]
FLOW_NETWORKS = {"PWCNet", "PWCNetDevil", "FlowNet1S", "SpyNet", "LiteFlowNet"}

# Quick enough for every run, and with all that can go wrong: kernels of this project, several inputs and outputs.
QUICK_NETWORKS = {"EDVR", "DBN", "BasicVSR", "SpyNet"}
QUICK_TO_COMPILE = {"BatchNorm", "Conv2D", "DCNv2Pack", "DeformableConv2D", "DeformableAttention", "STL"}


def parts(quick: set[str], among: list[Part] = LAYERS + NETWORKS) -> list:
    slow = {True: (), False: pytest.mark.slow}
    return [pytest.param(part, id=repr(part), marks=slow[repr(part) in quick]) for part in among]


EVERY_RUN = parts({repr(part) for part in LAYERS} | QUICK_NETWORKS)


def classes() -> set[type]:
    """All layers and networks of both packages."""
    found = set()
    for package in (ascendcv.layers, ascendvsr.layers, ascendvsr.models):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name.endswith("training"):
                continue
            members = vars(importlib.import_module(module.name)).values()
            found |= {
                kind
                for kind in members
                if inspect.isclass(kind) and issubclass(kind, keras.Layer) and kind.__module__ == module.name
            }
    return {kind for kind in found if kind.__module__ != "ascendvsr.models.network"}


def test_all_are_tried_here():
    assert {part.kind for part in LAYERS + NETWORKS} == classes()


@pytest.mark.parametrize("part", EVERY_RUN)
class TestPart:
    def test_is_registered(self, part: Part):
        package = part.kind.__module__.partition(".")[0]
        assert keras.saving.get_registered_name(part.kind) == f"{package}>{part.kind.__name__}"

    def test_configuration_is_complete_and_gives_the_same_again(self, part: Part):
        layer = part.make(name="mine", trainable=False)
        config = layer.get_config()
        arguments = inspect.signature(part.kind).parameters.keys() - {"kwargs"}
        assert arguments <= config.keys()
        saved = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
        for again in (part.kind.from_config(config), keras.saving.deserialize_keras_object(saved)):
            assert again.get_config() == config
            assert (again.name, again.trainable) == ("mine", False)

    def test_symbolic_call_computes_shapes_alone(self, part: Part, monkeypatch: pytest.MonkeyPatch):
        """In the dtype that the call gives too, where layers compute in another."""
        layer, inputs = part.make(dtype="mixed_bfloat16"), part.symbolic()
        layer(*inputs)  # builds it
        if not isinstance(layer, keras.layers.BatchNormalization):
            monkeypatch.setattr(layer, "call", None)
        symbolic = keras.tree.flatten(layer(*inputs))
        monkeypatch.undo()
        for expected, tensor in zip(symbolic, keras.tree.flatten(layer(*part.arrays())), strict=True):
            assert tensor.dtype == expected.dtype
            sides = zip(expected.shape, tensor.shape, strict=True)
            assert all(side in (None, known) for side, known in sides), (expected.shape, tensor.shape)
            assert expected.shape[-1] is not None

    def test_dtype_reaches_what_is_inside(self, part: Part):
        layer = part.make(dtype="mixed_float16")
        layer(*part.symbolic())
        inside = [each for each in layer._flatten_layers() if each.weights]
        assert {each.compute_dtype for each in inside} <= {"float16", "float32"}
        assert all(weight.dtype == "float32" for weight in layer.weights)
        narrow = [each for each in inside if each.compute_dtype == "float16"]
        assert len(narrow) >= len(inside) / 2

    def test_connected_saved_loaded_copied_and_told(self, part: Part, tmp_path: Path):
        model, arrays = part.model(), part.arrays()
        expected = keras.tree.flatten(model(arrays))
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        clone = keras.models.clone_model(model)
        clone.set_weights(model.get_weights())
        for again in (loaded, clone):
            for tensor, other in zip(expected, keras.tree.flatten(again(arrays)), strict=True):
                np.testing.assert_array_equal(tensor, other)
        lines: list[str] = []
        model.summary(print_fn=lines.append, line_length=200)
        assert part.kind.__name__ in "\n".join(lines)


@pytest.mark.parametrize("part", [part for part in NETWORKS if repr(part) in ("EDVR", "SpyNet")], ids=repr)
def test_network_alone_and_behind_an_operation(part: Part, tmp_path: Path):
    network = part.make()
    arrays = part.arrays()
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(*arrays), network(*arrays))
    inputs = part.symbolic()
    doubled = keras.Model(inputs, network(*keras.tree.map_structure(lambda tensor: tensor * 2.0, inputs)))
    twice = keras.tree.map_structure(lambda array: 2 * array, arrays)
    np.testing.assert_array_equal(doubled(arrays), network(*twice))


def test_a_symbolic_call_knows_what_is_cropped():
    network = ascendvsr.models.DBN(num_frame=3, num_feat=4, size="crop")
    assert network(keras.Input((3, 20, 33, 3))).shape == (None, 16, 32, 3)
    assert tuple(network(np.zeros((1, 3, 20, 33, 3), "float32")).shape) == (1, 16, 32, 3)


FITTED = [part for part in LAYERS + NETWORKS if VECTOR not in part.inputs]  # which has no batch


@pytest.mark.parametrize("part", parts(QUICK_TO_COMPILE, FITTED))
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_is_fitted(part: Part, jit_compile: bool):
    model, arrays = part.model(), part.arrays()
    # Fresh flow networks give 0.
    truth = keras.tree.map_structure(lambda tensor: np.full(tensor.shape, 0.5, "float32"), model(arrays))
    before = model.get_weights()
    losses = keras.tree.map_structure(lambda tensor: "mse", truth)
    model.compile(keras.optimizers.SGD(1e-3), losses, jit_compile=jit_compile)
    history = model.fit(arrays, truth, batch_size=1, epochs=2, verbose=0)
    assert all(np.isfinite(history.history["loss"]))
    assert model.jit_compile == jit_compile
    changed = [not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True)]
    assert any(changed) or not model.trainable_weights


LOADING = """
import pathlib, sys
import numpy as np
import tensorflow as tf

for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    arrays = np.load(folder / "arrays.npz")
    inputs = [arrays[f"input{index}"] for index in range(len(arrays.files)) if f"input{index}" in arrays.files]
    model = tf.saved_model.load(str(folder / "saved"))
    structure = eval((folder / "structure").read_text())
    outputs = tf.nest.flatten(model.serve(tf.nest.pack_sequence_as(structure, inputs)))
    for index, output in enumerate(outputs):
        expected = arrays[f"output{index}"]
        atol = 2e-4 * max(1, np.abs(expected).max())  # fresh flow networks give flows of many pixels
        np.testing.assert_allclose(output, expected, atol=atol, err_msg=folder.name)
    print(folder.name)
assert not {"ascendcv", "ascendvsr"} & sys.modules.keys()
"""


def exported(part: Part, folder: Path) -> None:
    """Writes a SavedModel of the part, its inputs and what comes out."""
    folder.mkdir()
    model, arrays = part.model(), part.arrays()
    model = keras.Model(model.input, model.outputs)  # signatures have no nested outputs
    outputs = keras.tree.flatten(model(arrays))
    model.export(folder / "saved", verbose=False)
    structure = keras.tree.map_structure(lambda array: 0, arrays)
    (folder / "structure").write_text(repr(structure))
    inputs = {f"input{index}": array for index, array in enumerate(keras.tree.flatten(arrays))}
    np.savez(
        folder / "arrays.npz", **inputs, **{f"output{index}": np.asarray(y) for index, y in enumerate(outputs)}
    )


@pytest.mark.parametrize("names", [QUICK_TO_COMPILE, pytest.param(None, id="all", marks=pytest.mark.slow)])
def test_another_process_loads_what_is_exported(names: set[str] | None, tmp_path: Path):
    """One that knows nothing of this project and its kernels."""
    chosen = [part for part in LAYERS + NETWORKS if names is None or repr(part) in names]
    for part in chosen:
        exported(part, tmp_path / repr(part))
    command = [sys.executable, "-c", LOADING, str(tmp_path)]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stdout.split() == sorted(repr(part) for part in chosen)


class TestExportOfANetwork:
    def test_needs_no_call(self, tmp_path: Path):
        part = next(part for part in NETWORKS if repr(part) == "DBN")
        network = part.make()
        network.export(tmp_path / "saved", verbose=False)
        loaded = keras.layers.TFSMLayer(tmp_path / "saved", call_endpoint="serve")
        wide = np.random.default_rng(0).uniform(size=(2, 3, 9, 20, 3)).astype("float32")
        np.testing.assert_allclose(loaded(wide), network(wide), atol=1e-4)

    @pytest.mark.slow
    def test_of_clips_has_as_many_frames_as_it_was_called_with(self, tmp_path: Path):
        part = next(part for part in NETWORKS if repr(part) == "BasicVSR")
        network, arrays = part.make(), part.arrays()
        with pytest.raises(ValueError, match="call the network once, or say it"):
            network.export(tmp_path / "saved", verbose=False)
        restored = network(*arrays)
        network.export(tmp_path / "saved", verbose=False)
        loaded = keras.layers.TFSMLayer(tmp_path / "saved", call_endpoint="serve")
        np.testing.assert_allclose(loaded(*arrays), restored, atol=1e-4)

    @pytest.mark.slow
    @pytest.mark.timeout(1800)
    @pytest.mark.needs("onnx", "onnxruntime", "tf2onnx")
    @pytest.mark.parametrize("part", NETWORKS, ids=repr)
    def test_to_onnx(self, part: Part, tmp_path: Path):
        """`export_model` proves the file; here another program reads it."""
        import onnxruntime

        keras.utils.set_random_seed(0)
        network, arrays = part.make(), part.arrays()
        if repr(part) in ("DBN", "FlowDBN"):
            network(*arrays)
            tame(network)
        expected = np.asarray(network(*arrays))
        network.export(tmp_path / "network.onnx", format="onnx")
        session = onnxruntime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
        if len(session.get_inputs()) == 1 and repr(part) not in FLOW_NETWORKS:
            (restored,) = session.run(None, {session.get_inputs()[0].name: arrays[0]})
            np.testing.assert_allclose(restored, expected, atol=2e-4)

    @pytest.mark.slow
    @pytest.mark.timeout(1800)
    @pytest.mark.needs("ai_edge_litert")
    @pytest.mark.parametrize("part", NETWORKS, ids=repr)
    def test_to_litert(self, part: Part, tmp_path: Path):
        keras.utils.set_random_seed(0)
        network, arrays = part.make(), part.arrays()
        network(*arrays)
        if repr(part) in ("DBN", "FlowDBN"):
            tame(network)
        shapes = [keras.InputSpec(shape=array.shape, dtype="float32") for array in keras.tree.flatten(arrays)]
        network.export(tmp_path / "network.tflite", format="litert", input_signature=shapes)
        assert (tmp_path / "network.tflite").stat().st_size > 1000
