"""Weights files of every format are told apart by content, and what is no weights file is said to be so."""

import contextlib
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ascendcv.runner.checkpoint import CheckpointStore
from ascendcv.utils.errors import InputError
from ascendvsr.weights import h5_file, load_checkpoint
from ascendvsr.weights.reader import read_checkpoint
from tests.ascendvsr.weights.torch_bytes import TorchFile

FORMATS = ["torch zip", "torch legacy", "safetensors", "npz", "h5"]


def weights(value: float = 0.5) -> dict[str, np.ndarray]:
    return {
        "conv.weight": np.full((4, 3, 3, 3), value, np.float32),
        "conv.bias": np.arange(4, dtype=np.float32),
        "table": np.arange(6).reshape(2, 3),
    }


def write(format: str, path: Path, arrays: dict[str, np.ndarray]) -> None:
    match format:
        case "torch zip":
            path.write_bytes(TorchFile().zip({"params": arrays}))
        case "torch legacy":
            path.write_bytes(TorchFile().legacy({"params": arrays}))
        case "safetensors":
            safetensors.numpy.save_file(arrays, path, {"format": "pt"})
        case "npz":
            with open(path, "wb") as file:
                np.savez(file, **arrays)
        case "h5":
            entries = [(f"layer_{i}/vars/0", a, n, range(a.ndim)) for i, (n, a) in enumerate(arrays.items())]
            h5_file.write(path, entries)


def safetensors_bytes(header: dict | bytes, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


# --- formats ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".pth", ".safetensors", ".npz", ".weights.h5", ""])
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_recognized_whatever_its_ending(tmp_path, format, ending):
    path = tmp_path / f"weights{ending}"
    write(format, path, weights())
    found = load_checkpoint(path)
    assert found.keys() == weights().keys()
    for name, array in weights().items():
        np.testing.assert_array_equal(found[name], array, strict=True)


@pytest.mark.parametrize("format", FORMATS)
def test_prefixes_that_every_name_has_are_removed(tmp_path, format):
    write(format, tmp_path / "weights", {f"model.module.{name}": array for name, array in weights().items()})
    assert load_checkpoint(tmp_path / "weights").keys() == weights().keys()


def test_a_prefix_of_some_names_is_a_name(tmp_path):
    write("npz", tmp_path / "weights", {"module.conv": np.zeros(1), "conv": np.ones(1)})
    assert load_checkpoint(tmp_path / "weights").keys() == {"module.conv", "conv"}


@pytest.mark.needs("torch")
@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_floating_point_safetensors_become_float32(tmp_path, dtype):
    import torch
    from safetensors.torch import save_file

    tensor = torch.tensor([[1.5, -0.25], [0.0, 3.0]]).to(getattr(torch, dtype))
    save_file({"weight": tensor}, tmp_path / "weights")
    np.testing.assert_array_equal(load_checkpoint(tmp_path / "weights")["weight"], tensor.float(), strict=True)


def test_fortran_order_in_npz_is_kept(tmp_path):
    array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    write("npz", tmp_path / "weights", {"weight": array})
    np.testing.assert_array_equal(load_checkpoint(tmp_path / "weights")["weight"], array, strict=True)


def test_reading_needs_neither_tensorflow_nor_keras_nor_torch(tmp_path):
    for format in FORMATS:
        write(format, tmp_path / format.replace(" ", ""), weights())
    program = (
        "import sys, ascendvsr.models.detect; from ascendvsr.weights import load_checkpoint\n"
        "for path in sys.argv[1:]: load_checkpoint(path)\n"
        "print({'tensorflow', 'keras', 'torch', 'safetensors'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program, *map(str, tmp_path.iterdir())]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


# --- training checkpoints -----------------------------------------------------------------------------------


def checkpoint(output_dir: Path, step: int, average: bool) -> Path:
    def fill(folder: Path) -> dict:
        write("h5", folder / "model.weights.h5", weights(step))
        if average:
            write("h5", folder / "ema.weights.h5", weights(step + 0.5))
        return {}

    return CheckpointStore(output_dir, "EDVR").write(step, fill)


def first(path: Path) -> float:
    return load_checkpoint(path)["conv.weight"].flat[0]


def test_a_training_checkpoint_gives_the_moving_average_where_it_has_one(tmp_path):
    assert first(checkpoint(tmp_path, 10, average=False)) == 10
    assert first(checkpoint(tmp_path, 20, average=True)) == 20.5
    assert first(tmp_path / "EDVR-20" / "model.weights.h5") == 20


def test_the_folder_of_a_run_gives_its_newest_checkpoint(tmp_path):
    for step in (900, 1000):
        checkpoint(tmp_path, step, average=False)
    assert first(tmp_path) == 1000


def test_a_damaged_training_checkpoint_is_refused(tmp_path):
    folder = checkpoint(tmp_path, 10, average=True)
    content = bytearray((folder / "ema.weights.h5").read_bytes())
    content[-8] ^= 1
    (folder / "ema.weights.h5").write_bytes(content)
    with pytest.raises(InputError, match=r"EDVR-10 is damaged: ema\.weights\.h5"):
        load_checkpoint(folder)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("way", ["changed", "cut", "file gone", "meta gone", "meta cut", "meta of another kind"])
def test_a_run_whose_newest_checkpoint_is_damaged_gives_the_one_before(tmp_path, caplog, way):
    for step in (10, 20, 30):
        newest = checkpoint(tmp_path, step, average=True)
    match way:
        case "changed":
            damage(newest / "model.weights.h5")
        case "cut":
            (newest / "ema.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
        case "file gone":
            (newest / "ema.weights.h5").unlink()
        case "meta gone":
            (newest / "meta.json").unlink()
        case "meta cut":
            (newest / "meta.json").write_text('{"step"')
        case "meta of another kind":
            (newest / "meta.json").write_text("[1]")
    assert first(tmp_path) == 20.5
    assert "EDVR-30 is damaged" in caplog.text or way == "meta gone"


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(tmp_path):
    for step in (10, 20):
        damage(checkpoint(tmp_path, step, average=False) / "model.weights.h5")
    with pytest.raises(InputError, match=r"all checkpoints in .* are damaged \(in EDVR-10 model\.weights\.h5"):
        load_checkpoint(tmp_path)


def test_a_run_with_two_networks_asks_which(tmp_path):
    checkpoint(tmp_path, 10, average=False)
    shutil.copytree(tmp_path / "EDVR-10", tmp_path / "PVDNet-40")
    with pytest.raises(InputError, match=r"of EDVR and PVDNet: which one\? Say .*/EDVR-10 or .*/PVDNet-40"):
        load_checkpoint(tmp_path)


def test_a_file_in_a_training_checkpoint_is_checked_by_itself(tmp_path):
    """The average is damaged, the weights are whole; a meta.json of another program says nothing of them."""
    folder = checkpoint(tmp_path, 10, average=True)
    damage(folder / "ema.weights.h5")
    assert first(folder / "model.weights.h5") == 10
    with pytest.raises(InputError, match=r"ema\.weights\.h5 is damaged: .* not what was written"):
        load_checkpoint(folder / "ema.weights.h5")
    (folder / "meta.json").write_text('{"files": "none", "author": "somebody"}')
    assert first(folder / "model.weights.h5") == 10


def test_the_choice_between_weights_and_average_of_a_run(tmp_path):
    checkpoint(tmp_path, 10, average=True)
    values = [load_checkpoint(tmp_path, which)["conv.weight"].flat[0] for which in ("auto", "ema", "raw")]
    assert values == [10.5, 10.5, 10]
    assert read_checkpoint(tmp_path).words == "the moving average ema.weights.h5, not model.weights.h5"
    checkpoint(tmp_path, 20, average=False)
    assert load_checkpoint(tmp_path, "raw")["conv.weight"].flat[0] == 20
    with pytest.raises(InputError, match="EDVR-20 holds no moving average"):
        load_checkpoint(tmp_path, "ema")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_in_every_format(tmp_path, format, value):
    write(format, tmp_path / "weights", weights() | {"conv.bias": np.array([0, value, 1, 2], np.float32)})
    with pytest.raises(InputError, match=r"weights is refused: 1 of 4 values of conv\.bias are not finite"):
        load_checkpoint(tmp_path / "weights")


def test_values_beyond_float32_are_not_finite(tmp_path):
    write("npz", tmp_path / "weights", {"weight": np.array([1e300])})
    with pytest.raises(InputError, match="not finite"):
        load_checkpoint(tmp_path / "weights")


def test_a_file_without_tensors_is_refused(tmp_path):
    (tmp_path / "empty.safetensors").write_bytes(safetensors_bytes({}))
    with pytest.raises(InputError, match=r"empty\.safetensors holds no tensors"):
        load_checkpoint(tmp_path / "empty.safetensors")


def test_a_folder_without_checkpoints_is_refused(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path} holds no training checkpoint"):
        load_checkpoint(tmp_path)


# --- what is no weights file --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>quota exceeded", "a web page: the download went wrong"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"\x89PNG\r\n\x1a\n", "is no weights file"),
        (b"\x80\x04}\x94.", "is no weights file"),
        (b"x" * 100, "is no weights file"),
    ],
)
def test_other_files_are_refused_as_what_they_are(tmp_path, content, words):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as refusal:
        load_checkpoint(path)
    assert str(path) in str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no\.pth: No such file"):
        load_checkpoint(tmp_path / "no.pth")


def test_the_tar_format_of_old_pytorch_is_refused_by_name(tmp_path):
    (tmp_path / "pickle").write_bytes(b"\x80\x02}.")
    with tarfile.open(tmp_path / "old.pth", "w") as archive:
        archive.add(tmp_path / "pickle", "pickle")
    with pytest.raises(InputError, match=r"old\.pth has the tar format of PyTorch before 0\.2"):
        load_checkpoint(tmp_path / "old.pth")


def test_a_whole_keras_model_is_refused_as_what_it_is(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            archive.writestr(name, "")
    with pytest.raises(InputError, match="whole Keras model"):
        load_checkpoint(tmp_path / "model.keras")


def test_python_objects_in_npz_are_refused(tmp_path):
    np.savez(tmp_path / "weights.npz", weight=np.array([print], dtype=object))
    with pytest.raises(InputError, match=r"weight\.npy as Python objects, which are never loaded"):
        load_checkpoint(tmp_path / "weights.npz")


def test_text_is_no_weights(tmp_path):
    np.savez(tmp_path / "weights.npz", weight=np.array(["a", "b"]))
    with pytest.raises(InputError, match="type <U1"):
        load_checkpoint(tmp_path / "weights.npz")


def test_a_npy_header_that_lies_is_refused(tmp_path):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"1234"
    with zipfile.ZipFile(tmp_path / "weights.npz", "w") as archive:
        archive.writestr("weight.npy", array)
    with pytest.raises(InputError, match="has not the size"):
        load_checkpoint(tmp_path / "weights.npz")


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ({"a": F32}, b"1234567"),
        ({"a": F32}, b"123456789"),
        ({"a": F32, "b": F32}, b"12345678"),
        ({"a": F32, "b": F32 | {"data_offsets": [4, 12]}}, b"x" * 12),
        ({"a": F32 | {"data_offsets": [4, 12]}}, b"x" * 12),
        ({"a": F32 | {"data_offsets": [8, 0]}}, b"x" * 8),
        ({"a": F32 | {"shape": [2**62, 4]}}, b"x" * 8),
        ({"a": F32 | {"shape": [-2, -1]}}, b"x" * 8),
        ({"a": F32 | {"shape": [2.0]}}, b"x" * 8),
        ({"a": F32 | {"shape": "2"}}, b"x" * 8),
        ({"a": F32 | {"dtype": "F8_E4M3"}}, b"x" * 8),
        ({"a": F32 | {"dtype": ["F32"]}}, b"x" * 8),
        ({"a": {}}, b""),
        (b'{"a":' * 100_000, b""),
        (b'{"a":' + json.dumps(F32).encode() + b',"a":' + json.dumps(F32).encode() + b"}", b"x" * 8),
        (b"{not json", b""),
    ],
)
def test_a_safetensors_header_that_contradicts_itself_is_refused(tmp_path, header, data):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors_bytes(header, data))
    with pytest.raises(InputError, match=r"weights\.safetensors"):
        load_checkpoint(path)


def test_a_safetensors_header_longer_than_the_file_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(InputError, match="truncated"):
        load_checkpoint(path)


@pytest.mark.parametrize("kind", ["external", "soft link", "external link", "virtual"])
def test_hdf5_that_reaches_into_other_files_is_refused(tmp_path, kind):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.ones(4, np.float32)
    (tmp_path / "raw").write_bytes(b"secret secret se")
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        match kind:
            case "external":
                file.create_dataset("a", (4,), "f4", external=[(tmp_path / "raw", 0, 16)])
            case "soft link":
                file["a"] = h5py.SoftLink("/a")
            case "external link":
                file["a"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")
            case "virtual":
                layout = h5py.VirtualLayout((4,), "f4")
                layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "secret", (4,))
                file.create_virtual_dataset("a", layout)
        if "link" not in kind:
            file["a"].attrs["official_name"] = np.bytes_(b"a")
            file["a"].attrs["official_axes"] = [0]
    with pytest.raises(InputError, match=r"weights\.h5"):
        load_checkpoint(tmp_path / "weights.h5")


def test_hdf5_that_claims_gigabytes_without_content_is_refused(tmp_path):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.create_dataset("a", (2**20, 2**20), "f4", chunks=(2**10, 2**10))
    with pytest.raises(InputError, match="claim to hold"):
        load_checkpoint(tmp_path / "weights.h5")


def test_names_that_no_tensor_has_are_refused(tmp_path):
    write("npz", tmp_path / "weights", {"a\x1b[2J": np.zeros(1)})
    with pytest.raises(InputError, match="impossible name") as refusal:
        load_checkpoint(tmp_path / "weights")
    assert "\x1b" not in str(refusal.value)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_short_anywhere_is_refused_by_name(tmp_path, format):
    path = tmp_path / "weights.bin"
    write(format, path, weights())
    whole = path.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"weights\.bin"):
            load_checkpoint(path)


@pytest.mark.parametrize("format", ["safetensors", "npz"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_never_gives_anything_but_arrays_or_an_input_error(tmp_path, format, data):
    path = tmp_path / "weights.bin"
    write(format, path, weights())
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    path.write_bytes(damaged)
    with contextlib.suppress(InputError):
        assert all(isinstance(array, np.ndarray) for array in load_checkpoint(path).values())


@pytest.mark.parametrize("named", ["EDVR-600000", "EDVR-600000.index", "EDVR-600000.data-00000-of-00001", "."])
def test_checkpoints_of_the_tensorflow_release_are_refused_with_the_reason(tmp_path, named):
    """As TensorFlow writes them today: the format is that of TensorFlow 1."""
    import tensorflow as tf

    tf.train.Checkpoint(kernel=tf.Variable([1.0, 2.0])).write(str(tmp_path / "EDVR-600000"))
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "EDVR-600000"\n')
    assert (tmp_path / "EDVR-600000.index").exists()
    with pytest.raises(InputError, match="as the TensorFlow EDVR release wrote them: its network pads"):
        load_checkpoint(tmp_path / named)
