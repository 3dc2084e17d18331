"""Which backend restoration computes with, and what is said where that is not possible."""

import os
import subprocess
import sys

import pytest

from ascendcv.runner import backend
from ascendcv.utils.errors import InputError
from ascendcv.utils.quiet import import_tensorflow
from tests.support import BACKENDS


def test_a_backend_that_keras_has_and_restoration_has_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    with pytest.raises(InputError, match="KERAS_BACKEND is 'numpy'; networks restore with one of: tensorflow, jax"):
        backend.start_backend()


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_backend_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_BACKEND", name)
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    with pytest.raises(InputError, match=f"KERAS_BACKEND is {name}, which is not installed: pip install {name}"):
        backend.start_backend()


def test_what_is_tensorflows_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(InputError, match="training and all others are TensorFlow's: unset KERAS_BACKEND"):
        import_tensorflow()


START = """
import sys
from ascendcv.runner.backend import start_backend
from ascendcv.utils.errors import InputError

try:
    name = start_backend(sys.argv[1], (int(sys.argv[2]),), num_threads=1)
    import keras
    print(name, keras.backend.backend(), keras.ops.ones((2,)).shape)
    assert "tensorflow" not in sys.modules
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("name", BACKENDS)
class TestAnotherBackend:
    def started(self, name: str, device: str, number: int = 0) -> str:
        command = [sys.executable, "-c", START, device, str(number)]
        environment = os.environ | {"KERAS_BACKEND": name, "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def test_starts_without_tensorflow(self, name: str):
        assert self.started(name, "cpu").startswith(f"{name} {name} ")

    @pytest.mark.parametrize("device", ["gpu", "npu"])
    def test_says_which_device_is_not_there(self, name: str, device: str):
        assert f"device {device} is not there for" in self.started(name, device)
