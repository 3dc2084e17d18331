"""torch.save files are read without PyTorch: what it writes, exactly; what it would never write, refused."""

import argparse
import collections
import contextlib
import datetime
import decimal
import enum
import fractions
import functools
import io
import os
import pathlib
import pickle
import re
import uuid
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ascendcv.utils.errors import InputError
from ascendvsr.weights import load_checkpoint
from tests.ascendvsr.weights.torch_bytes import Raw, TorchFile, legacy_bytes, name, pickled, zip_bytes
from tests.support import PROJECT

CONTAINERS = ["zip", "legacy"]
SPYNET = PROJECT.parent / "shared/data/spynet_weights/spynet_sintel_final.pth"


@pytest.fixture
def read(tmp_path: Path):
    """Reads bytes as a file whose name says nothing of what it is."""

    def read_bytes(content: bytes) -> dict[str, np.ndarray]:
        (tmp_path / "weights.bin").write_bytes(content)
        return load_checkpoint(tmp_path / "weights.bin")

    return read_bytes


def weights() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "conv.weight": generator.standard_normal((4, 3, 3, 3), np.float32),
        "conv.bias": generator.standard_normal(4, np.float32),
        "norm.num_batches_tracked": np.array(7),
    }


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array, strict=True)


def content(container: str, tree: object, file: TorchFile | None = None) -> bytes:
    return getattr(file or TorchFile(), container)(tree)


# --- what PyTorch writes ------------------------------------------------------------------------------------


@pytest.fixture
def save(tmp_path: Path):
    """`torch.save` in either container, for tests that need PyTorch."""
    import torch

    def save_tree(container: str, tree: object, **options: object) -> Path:
        path = tmp_path / "saved.pth"
        torch.save(tree, path, _use_new_zipfile_serialization=container == "zip", **options)
        return path

    save_tree.torch = torch
    return save_tree


@pytest.mark.needs("torch")
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_module_saved_by_pytorch_is_read_exactly(save, container, protocol):
    torch = save.torch
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    path = save(container, module.state_dict(), pickle_protocol=protocol)
    assert_same(load_checkpoint(path), {key: value.numpy() for key, value in module.state_dict().items()})


@pytest.mark.needs("torch")
@pytest.mark.parametrize("container", CONTAINERS)
def test_views_and_shared_storages_saved_by_pytorch_are_read_exactly(save, container):
    base = save.torch.arange(60, dtype=save.torch.float32).reshape(3, 4, 5)
    tree = {
        "whole": base,
        "transposed": base.permute(2, 0, 1),
        "slice": base[1:, ::2, 3],
        "scalar": base[1, 2, 3],
        "expanded": base[0, 0, :1].expand(6),
        "empty": base[:, :0],
        "parameter": save.torch.nn.Parameter(base[0].clone()),
    }
    found = load_checkpoint(save(container, tree))
    assert_same(found, {key: value.detach().numpy() for key, value in tree.items()})


@pytest.mark.needs("torch")
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floating_point_types_become_float32(save, container, dtype):
    values = save.torch.tensor([0.0, -0.0, 1.5, -3.140625, 65504.0, 2.0**-20, 0.1])
    tensor = values.to(getattr(save.torch, dtype))
    found = load_checkpoint(save(container, {"weight": tensor, "scalar": tensor[2]}))
    assert_same(found, {"weight": tensor.float().numpy(), "scalar": np.array(1.5, np.float32)})


@pytest.mark.needs("torch")
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "int8", "uint8", "bool"])
def test_integers_stay_what_they_are(save, container, dtype):
    tensor = save.torch.tensor([0, 1, 100]).to(getattr(save.torch, dtype))
    assert_same(load_checkpoint(save(container, {"table": tensor})), {"table": tensor.numpy()})


@pytest.mark.needs("torch")
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_training_checkpoint_of_pytorch_gives_its_weights(save, container):
    """Optimizer, schedule, random state, losses as numpy values and devices stand beside the weights."""
    torch = save.torch
    module = torch.nn.Conv2d(3, 4, 3)
    optimizer = torch.optim.Adam(module.parameters())
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 20])
    module(torch.ones(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    tree = {
        "epoch": 3,
        "state_dict": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "random": (torch.get_rng_state(), np.random.RandomState(0).get_state()),
        "losses": {
            "psnr": np.float64(31.25),
            "history": np.arange(3.0),
            "best": (1, [2.5, None, True, b"x"]),
        },
        "device": torch.device("cuda:0"),
        "dtype": torch.bfloat16,
        "size": torch.Size([1, 2]),
    }
    found = load_checkpoint(save(container, tree))
    assert_same(found, {key: value.numpy() for key, value in module.state_dict().items()})


def test_the_published_spynet_is_read_exactly():
    if not SPYNET.exists():
        pytest.skip(f"{SPYNET} is not there: the license of these weights forbids to ship them")
    found = load_checkpoint(SPYNET)
    assert len(found) == 60
    assert sum(array.size for array in found.values()) == 1_440_300
    assert found["basic_module.5.basic_module.8.weight"].shape == (2, 16, 7, 7)


@pytest.mark.needs("torch")
def test_the_published_spynet_is_what_pytorch_reads():
    if not SPYNET.exists():
        pytest.skip(f"{SPYNET} is not there: the license of these weights forbids to ship them")
    import torch

    tensors = torch.load(SPYNET, weights_only=True)["params"]
    assert_same(load_checkpoint(SPYNET), {key: value.numpy() for key, value in tensors.items()})


@pytest.mark.needs("torch")
def test_a_whole_pickled_module_is_refused_by_the_name_of_its_class(save):
    path = save("zip", save.torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict\(\)"):
        load_checkpoint(path)


# --- the same files, written without PyTorch ----------------------------------------------------------------


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("wrapper", ["params_ema", "params", "state_dict", "model", "network", "generator", None])
def test_the_state_dict_is_found_where_training_programs_put_it(read, container, wrapper):
    tree = {"epoch": 3, wrapper: weights(), "optimizer": {"state": {}}} if wrapper else weights()
    assert_same(read(content(container, tree)), weights())


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_moving_average_comes_before_the_weights(read, container):
    averaged = {key: np.asarray(array + 1) for key, array in weights().items()}
    assert_same(read(content(container, {"params": weights(), "params_ema": averaged})), averaged)


def test_wrappers_may_be_nested(read):
    assert_same(read(TorchFile().zip({"model": {"state_dict": weights()}})), weights())


def test_several_networks_are_refused_by_name(read):
    with pytest.raises(InputError, match=r"several networks \(generator, discriminator\)"):
        read(TorchFile().zip({"generator": weights(), "discriminator": weights()}))


@pytest.mark.parametrize("tree", [{"epoch": 3, "losses": [1, 2]}, [1, 2], {}, {"params": {}}])
def test_a_file_without_weights_says_so(read, tree):
    with pytest.raises(InputError, match=r"weights\.bin holds no tensors under names"):
        read(TorchFile().zip(tree))


def test_a_torchscript_program_is_refused_as_what_it_is(tmp_path):
    with zipfile.ZipFile(tmp_path / "scripted.pt", "w") as archive:
        for member in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"scripted/{member}", "")
    with pytest.raises(InputError, match=r"scripted\.pt is a TorchScript program"):
        load_checkpoint(tmp_path / "scripted.pt")


@pytest.mark.parametrize("folder", ["archive", "EDVR_M_x4", "名前"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_folder_in_the_archive_may_have_any_name_and_members_may_be_deflated(read, folder, compression):
    assert_same(read(TorchFile().zip(weights(), folder, compression)), weights())


def test_an_archive_of_a_big_endian_machine_is_read(read, tmp_path):
    file = TorchFile()
    operations = pickled(file.value({"weight": np.arange(3, dtype=np.float32)}))
    with zipfile.ZipFile(tmp_path / "big.pth", "w") as archive:
        archive.writestr("archive/data.pkl", operations)
        archive.writestr("archive/byteorder", "big")
        archive.writestr("archive/data/0", np.arange(3, dtype=">f4").tobytes())
    assert_same(load_checkpoint(tmp_path / "big.pth"), {"weight": np.arange(3, dtype=np.float32)})


@pytest.mark.parametrize("container", CONTAINERS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=arrays(
        st.sampled_from(["float32", "int64", "bool"]),
        array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
    ).filter(lambda array: np.isfinite(array).all())
)
def test_any_array_comes_back(read, container, array):
    assert_same(read(content(container, {"weight": array})), {"weight": array})


# --- what lies beside weights -------------------------------------------------------------------------------


class HistoryBuffer:
    """As MMEngine's: an object with numpy arrays."""

    def __init__(self):
        self.log, self.count = np.arange(5.0), np.float64(3.5)


class EasyDict(dict):
    """A dict with attributes."""


class Phase(enum.Enum):
    TRAIN = "train"


class Recursive:
    def __init__(self):
        self.itself, self.things = (self, [self]), {self}


BESIDE = {
    "history": lambda: HistoryBuffer(),
    "namespace": lambda: argparse.Namespace(lr=1e-4, betas=(0.9, 0.99), inner=argparse.Namespace(a={1, 2})),
    "easy dict": lambda: EasyDict(a=1, b=EasyDict(c=[1.5])),
    "path": lambda: pathlib.PurePosixPath("/data/REDS"),
    "date": lambda: datetime.datetime(2021, 1, 26, tzinfo=datetime.UTC),
    "duration": lambda: datetime.timedelta(hours=3),
    "tuple keys": lambda: {(0, 1): "a", ((1, 2), 3): [4], None: 1, 2.5: 3, True: 0, b"x": 1},
    "complex": lambda: 1 + 2j,
    "numbers": lambda: [10**40, -(2**70), float("inf"), decimal.Decimal("1.5"), fractions.Fraction(1, 3)],
    "enumeration": lambda: {"phase": Phase.TRAIN},
    "class": lambda: HistoryBuffer,
    "function": lambda: [len, np.mean, datetime.datetime.now],
    "containers": lambda: [collections.deque([1, 2], 5), {1, 2}, frozenset("ab"), collections.Counter("aab")],
    "bytes": lambda: [b"x" * 300, bytearray(b"abc"), slice(1, 2), range(3), ...],
    "numpy": lambda: [np.arange(3), np.float32(1), np.dtype("i4"), np.random.default_rng(0)],
    "unique": lambda: uuid.UUID(int=7),
    "itself": lambda: Recursive(),
    "error": lambda: ValueError("loss is NaN"),
    "pattern": lambda: re.compile("a+"),
    "default dict": lambda: collections.defaultdict(list, a=[1]),
    "partial": lambda: functools.partial(int, base=2),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("kind", list(BESIDE))
def test_unknown_classes_beside_weights_are_skipped(read, container, kind, protocol):
    beside = Raw(pickle.dumps(BESIDE[kind](), protocol)[2:-1])
    if protocol >= 4 and beside[:1] == b"\x95":  # a frame, whose length would not fit
        beside = Raw(beside[9:])
    # The memo of a pickle of its own: what stands behind must not refer to it.
    tree = {"params": weights(), "beside": beside}
    assert_same(read(content(container, tree)), weights())


@pytest.mark.parametrize("module", ["code.utils", "commands", "profile.settings", "trace", "utils.os", "model.sys"])
def test_programs_may_call_their_own_modules_as_others_are_called(read, module):
    beside = Raw(name(module, "Options") + b")\x81}b")
    assert_same(read(TorchFile().zip({"params": weights(), "options": beside})), weights())


def test_what_is_beside_weights_would_be_made_by_pythons_own_unpickler():
    """The test above reads what real programs write."""
    for make in BESIDE.values():
        for protocol in (2, 5):
            pickle.loads(pickle.dumps(make(), protocol))


def test_weights_inside_a_dict_of_an_unknown_class_are_read(read):
    items = TorchFile()
    inside = Raw(
        name("addict.addict", "Dict") + b")\x81(" + b"".join(map(items.value, ("w", np.ones(3, np.float32)))) + b"u"
    )
    found = read(items.zip({"epoch": 1, "state_dict": inside}))
    assert_same(found, {"w": np.ones(3, np.float32)})


def test_a_file_of_one_unknown_object_names_its_class(read):
    whole = Raw(name("torch.nn.modules.container", "Sequential") + b")\x81" + b"}b")
    with pytest.raises(InputError, match=r"torch\.nn\.modules\.container\.Sequential; save its state_dict\(\)"):
        read(TorchFile().zip(whole))


@pytest.mark.parametrize("container", CONTAINERS)
def test_complex_tensors_are_left_out(read, container):
    tree = {"params": weights() | {"spectrum": np.zeros(3, np.complex64)}}
    assert_same(read(content(container, tree)), weights())


def test_parameters_with_attributes_are_their_tensors(read):
    file = TorchFile()
    tensor = file.tensor(np.arange(4, dtype=np.float32))
    function = Raw(name("torch._utils", "_rebuild_parameter_with_state"))
    parameter = Raw(function + file.value((tensor, True, {}, {"sharded": False})) + b"R")
    rebuild = Raw(name("torch._tensor", "_rebuild_from_type_v2"))
    kind = Raw(name("torch.nn.parameter", "Parameter"))
    wrapped = Raw(rebuild + file.value((function, kind, (tensor, True, {}, {}), {"note": 1})) + b"R")
    found = read(file.zip({"a": parameter, "b": wrapped}))
    expected = np.arange(4, dtype=np.float32)
    assert_same(found, {"a": expected, "b": expected})


def test_getattr_of_a_class_is_an_enumeration_and_of_anything_else_refused(read):
    def get(what: bytes, attribute: str) -> Raw:
        return Raw(name("builtins", "getattr") + TorchFile().value((Raw(what), attribute)) + b"R")

    member = get(name("mmengine.hooks", "Priority"), "NORMAL")
    assert_same(read(TorchFile().zip({"params": weights(), "x": member})), weights())
    for hostile in (get(name("a", "B"), "__subclasses__"), get(member, "run"), get(b"]", "append")):
        with pytest.raises(InputError, match=r"builtins\.getattr.*refused"):
            read(TorchFile().zip({"params": weights(), "x": hostile}))


@pytest.mark.parametrize("values", [(np.nan,), (1.0, np.inf), (-np.inf, 0.0)])
def test_weights_that_are_not_finite_are_refused_by_name(read, values):
    tree = weights() | {"conv.bias": np.array(values, np.float32)}
    with pytest.raises(InputError, match=r"weights\.bin is refused: 1 of \d values of conv\.bias are not finite"):
        read(TorchFile().zip(tree))


# --- what no file may do ------------------------------------------------------------------------------------


class Calls:
    """Pickles as a call of `function`, which Python's own unpickler would make."""

    def __init__(self, function: object, *arguments: object):
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def hostile_pickles(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that would make the file `marker`, and what they must be refused for."""
    command = f"touch {marker}"
    chain = Calls(getattr, Calls(__import__, "os"), "system")
    via_getattr = Raw(pickle.dumps(chain, 2)[2:-1])
    hub = name("torch.hub", "load") + TorchFile().value((f"owner/{marker}", "model")) + b"R"
    newobj = name("subprocess", "Popen") + TorchFile().value((command,)) + b"\x81"
    instance = b"(" + TorchFile().value(command) + b"ios\nsystem\n"
    dotted = b"\x8c\x08builtins\x8c\x04exec\x93" + TorchFile().value((command,)) + b"R"
    allowed = name("torch._utils", "_rebuild_tensor_v2.__globals__.get") + b")R"
    build = name("collections", "OrderedDict.__init__.__globals__") + b")R"
    return {
        "os.system": (pickle.dumps(Calls(os.system, command), 2)[2:-1], "posix.system"),
        "eval": (pickle.dumps(Calls(eval, f"open({str(marker)!r}, 'w')"), 2)[2:-1], "eval"),
        "getattr": (via_getattr, "getattr"),
        "torch.hub": (hub, "torch.hub.load"),
        "new object": (newobj, "subprocess.Popen"),
        "instance": (instance, "INST os system"),
        "stack global": (dotted, "builtins.exec"),
        "attribute of an allowed name": (allowed, "_rebuild_tensor_v2.__globals__.get"),
        "globals of an allowed class": (build, "OrderedDict.__init__.__globals__"),
        "extension": (b"\x82\x01", "EXT1"),
    }


@pytest.mark.parametrize("kind", list(hostile_pickles(Path("x"))))
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("place", ["top", "value", "key", "tensor argument", "state"])
def test_a_hostile_pickle_is_refused_by_name_of_what_it_asked_for(read, tmp_path, kind, container, place):
    marker = tmp_path / "executed"
    operations, asked = hostile_pickles(marker)[kind]
    hostile, file = Raw(operations), TorchFile()
    tree = {
        "top": lambda: hostile,
        "value": lambda: {"params": weights(), "extra": [1, hostile]},
        "key": lambda: Raw(b"}" + hostile + b"K\x01s"),
        "tensor argument": lambda: {"weight": file.tensor(np.zeros(2, np.float32), shape=(2, hostile))},
        "state": lambda: {"params": Raw(file.value(weights()) + hostile + b"b")},
    }[place]()
    with pytest.raises(InputError) as refusal:
        read(content(container, tree, file))
    assert asked in str(refusal.value)
    assert str(tmp_path / "weights.bin") in str(refusal.value)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_hostile_pickle_is_refused_in_every_protocol(read, tmp_path, container, protocol):
    marker = tmp_path / "executed"
    hostile = pickle.dumps({"params": Calls(os.system, f"touch {marker}")}, protocol)
    make = {"zip": zip_bytes, "legacy": legacy_bytes}[container]
    with pytest.raises(InputError, match="system"):
        read(make(hostile, {}))
    assert not marker.exists()


@pytest.mark.parametrize("position", ["system", "keys"])
def test_a_hostile_pickle_is_refused_in_every_part_of_a_legacy_file(read, tmp_path, position):
    marker = tmp_path / "executed"
    hostile = pickle.dumps(Calls(os.system, f"touch {marker}"), 2)
    whole = legacy_bytes(pickled(b"}"), {})
    honest = {"system": whole[len(pickle.dumps(0x1950A86A20F9469CFC6C, 2)) + len(pickle.dumps(1001, 2)) :]}
    honest["keys"] = pickle.dumps([], 2)
    with pytest.raises(InputError, match="system"):
        read(whole.removesuffix(honest[position]) + hostile)
    assert not marker.exists()


def test_the_same_hostile_pickle_does_run_in_pythons_own_unpickler(tmp_path):
    """The tests above would notice an execution."""
    marker = tmp_path / "executed"
    pickle.loads(pickle.dumps(Calls(os.system, f"touch {marker}"), 2))
    assert marker.exists()


def test_a_message_cannot_command_the_terminal(read):
    with pytest.raises(InputError) as refusal:
        read(TorchFile().zip(Raw(name("os\x1b[2J", "system"))))
    assert "\x1b" not in str(refusal.value)


LIES = {
    "larger shape": {"shape": (5, 5)},
    "huge shape": {"shape": (2**40, 2**20)},
    "negative shape": {"shape": (-1, 4)},
    "offset": {"offset": 1},
    "negative offset": {"offset": -1},
    "stride": {"stride": (5, 1)},
    "negative stride": {"stride": (-4, 1)},
    "rank": {"stride": (1,)},
    "no whole number": {"shape": (True, "4")},
    "endless number": {"shape": (1 << 100_000,), "stride": (1,)},
    "larger storage": {"numel": 2**30},
    "smaller storage": {"numel": 8},
    "negative storage": {"numel": -16},
    "other type": {"storage": "DoubleStorage"},
    "missing storage": {"key": "absent"},
    "storage outside the archive's folder": {"key": "../../../../etc/passwd"},
}


@pytest.mark.parametrize("lie", list(LIES))
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_tensor_that_lies_about_itself_is_refused(read, container, lie):
    file = TorchFile()
    tensor = file.tensor(np.zeros((4, 4), np.float32), **LIES[lie])
    with pytest.raises(InputError, match=r"weights\.bin"):
        read(content(container, {"conv.weight": tensor}, file))


@pytest.mark.parametrize("shape", [(2**16, 2**16), (2**15, 2**15), (3000, 3000)])
def test_one_element_cannot_become_more_than_a_file_of_its_size_has(read, shape):
    file = TorchFile()
    tensor = file.tensor(np.zeros(1, np.float32), shape=shape, stride=(0, 0))
    with pytest.raises(InputError, match="claim more than"):
        read(file.zip({"weight": tensor}))


def test_one_storage_cannot_be_seen_again_and_again(read):
    file = TorchFile()
    tensor = file.tensor(np.zeros(1 << 20, np.float32))
    seen = {f"weight{number}": tensor for number in range(100)}
    with pytest.raises(InputError, match="claim more than"):
        read(file.zip(seen))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    "operations",
    [
        b"N0" * 200_000,
        b"K\x010" * 200_000,
        b"(" + b"N" * 200_000 + b"1",
        b"]" + b"Na" * 200_000 + b"0",
        b"(" + b"N" * 30_000 + b"t\x85q\x000" + b"ccollections\nOrderedDict\nh\x00R0" * 30_000,
    ],
)
def test_the_operations_of_a_pickle_are_counted(read, container, operations):
    """As many as a file of this size could need; a deflated pickle would have hundreds of millions."""
    tree = pickled(operations + TorchFile().value(weights()))
    if container == "legacy":
        whole = legacy_bytes(tree, {})
        with pytest.raises(InputError, match=r"weights\.bin"):
            read(whole)
        return
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", tree)
    assert len(file.getvalue()) < 70_000
    with pytest.raises(
        InputError, match=r"weights\.bin is refused: .* more than 1[0-3]\d,\d{3} operations|damaged"
    ):
        read(file.getvalue())


def test_a_shape_of_thousands_of_axes_is_refused(read):
    file = TorchFile()
    axes = (2**40,) * 5000 + (0,)
    with pytest.raises(InputError, match="axes"):
        read(file.zip({"weight": file.tensor(np.zeros(1, np.float32), shape=axes, stride=axes)}))


def test_storage_keys_that_take_forever_to_hash_are_refused(read):
    doubled = b"]" + b")" + b"\x86".join([b"q\x00h\x00"] * 60) + b"\x86a"
    whole = legacy_bytes(pickled(TorchFile().value(weights())), {})
    empty = pickle.dumps([], 2)
    with pytest.raises(InputError, match=r"weights\.bin"):
        read(whole.removesuffix(empty) + pickled(doubled))


def test_a_zip_bomb_is_refused_before_it_expands(read):
    zeros = np.zeros(300 << 20, bool)
    with pytest.raises(InputError, match="refused as a bomb"):
        read(TorchFile().zip({"weight": zeros}, compression=zipfile.ZIP_DEFLATED))


def test_unusual_compression_is_refused(read):
    with pytest.raises(InputError, match="compression"):
        read(TorchFile().zip(weights(), compression=zipfile.ZIP_BZIP2))


def test_a_dict_that_holds_itself_ends(read):
    itself = Raw(b"}q\x01" + TorchFile().value("model") + b"h\x01s")
    with pytest.raises(InputError, match="no tensors"):
        read(TorchFile().zip(itself))


def test_keys_that_take_forever_to_hash_are_refused(read):
    doubled = b")q\x00" + b"h\x00h\x00\x86q\x00" * 60
    with pytest.raises(InputError, match="keys"):
        read(TorchFile().zip(Raw(b"}" + doubled + b"K\x01s")))


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_length_far_beyond_the_file_takes_no_memory(read, container):
    endless = Raw(b"\x8d" + (1 << 60).to_bytes(8, "little") + b"x")
    with pytest.raises(InputError, match="truncated or damaged"):
        read(content(container, endless))


# --- damage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_file_cut_short_anywhere_is_refused_by_name(read, container):
    whole = content(container, {"params": weights()})
    lengths = range(0, len(whole), 7)
    for length in lengths:
        with pytest.raises(InputError, match=r"weights\.bin"):
            read(whole[:length])


@pytest.mark.parametrize("container", CONTAINERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_never_gives_anything_but_arrays_or_an_input_error(read, container, data):
    damaged = bytearray(content(container, OrderedDict(params=weights())))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    with contextlib.suppress(InputError):
        found = read(bytes(damaged))
        assert all(isinstance(array, np.ndarray) for array in found.values())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.binary(max_size=60))
def test_any_pickle_gives_an_input_error(read, operations):
    """A few random operations never make a tensor; they must not do anything else either."""
    with pytest.raises(InputError, match=r"weights\.bin"):
        read(zip_bytes(pickled(operations), {}))
