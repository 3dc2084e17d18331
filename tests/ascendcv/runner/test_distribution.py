"""Spreading a batch over devices and processes changes nothing but the speed."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("tiny_training.py")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(*processes: subprocess.Popen) -> None:
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(outputs)


@pytest.fixture(scope="module")
def one_device(tmp_path_factory) -> dict[str, np.ndarray]:
    out = tmp_path_factory.mktemp("one") / "weights.npz"
    finish(start(out, 1))
    return dict(np.load(out))


def assert_same_run(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Weights, loss and gradient norm agree to float32 rounding."""
    assert found.keys() == expected.keys()
    for name in found.keys() - {"replicas"}:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_two_devices_with_half_the_batch_equal_one(one_device, tmp_path):
    finish(start(tmp_path / "weights.npz", 2))
    found = dict(np.load(tmp_path / "weights.npz"))
    assert found["replicas"] == 2
    assert_same_run(found, one_device)


def test_two_devices_that_accumulate_the_gradients_of_single_samples_equal_one(one_device, tmp_path):
    finish(start(tmp_path / "weights.npz", 2, "", 0, 5, 2))
    assert_same_run(dict(np.load(tmp_path / "weights.npz")), one_device)


def test_two_worker_processes_with_half_the_batch_equal_one(one_device, tmp_path):
    cluster = tmp_path / "2p.json"
    cluster.write_text(json.dumps([f"localhost:{port}" for port in free_ports(2)]))
    finish(*[start(tmp_path / "weights.npz", 2, cluster, index) for index in range(2)])
    found = dict(np.load(tmp_path / "weights.npz"))
    assert found["replicas"] == 2
    assert_same_run(found, one_device)


def test_a_signal_to_one_worker_stops_all_after_the_same_step(tmp_path):
    cluster = tmp_path / "2p.json"
    cluster.write_text(json.dumps([f"localhost:{port}" for port in free_ports(2)]))
    workers = [start(tmp_path / "weights.npz", 2, cluster, index, 1_000_000) for index in range(2)]
    for worker in workers:
        while worker.stdout.readline() not in ("training\n", ""):
            pass
    workers[1].send_signal(signal.SIGTERM)
    endings = [worker.communicate(timeout=120)[0].splitlines()[-1] for worker in workers]
    assert endings[0].startswith(f"stopped by {signal.SIGTERM.value} at step ")
    assert endings[0] == endings[1]


def test_the_reductions_and_the_clipping_make_a_difference(one_device):
    """Otherwise the comparisons above would say little."""
    assert one_device["sum/gradient_norm"] > 100 * one_device["mean/gradient_norm"] > 0
    assert one_device["sum/gradient_norm"] > 1.0
