"""Weights move between Keras models and official names exactly, entirely, and back."""

import resource
import signal
import zipfile

import keras
import numpy as np
import pytest

from ascendcv.layers.precision import computing_in
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.detect import detect
from ascendvsr.weights import load_checkpoint, load_state_dict, load_weights, save_weights, state_dict, torch_writer
from ascendvsr.weights.names import named_constants, named_layers
from tests.ascendvsr.weights.torch_bytes import TorchFile
from tests.support import TINY_CDVD_TSP, TINY_EDVR, TINY_PVDNET, TINY_RVRT


class Block(keras.layers.Layer):
    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = keras.layers.Conv2D(channels, 3, padding="same")
        self.norm = keras.layers.BatchNormalization()

    def call(self, x):
        return self.norm(self.conv1(x))


class Network(keras.Model):
    """Lists, dicts, containers in containers, a variable of its own, and names that differ from the official."""

    official_names = {"tail": "head.0", "offset": "mean"}  # noqa: RUF012

    def __init__(self, channels: int = 4):
        super().__init__()
        self.settings = {"channels": channels}
        self.conv_first = keras.layers.Conv2D(channels, (3, 1), padding="same")
        self.blocks = [Block(channels), Block(channels)]
        self.towers = {"l3": keras.layers.Conv2D(channels, 1), "l1": keras.layers.Conv2D(channels, 1)}
        self.nested = [[Block(channels)], {"up": keras.layers.Conv2DTranspose(2, 3, strides=2)}]
        self.tail = keras.layers.Dense(5)
        self.same_again = self.conv_first
        self.offset = self.add_weight(name="offset", shape=(1, 1, 1, 3))
        self(keras.Input((8, 8, 3)))

    def call(self, x):
        x = self.conv_first(x - self.offset)
        for block in self.blocks:
            x = block(x)
        x = self.towers["l1"](self.towers["l3"](x))
        return self.tail(self.nested[1]["up"](self.nested[0][0](x)))


NAMES = {
    "mean": (1, 1, 1, 3),
    "conv_first.weight": (4, 3, 3, 1),
    "conv_first.bias": (4,),
    "blocks.0.conv1.weight": (4, 4, 3, 3),
    "blocks.0.conv1.bias": (4,),
    "blocks.0.norm.weight": (4,),
    "blocks.0.norm.bias": (4,),
    "blocks.0.norm.running_mean": (4,),
    "blocks.0.norm.running_var": (4,),
    "blocks.1.conv1.weight": (4, 4, 3, 3),
    "blocks.1.conv1.bias": (4,),
    "blocks.1.norm.weight": (4,),
    "blocks.1.norm.bias": (4,),
    "blocks.1.norm.running_mean": (4,),
    "blocks.1.norm.running_var": (4,),
    "towers.l3.weight": (4, 4, 1, 1),
    "towers.l3.bias": (4,),
    "towers.l1.weight": (4, 4, 1, 1),
    "towers.l1.bias": (4,),
    "nested.0.0.conv1.weight": (4, 4, 3, 3),
    "nested.0.0.conv1.bias": (4,),
    "nested.0.0.norm.weight": (4,),
    "nested.0.0.norm.bias": (4,),
    "nested.0.0.norm.running_mean": (4,),
    "nested.0.0.norm.running_var": (4,),
    "nested.1.up.weight": (4, 2, 3, 3),
    "nested.1.up.bias": (2,),
    "head.0.weight": (5, 2),
    "head.0.bias": (5,),
}


def random_state(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


@pytest.fixture
def network() -> Network:
    model = Network()
    load_state_dict(model, random_state(NAMES))
    return model


# --- names and layouts --------------------------------------------------------------------------------------


def test_names_follow_the_attributes_in_the_order_of_definition(network):
    assert {name: array.shape for name, array in state_dict(network).items()} == NAMES
    assert list(state_dict(network)) == list(NAMES)


def test_layers_are_named_as_their_variables(network):
    layers = dict(named_layers(network))
    assert list(layers)[:5] == ["conv_first", "blocks.0", "blocks.0.conv1", "blocks.0.norm", "blocks.1"]
    assert layers["nested.1.up"] is network.nested[1]["up"]
    assert layers["head.0"] is network.tail
    assert "same_again" not in layers


@pytest.mark.needs("torch")
def test_a_convolution_computes_what_pytorch_computes():
    import torch

    class Layers(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(6, (3, 2), groups=2, data_format="channels_last")
            self.up = keras.layers.Conv2DTranspose(5, (4, 3), strides=2)
            self.conv3d = keras.layers.Conv3D(3, (1, 2, 3))
            self.linear = keras.layers.Dense(2)
            self(keras.Input((9, 9, 4)))

        def call(self, x):
            x = self.up(self.conv(x))
            return self.linear(self.conv3d(x[:, None]))

    reference = torch.nn.ModuleDict(
        {
            "conv": torch.nn.Conv2d(4, 6, (3, 2), groups=2),
            "up": torch.nn.ConvTranspose2d(6, 5, (4, 3), stride=2),
            "conv3d": torch.nn.Conv3d(5, 3, (1, 2, 3)),
            "linear": torch.nn.Linear(3, 2),
        }
    )
    model = Layers()
    load_state_dict(model, {name: value.numpy() for name, value in reference.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, 9, 9, 4), np.float32)
    with torch.no_grad():
        y = reference["up"](reference["conv"](torch.from_numpy(x).permute(0, 3, 1, 2)))
        expected = reference["linear"](reference["conv3d"](y[:, :, None]).permute(0, 2, 3, 4, 1))
    np.testing.assert_allclose(np.asarray(model(x)), expected.numpy(), atol=1e-5)


def test_weights_that_no_public_attribute_leads_to_are_an_error():
    class Hidden(keras.Model):
        def __init__(self):
            super().__init__()
            self.shown = keras.layers.Dense(2)
            self._hidden = keras.layers.Dense(2, name="secret")
            self(keras.Input((2,)))

        def call(self, x):
            return self._hidden(self.shown(x))

    with pytest.raises(ValueError, match="secret"):
        state_dict(Hidden())


# --- loading ------------------------------------------------------------------------------------------------


def test_what_is_loaded_comes_back_and_says_so(network):
    state = random_state(NAMES, seed=1)
    report = load_state_dict(network, state)
    assert_same(state_dict(network), state)
    assert report.complete
    assert str(report) == "29 of 29 weights fit"


def test_other_types_are_converted_and_batch_counters_ignored(network):
    state = random_state(NAMES, seed=1)
    given = {name: array.astype(np.float16).astype(np.float64) for name, array in state.items()}
    load_state_dict(network, given | {"blocks.0.norm.num_batches_tracked": np.array(3)})
    assert_same(state_dict(network), {name: array.astype(np.float32) for name, array in given.items()})


def misfit() -> dict[str, np.ndarray]:
    """Two weights too few, two too many, two of another shape."""
    state = random_state(NAMES, seed=1)
    del state["mean"], state["towers.l3.bias"]
    state |= {"fusion.weight": np.zeros(3, np.float32), "fusion.bias": np.zeros(3, np.float32)}
    state["conv_first.weight"] = np.zeros((4, 3, 1, 3), np.float32)
    state["head.0.bias"] = np.array(0.0, np.float32)
    return state


MISFIT = (
    "25 of 29 weights fit; 2 missing: mean, towers.l3.bias; 2 unexpected: fusion.weight, fusion.bias; "
    "2 of another shape: conv_first.weight 4x3x1x3 instead of 4x3x3x1, head.0.bias scalar instead of 5"
)


def test_strict_loading_lists_all_that_does_not_fit_and_changes_nothing(network):
    with pytest.raises(InputError) as refusal:
        load_state_dict(network, misfit(), source="weights.pth")
    assert str(refusal.value) == f"weights.pth does not fit the network Network: {MISFIT}"
    assert_same(state_dict(network), random_state(NAMES))


def test_loading_what_fits_reports_the_rest_and_leaves_it_alone(network):
    report = load_state_dict(network, misfit(), strict=False)
    assert not report.complete
    assert str(report) == MISFIT
    assert report.missing == ["mean", "towers.l3.bias"]
    assert report.unexpected == ["fusion.weight", "fusion.bias"]
    assert report.mismatched[0] == ("conv_first.weight", (4, 3, 1, 3), (4, 3, 3, 1))
    left = {"mean", "towers.l3.bias", "conv_first.weight", "head.0.bias"}
    before, given = random_state(NAMES), misfit()
    assert set(report.loaded) == NAMES.keys() - left
    assert_same(state_dict(network), {name: (before if name in left else given)[name] for name in NAMES})


def test_mixed_precision_keeps_float32_weights():
    with computing_in("bfloat16"):
        model = Network()
    load_state_dict(model, random_state(NAMES))
    assert_same(state_dict(model), random_state(NAMES))


# --- files --------------------------------------------------------------------------------------------------


def test_saved_weights_are_read_with_and_without_the_network(network, tmp_path):
    path = tmp_path / "weights.weights.h5"
    save_weights(network, path)
    assert_same(load_checkpoint(path), state_dict(network))
    other = Network()
    assert load_weights(other, path).complete
    assert_same(state_dict(other), state_dict(network))


@pytest.mark.filterwarnings("error")
def test_keras_reads_saved_weights(network, tmp_path):
    save_weights(network, tmp_path / "weights.weights.h5")
    other = Network()
    other.load_weights(tmp_path / "weights.weights.h5")
    assert_same(state_dict(other), state_dict(network))


@pytest.mark.parametrize("ending", [".weights.h5", ".renamed"])
def test_weights_saved_by_keras_alone_are_read_into_the_network(network, tmp_path, ending):
    network.save_weights(tmp_path / "keras.weights.h5")
    path = (tmp_path / "keras.weights.h5").rename(tmp_path / f"weights{ending}")
    other = Network()
    assert load_weights(other, path).loaded == list(NAMES)
    assert_same(state_dict(other), state_dict(network))


def test_weights_saved_by_keras_alone_need_the_network(network, tmp_path):
    network.save_weights(tmp_path / "keras.weights.h5")
    with pytest.raises(InputError, match=r"written by Keras alone.*load_weights"):
        load_checkpoint(tmp_path / "keras.weights.h5")


def test_weights_of_another_network_saved_by_keras_change_nothing(network, tmp_path):
    Network(channels=6).save_weights(tmp_path / "keras.weights.h5")
    with pytest.raises(InputError, match=r"keras\.weights\.h5 does not fit the network Network"):
        load_weights(network, tmp_path / "keras.weights.h5")
    assert_same(state_dict(network), random_state(NAMES))


def test_torch_files_load_into_the_network(network, tmp_path):
    state = random_state(NAMES, seed=1)
    tree = {"state_dict": {f"module.{name}": array for name, array in state.items()}}
    (tmp_path / "weights.pth").write_bytes(TorchFile().zip(tree))
    load_weights(network, tmp_path / "weights.pth")
    assert_same(state_dict(network), state)


def test_a_file_that_does_not_fit_is_named(network, tmp_path):
    (tmp_path / "weights.pth").write_bytes(TorchFile().zip(misfit()))
    with pytest.raises(InputError, match=rf"{tmp_path}/weights\.pth does not fit .*2 missing"):
        load_weights(network, tmp_path / "weights.pth")
    assert not load_weights(network, tmp_path / "weights.pth", strict=False).complete


@pytest.mark.parametrize("length", [0, 3, 500])
@pytest.mark.parametrize("kind", ["h5", "torch"])
def test_a_damaged_file_is_named(network, tmp_path, kind, length):
    path = tmp_path / "damaged.weights.h5"
    save_weights(network, path)
    whole = path.read_bytes() if kind == "h5" else TorchFile().zip(random_state(NAMES))
    path.write_bytes(whole[:length])
    with pytest.raises(InputError, match=r"damaged\.weights\.h5"):
        load_weights(network, path)
    assert_same(state_dict(network), random_state(NAMES))


@pytest.mark.parametrize("name", ["weights.h5", "weights", "weights.pth.txt", "weights.npz"])
def test_another_ending_is_refused(network, tmp_path, name):
    with pytest.raises(InputError, match=rf"\.weights\.h5, \.safetensors, \.pth, \.pt, not to .*{name}"):
        save_weights(network, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "weights.pt"])
def test_other_programs_files_are_read_as_what_was_saved(network, tmp_path, name):
    path = tmp_path / name
    save_weights(network, path)
    assert_same(load_checkpoint(path), state_dict(network))
    other = Network()
    assert load_weights(other, path).complete
    assert_same(state_dict(other), state_dict(network))


def test_safetensors_are_read_by_their_library(network, tmp_path):
    from safetensors import safe_open
    from safetensors.numpy import load_file

    save_weights(network, tmp_path / "weights.safetensors")
    assert_same(load_file(tmp_path / "weights.safetensors"), state_dict(network))
    with safe_open(tmp_path / "weights.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}


@pytest.mark.needs("torch")
@pytest.mark.parametrize("mmap", [False, True])
def test_torch_files_are_read_by_pytorch_as_data_alone(network, tmp_path, mmap):
    import torch

    save_weights(network, tmp_path / "weights.pth")
    tree = torch.load(tmp_path / "weights.pth", weights_only=True, mmap=mmap)
    assert list(tree) == ["params"]
    assert_same({name: tensor.numpy() for name, tensor in tree["params"].items()}, state_dict(network))
    assert all(tensor.is_contiguous() for tensor in tree["params"].values())


@pytest.mark.needs("torch")
def test_a_torch_file_of_every_type_and_shape_is_read_by_pytorch(tmp_path):
    import torch

    shapes = [(), (0,), (1,), (3, 0, 2), (2, 3, 4, 5, 6)]
    types = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64"]
    arrays = {
        f"{dtype} {shape}": np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
        for dtype in types
        for shape in shapes
    }
    torch_writer.write(tmp_path / "all.pth", arrays | {"in": {"a": {"transposed": np.eye(3, 4).T}}})
    tree = torch.load(tmp_path / "all.pth", weights_only=True)
    np.testing.assert_array_equal(tree.pop("in")["a"]["transposed"].numpy(), np.eye(3, 4).T)
    assert_same({name: tensor.numpy() for name, tensor in tree.items()}, arrays)


def test_every_storage_begins_where_memory_can_map_it(network, tmp_path):
    save_weights(network, tmp_path / "weights.pth")
    with zipfile.ZipFile(tmp_path / "weights.pth") as archive:
        members = archive.infolist()
        whole = (tmp_path / "weights.pth").read_bytes()
        for member in members:
            length = int.from_bytes(whole[member.header_offset + 28 : member.header_offset + 30], "little")
            begins = member.header_offset + 30 + len(member.filename) + length
            assert begins % 64 == 0
            assert whole[begins : begins + member.file_size] == archive.read(member)


ORIGINALS = {
    "EDVR": (TINY_EDVR, "params", "pcd_align.cas_dcnpack.weight"),
    "PVDNet": (TINY_PVDNET, "", "module.PVDNet.RB_end.0.weight"),
    "RVRT": (TINY_RVRT, "params", "spynet.mean"),
    "CDVDTSP": (TINY_CDVD_TSP, "", "recons_net.inBlock.0.0.weight"),
    "DBN": ({"model.name": "DBN", "model.scale": 1}, "state_dict", "model.dbn_net."),
}


@pytest.mark.parametrize("name", list(ORIGINALS))
def test_a_torch_file_lies_as_the_original_keeps_it_with_its_constants(tmp_path, name):
    settings, key, some_name = ORIGINALS[name]
    model = build_model(load_config(settings=settings))
    path = tmp_path / "weights.pth"
    save_weights(model, path)
    with zipfile.ZipFile(path) as archive:
        described = archive.read("archive/data.pkl")
    for word in filter(None, (key, some_name)):
        assert word.encode() in described
    arrays = load_checkpoint(path)
    constants = named_constants(model)
    assert arrays.keys() == state_dict(model).keys() | constants.keys()
    assert bool(constants) == (name == "RVRT")
    other = build_model(load_config(settings=settings))
    load_weights(other, path)
    assert_same(state_dict(other), state_dict(model))
    detect(arrays)


def test_the_command_writes_what_other_programs_read(ascendvsr, tmp_path, tiny_edvr_checkpoint):
    from safetensors.numpy import load_file

    out = tmp_path / "edvr.safetensors"
    done = ascendvsr("convert", tiny_edvr_checkpoint, out)
    assert done.returncode == 0, done.stderr
    assert "EDVR, 8 channels" in done.stdout
    assert_same(load_file(out), load_checkpoint(tiny_edvr_checkpoint))


@pytest.mark.parametrize("words", [("no.pth", "out.pth"), ("", "out.bin"), ("", "out.pth", "--weights", "ema")])
def test_the_command_refuses_in_one_line(ascendvsr, tmp_path, tiny_edvr_checkpoint, words):
    source, out, *options = words
    done = ascendvsr("convert", source or tiny_edvr_checkpoint, tmp_path / out, *options)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / out).exists()


def test_a_failed_save_leaves_the_old_file(network, tmp_path):
    path = tmp_path / "weights.weights.h5"
    save_weights(network, path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            save_weights(network, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# --- EDVR ---------------------------------------------------------------------------------------------------


def test_edvr_survives_every_way_round(tmp_path):
    model = build_model(load_config(settings=TINY_EDVR))
    weights = random_state({name: array.shape for name, array in state_dict(model).items()})
    (tmp_path / "edvr.pth").write_bytes(TorchFile().legacy({"params_ema": weights}))
    load_weights(model, tmp_path / "edvr.pth")
    assert_same(state_dict(model), weights)
    save_weights(model, tmp_path / "edvr.weights.h5")
    assert_same(load_checkpoint(tmp_path / "edvr.weights.h5"), weights)
    settings = detect(load_checkpoint(tmp_path / "edvr.weights.h5")).settings
    assert TINY_EDVR.items() <= settings.items()
    model.load_weights(tmp_path / "edvr.weights.h5")
    assert_same(state_dict(model), weights)
