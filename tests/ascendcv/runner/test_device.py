"""Devices: what is there is taken, what is not is said."""

import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from ascendcv.runner.cluster import Cluster
from ascendcv.runner.device import make_strategy, prepare_devices
from ascendcv.utils.errors import InputError


def output_of(program: str) -> str:
    """Runs it in a process of its own: devices can be divided only before TensorFlow starts."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


no_gpu = pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")
CLUSTER = Cluster(("localhost:1111", "localhost:2222"), 0)


@pytest.fixture
def npu_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the vendor's module that notes which NPU was opened."""
    (tmp_path / "npu_device.py").write_text(
        "opened = []\n"
        "class Handle:\n"
        "    def __init__(self, number): self.number = number\n"
        "    def as_default(self): opened.append(self.number)\n"
        "def open(number): return Handle(number)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("npu_device", None)


def test_one_cpu_is_the_default_strategy():
    strategy = make_strategy("cpu")
    assert strategy.num_replicas_in_sync == 1
    assert strategy is tf.distribute.get_strategy()


@no_gpu
def test_auto_takes_the_cpu_where_there_is_nothing_else():
    assert prepare_devices("auto") == ["CPU:0"]


@no_gpu
def test_a_missing_gpu_is_said():
    with pytest.raises(InputError, match="device gpu: TensorFlow sees none here"):
        prepare_devices("gpu")


def test_a_missing_npu_is_said():
    with pytest.raises(InputError, match=r"device npu: .*`npu_device` is not installed"):
        prepare_devices("npu")


def test_an_npu_is_opened_by_the_vendors_module(npu_adapter):
    assert prepare_devices("npu", [3]) == ["NPU:0"]
    import npu_device

    assert npu_device.opened == [3]


@no_gpu
def test_auto_finds_the_vendors_module(npu_adapter):
    assert prepare_devices("auto") == ["NPU:0"]


def test_what_the_vendors_module_cannot_do_is_said(npu_adapter):
    with pytest.raises(InputError, match="drives one NPU in a process"):
        prepare_devices("npu", [0], count=2)
    with pytest.raises(InputError, match="knows CPUs and GPUs only"):
        make_strategy("npu", [0], 2, CLUSTER)


@pytest.mark.parametrize(
    ("rank_size", "cluster", "message"),
    [
        (0, None, "rank_size should be at least 1"),
        (3, CLUSTER, "rank_size 3 cannot be divided among the cluster's 2 workers"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(rank_size: int, cluster: Cluster | None, message: str):
    with pytest.raises(InputError, match=message):
        make_strategy("cpu", [0], rank_size, cluster)


def test_several_cpu_devices_share_the_processor_and_a_cluster_has_one_a_worker():
    program = """
from ascendcv.runner.cluster import Cluster
from ascendcv.runner.device import make_strategy
from ascendcv.utils.errors import InputError
try:
    make_strategy("cpu", [0], 4, Cluster(("localhost:1111", "localhost:2222"), 0))
except InputError as error:
    print(error)
"""
    assert "on CPUs a worker has one device: rank_size should be 2, not 4" in output_of(program)


def test_threads_are_as_asked_and_one_cpu_runs_operations_in_order():
    """One after the other, or large sums would be added up in an order left to chance: bits would differ."""
    program = """
import tensorflow as tf
from ascendcv.runner.device import make_strategy
make_strategy("cpu", num_threads=3)
threading = tf.config.threading
print(threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads())
"""
    assert output_of(program) == "3 1\n"
